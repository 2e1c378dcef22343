"""What a page would load from another server when it is read: it must be nothing.

Links a reader may follow are no matter; scripts, styles, fonts, pictures and frames are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_LOADED = (
    re.compile(
        r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc(?:set)?=[\"']((?:https?:)?//[^\"']+)"
    ),
    re.compile(
        r"<link\b(?=[^>]*\brel=[\"'](?:stylesheet|icon|preload|prefetch|preconnect|modulepreload))"
        r"[^>]*\bhref=[\"']((?:https?:)?//[^\"']+)"
    ),
    re.compile(r"url\(\s*[\"']?((?:https?:)?//[^\"')]+)"),
    re.compile(r"@import\s+[\"']((?:https?:)?//[^\"']+)"),
)


def foreign(text: str) -> list[str]:
    """The addresses on other servers that a page or a style sheet loads."""
    return [url for pattern in _LOADED for url in pattern.findall(text)]


def foreign_in(site: Path) -> Iterator[tuple[Path, str]]:
    """Each file of a built site with what it would load from elsewhere."""
    for path in sorted(site.rglob("*")):
        if path.suffix in {".html", ".css", ".svg"}:
            for url in foreign(path.read_text("utf-8")):
                yield path.relative_to(site), url
