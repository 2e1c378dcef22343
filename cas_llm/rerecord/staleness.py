"""Which recordings the rules for stale ones name, told as keys and digests to select by."""

from __future__ import annotations

from pathlib import Path

from cas_llm.errors import ConfigError
from cas_llm.guard import stale
from cas_llm.guard.staged import NotARepository, Staged
from cas_llm.guard.stored import digest_of
from cas_llm.rerecord.planning import Kept
from cas_llm.store import Store

# Asking again mends what is too old, what was written by old rules, and what two branches recorded.
_MENDED = {"CAS083": "aged", "CAS084": "old_key", "CAS040": "tied"}
_RETIRED = "CAS085"


def named(store: Store) -> tuple[frozenset[str], list[Kept]]:
    """The keys and digests of stale recordings, and those that cannot be recorded anew.

    Raises:
        ConfigError: the store lies in no git repository: the rules are about what is tracked.

    """
    from cas_llm import gitrepo

    top = gitrepo.git_root(store.root.resolve())
    if top is None:
        raise ConfigError(f"--stale looks at what git tracks, and {store.root} is in no repository")
    folder = store.root.resolve().relative_to(top).as_posix()
    found: set[str] = set()
    kept: dict[str, Kept] = {}
    try:
        findings = stale.judge(Staged(top, is_push=True))
    except NotARepository as error:
        raise ConfigError(str(error), source="--stale") from None
    for finding in findings:
        path = finding.path.removeprefix(f"{folder}/")
        if finding.code in _MENDED:
            found |= _named_by(store, path)
        elif finding.code == _RETIRED:
            scope = finding.tests[0] if finding.tests else path
            kept[scope] = Kept(scope, finding.what, "choose the model that takes its place")
    return frozenset(found), list(kept.values())


def _named_by(store: Store, path: str) -> set[str]:
    """The digest that *path* is, or all answers of the tape it is."""
    if digest := digest_of(path):
        return {digest}
    tape = store.manifest.load_tape(Path(store.root, path))
    return {turn.digest for turn in tape.turns}
