"""Other tools' recordings: read, brought into the store as tapes of the tests, and written.

An adapter: the formats of cassettes stop here. Nothing in a cassette is ever executed, and no
cassette is ever changed or removed.
"""
