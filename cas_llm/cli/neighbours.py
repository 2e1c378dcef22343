"""Other people's pre-commit hooks that would rewrite recordings, or refuse them.

Part of the command line; pure. What each does was seen by running it over a store; a test runs
those again that a package index has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cas_llm.cli.hook_config import Keys, words

# A file of each kind that a store holds, and what pre-commit's `types` call it.
_SAMPLES = {
    "request": ("requests/00/00.json", {"json", "text"}),
    "answer": ("objects/00/00.json", {"json", "text"}),
    "tape": ("manifest/tapes/tests/test_a.py/test_b.0.00.json", {"json", "text"}),
    "prompt": ("objects/00/00.txt", {"plain-text", "text"}),
    "picture": ("objects/00/00.png", {"png", "image", "binary"}),
    "readme": ("README.md", {"markdown", "text"}),
}
_JSON = ("request", "answer", "tape")
_WORDS = (*_JSON, "prompt")
_EVERY = frozenset({"file", "non-executable"})

REWRITES, REFUSES = "would rewrite", "would refuse"


@dataclass(frozen=True)
class Neighbour:
    """What a hook does to which of a store's files.

    `told_in` names its own configuration, where pre-commit hands it no file names that
    ``exclude:`` could take out.
    """

    does: str
    kinds: tuple[str, ...]
    told_in: str = ""


NEIGHBOURS: Mapping[str, Neighbour] = {
    # A text part is a prompt byte for byte: it may end without a line end, in blanks, or hold CRLF.
    "end-of-file-fixer": Neighbour(REWRITES, ("prompt",)),
    "trailing-whitespace": Neighbour(REWRITES, ("prompt",)),
    "mixed-line-ending": Neighbour(REWRITES, ("prompt",)),
    "fix-byte-order-marker": Neighbour(REWRITES, ("prompt",)),
    "remove-crlf": Neighbour(REWRITES, ("prompt",)),
    "remove-tabs": Neighbour(REWRITES, ("prompt",)),
    "forbid-crlf": Neighbour(REFUSES, ("prompt",)),
    "forbid-tabs": Neighbour(REFUSES, ("prompt",)),
    "pretty-format-json": Neighbour(REWRITES, _JSON),
    "prettier": Neighbour(REWRITES, (*_JSON, "readme")),
    "biome-format": Neighbour(REWRITES, (*_JSON, "readme")),
    "biome-check": Neighbour(REWRITES, (*_JSON, "readme")),
    "biome-ci": Neighbour(REFUSES, (*_JSON, "readme")),
    "fix-smartquotes": Neighbour(REWRITES, _WORDS),
    "fix-unicode-dashes": Neighbour(REWRITES, _WORDS),
    "fix-ligatures": Neighbour(REWRITES, _WORDS),
    "fix-spaces": Neighbour(REWRITES, _WORDS),
    "codespell": Neighbour(REFUSES, _WORDS),
    "typos": Neighbour(REWRITES, _WORDS),
    "typos-docker": Neighbour(REWRITES, _WORDS),
    "typos-src": Neighbour(REWRITES, _WORDS),
    "cspell": Neighbour(REFUSES, _WORDS),
    "editorconfig-checker": Neighbour(REFUSES, _WORDS),
    "oxipng": Neighbour(REWRITES, ("picture",)),
    "check-added-large-files": Neighbour(REFUSES, (*_WORDS, "picture")),
    "check-vcs-permalinks": Neighbour(REFUSES, _WORDS),
    # Digests look like secrets to them; what is one in a recording, cas-llm-secrets finds.
    "detect-secrets": Neighbour(REFUSES, _JSON),
    "gitleaks": Neighbour(REFUSES, _JSON, ".gitleaks.toml"),
    "gitleaks-docker": Neighbour(REFUSES, _JSON, ".gitleaks.toml"),
    "gitleaks-system": Neighbour(REFUSES, _JSON, ".gitleaks.toml"),
}
"""The hooks that are known to, by their ids."""


def pattern(place: str) -> str:
    """The regular expression for all below *place*, as pre-commit matches it."""
    return "^" + "".join(sign if sign in "/_" else re.escape(sign) for sign in place) + "/"


def yaml_text(text: str) -> str:
    """*text* as a YAML value on one line."""
    if re.fullmatch(r"[\w^/\\.-]+", text, re.ASCII):
        return text
    return "'" + text.replace("'", "''") + "'"


def reaches(name: str, place: str, keys: Iterable[Keys]) -> bool:
    """Whether the hook *name* is given a file of the store at *place* that it would harm.

    *keys* are those of the file and those of the hook; what they leave in doubt counts as given.
    """
    told = list(keys)
    return any(
        all(_given(f"{place}/{path}", tags | _EVERY, one) for one in told)
        for path, tags in map(_SAMPLES.__getitem__, NEIGHBOURS[name].kinds)
    )


def _given(path: str, tags: frozenset[str] | set[str], keys: Keys) -> bool:
    if "exclude" in keys and _matches(keys["exclude"], path, doubt=False):
        return False
    if "files" in keys and not _matches(keys["files"], path, doubt=True):
        return False
    every, some = words(keys.get("types")), words(keys.get("types_or"))
    if (every and not tags.issuperset(every)) or (some and tags.isdisjoint(some)):
        return False
    return tags.isdisjoint(words(keys.get("exclude_types")) or ())


def _matches(expression: str | None, path: str, *, doubt: bool) -> bool:
    if expression is None:
        return doubt
    try:
        return re.search(expression, path) is not None
    except re.error:
        return doubt
