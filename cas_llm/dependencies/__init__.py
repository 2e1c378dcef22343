"""Which tests depend on which files: what runs saw, kept, and held against what changes.

Two halves. The recording half (`witness`, `journal`, `merging`) works inside a test run; the
judging half (`runlog`, `fingerprint`, `selection`) reads what was kept, runs nothing, and imports
the standard library and orjson only. Knows nothing of pytest, of a mode or of a recording's bytes.
"""
