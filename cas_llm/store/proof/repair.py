"""Mend a store from git: put back the bytes a name stands for, or take a bad file out of the way.

The only part of `verify` that writes. It never calls a provider and never deletes: what cannot be
restored is moved to ``.local/bad/``, and the command that records it anew is named.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cas_llm.digest import digest_of
from cas_llm.gitrepo import git_root, versions_of
from cas_llm.store import layout
from cas_llm.store.files import Writer, cannot_write, read
from cas_llm.store.proof.census import Finding, expected_text, rules_of

_MENDABLE = frozenset(
    {
        "CAS001",
        "CAS002",
        "CAS003",
        "CAS010",
        "CAS011",
        "CAS012",
        "CAS020",
        "CAS021",
        "CAS031",
        "CAS052",
    }
)


@dataclass(frozen=True)
class Mended:
    """What was done about one file; `restored` is whether it is whole again."""

    path: str
    restored: bool
    what: str
    command: str = ""


def repair(root: Path, findings: Iterable[Finding]) -> Iterator[Mended]:
    """Mend each file of *findings* that can be; the others stay as they are."""
    done: set[str] = set()
    writer = Writer(root / layout.LOCAL / "tmp", durable=True)
    for finding in findings:
        if finding.code in _MENDABLE and finding.path not in done:
            done.add(finding.path)
            if finding.code != "CAS003" or not (root / finding.path).exists():
                try:
                    yield _mend(root, finding, writer)
                except OSError as error:
                    raise cannot_write(root / finding.path, error) from error


def _mend(root: Path, finding: Finding, writer: Writer) -> Mended:
    path = root / finding.path
    top = git_root(root.resolve())
    found = versions_of(top, path.resolve()) if top else []
    fixed = expected_text(finding.path)
    if fixed is not None:
        return _fixed(path, finding, fixed, found, writer)
    if finding.path.startswith(f"{layout.SHARED}/"):
        writer.replace(path, b"")
        return Mended(finding.path, restored=True, what="emptied: its name is the entry")
    is_right = _judge(finding.path)
    if path.exists() and is_right(read(path)):
        return Mended(finding.path, restored=True, what="is whole")
    for data in found:
        if is_right(data):
            writer.replace(path, data)
            return Mended(finding.path, restored=True, what="restored from git, digest checked")
    return _set_aside(root, path, finding)


def _fixed(
    path: Path, finding: Finding, text: str, found: Iterable[bytes], writer: Writer
) -> Mended:
    """A file that explains the store: as git has it where that will do, else written anew."""
    if "upgrade it" in finding.what:
        what = "a later cas-llm wrote this store; nothing was changed"
        return Mended(finding.path, restored=False, what=what, command="pip install -U cas-llm")
    for data in found:
        if rules_of(text) <= rules_of(data.decode("utf-8", "replace")):
            writer.replace(path, data)
            return Mended(finding.path, restored=True, what="restored from git")
    writer.replace(path, text.encode())
    return Mended(finding.path, restored=True, what="written anew")


def _judge(path: str) -> Callable[[bytes], bool]:
    """Whether bytes are what the name *path* stands for."""
    place = Path(path)
    if path.startswith(f"{layout.TAPES}/"):
        named = layout.TAPE_NAME.match(place.name)
        short = named["short"] if named else "-"
        return lambda data: digest_of(data).startswith(short)
    digest = place.parent.name + place.name.partition(".")[0]
    return lambda data: digest_of(data) == digest


def _set_aside(root: Path, path: Path, finding: Finding) -> Mended:
    tests = finding.tests or _test_of(finding.path)
    named = " ".join(shlex.quote(test) for test in tests if "::" in test or test.endswith(".py"))
    command = (
        f"pytest {named} --cas-llm=capture" if named else "run it once with CAS_LLM_MODE=capture"
    )
    if not path.exists():
        return Mended(finding.path, restored=False, what="git never held it", command=command)
    bad = root / layout.LOCAL / "bad" / path.name
    bad.parent.mkdir(parents=True, exist_ok=True)
    path.replace(bad)
    what = f"git holds no whole copy; moved to {layout.LOCAL}/bad/{path.name}"
    return Mended(finding.path, restored=False, what=what, command=command)


def _test_of(path: str) -> tuple[str, ...]:
    """The test file whose tape lies at *path*; the tape itself can no longer say its test."""
    folder = path.removeprefix(f"{layout.TAPES}/").rpartition("/")[0]
    return (folder,) if path.startswith(f"{layout.TAPES}/") else ()
