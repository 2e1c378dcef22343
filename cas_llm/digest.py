"""Names of bytes: the SHA-256 in lower-case hex, 64 characters.

A *key* names a request (the bytes of its key record), a *digest* names any other bytes. Both are
plain `str`, so that they compare, sort and travel through JSON as what they are.
"""

from __future__ import annotations

import hashlib
import re

HEX64 = re.compile(r"[0-9a-f]{64}\Z")


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """The SHA-256 of *data* in lower-case hex; `sha256sum` prints the same."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Whether *text* is 64 lower-case hex digits."""
    return HEX64.match(text) is not None
