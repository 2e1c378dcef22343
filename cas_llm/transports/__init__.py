"""Adapters between HTTP libraries and a session; the only importers of those libraries.

They are thin: convert a request, ask the session, convert the answer, tell the recorder.
"""
