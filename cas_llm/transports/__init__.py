"""Adapters between HTTP libraries and a session; the only importers of httpx and httpx2.

They are thin: convert a request, ask the session, convert the answer, tell the recorder.
"""
