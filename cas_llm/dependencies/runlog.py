"""What is known of a suite's tests and of the files they depend on, as one document on disk.

One document a suite (a folder that pytest calls its rootdir), in ``.local/tests/``: never tracked,
replaced in one step, and nothing where it can't be read. Paths are relative to the top of the work
tree, with ``/`` between their parts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from cas_llm.dependencies.fingerprint import Fingerprint
from cas_llm.digest import digest_of

FORMAT = "cas-llm/tests/1"
FOLDER = "tests"
_PASSED = "passed"


@dataclass(frozen=True)
class File:
    """A Python file of the project, as it was when tests last used it.

    `imports` are files of the project that it may import or that run before it, `names` all names
    it asks for; `reads` and `lists` are files and folders its code looked into. `dynamic`: some of
    its imports are made at run time. `starts` is a program that its code started.
    """

    id: str
    imports: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    dynamic: bool = False
    starts: str = ""


@dataclass(frozen=True)
class Test:
    """A test as it last ran: its `file`, what became of it, and what it used.

    `opaque` says why not all it depends on can be known, `behind` names files that were edited
    since: another test ran with the new text, this one did not.
    """

    __test__ = False

    file: str
    outcome: str
    used: tuple[tuple[str, str], ...] = ()
    tapes: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    opaque: str = ""
    behind: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it asked an LLM for anything."""
        return bool(self.used or self.missed)


@dataclass(frozen=True)
class RunLog:
    """All that is known of one suite.

    `suite` is its folder; `data` maps what is read and is no module to its blob id, empty for what
    was looked for in vain; `configuration` the files that settings came from to theirs; `plugins`
    are the project's own. `everybody` holds what all tests depend on. `shared` are keys and
    digests that were used while modules were imported.
    """

    suite: str
    algorithm: str = "sha1"
    roots: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ("test_*.py", "*_test.py")
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    configuration: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    files: Mapping[str, File] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, Test] = field(default_factory=dict)
    everybody: File = field(default_factory=lambda: File(""))
    shared: tuple[tuple[str, str], ...] = ()

    def llm_tests(self) -> dict[str, Test]:
        """The tests known to ask an LLM: all of them, where one of the imports does."""
        if self.shared:
            return dict(self.tests)
        return {name: test for name, test in self.tests.items() if test.asks}


def path_of(local: Path, suite: str) -> Path:
    """Where the log of *suite* lies; *local* is the store's own local folder."""
    name = "all" if suite == "." else digest_of(suite.encode("utf-8", "surrogatepass"))[:16]
    return local / FOLDER / f"{name}.json"


def read_all(local: Path) -> Iterator[RunLog]:
    """The logs of all suites that use the store whose local folder is *local*.

    Raises:
        ValueError: one can't be read; what it knew is unknown.

    """
    try:
        entries = sorted(os.scandir(local / FOLDER), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".json"):
            yield decoded(_content(Path(entry.path)))


def read(local: Path, suite: str) -> RunLog | None:
    """The log of *suite*; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return decoded(path_of(local, suite).read_bytes())
    return None


def encoded(log: RunLog) -> bytes:
    """The bytes of the document that `decoded` reads."""
    plain = frozenset(n for n, one in log.tests.items() if one == Test(one.file, _PASSED))
    document = {
        "format": FORMAT,
        "suite": log.suite,
        "algorithm": log.algorithm,
        "roots": log.roots,
        "patterns": log.patterns,
        "fingerprint": log.fingerprint.document(),
        "configuration": dict(log.configuration),
        "plugins": log.plugins,
        "files": {path: _row(one) for path, one in sorted(log.files.items())},
        "data": dict(sorted(log.data.items())),
        "tests": {n: _row(one) for n, one in sorted(log.tests.items()) if n not in plain},
        "plain": _by_file(log.tests, plain),
        "everybody": _row(log.everybody),
        "shared": log.shared,
    }
    try:
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):
        import json

        # A lone surrogate, as in a path that is no UTF-8.
        return json.dumps(document).encode("ascii") + b"\n"


def decoded(data: bytes) -> RunLog:
    """The log in *data*.

    Raises:
        ValueError: it is not one that this version wrote.

    """
    try:
        document = _document(data)
        if document["format"] != FORMAT:
            raise ValueError(f"it says {str(document['format'])[:40]!r} instead of {FORMAT!r}")
        return RunLog(
            str(document["suite"]),
            str(document["algorithm"]),
            tuple(document["roots"]),
            tuple(document["patterns"]),
            Fingerprint.of_document(document["fingerprint"]),
            dict(document["configuration"]),
            tuple(document["plugins"]),
            {path: File(**_tuples(row)) for path, row in document["files"].items()},
            dict(document["data"]),
            dict(_tests(document)),
            File(**_tuples(document["everybody"])),
            tuple(map(tuple, document["shared"])),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no log of tests ({error})") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path.name} can't be read: {error.strerror}") from error


def _document(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        import json

        return json.loads(data)


def _tests(document: Mapping[str, Any]) -> Iterator[tuple[str, Test]]:
    for file, names in document["plain"].items():
        one = Test(file, _PASSED)
        for name in names:
            yield name, one
    for name, row in document["tests"].items():
        yield name, Test(**_tuples(row))


def _by_file(tests: Mapping[str, Test], names: Iterable[str]) -> dict[str, list[str]]:
    """Tests of which all is known that there is to know: they passed and used nothing."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(tests[name].file, []).append(name)
    return found


def _row(one: File | Test) -> dict[str, Any]:
    """The fields that say anything."""
    return {name: value for name, value in vars(one).items() if value not in ((), "", False)} | (
        {"id": one.id} if isinstance(one, File) else {"file": one.file, "outcome": one.outcome}
    )


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {n: tuple(value) if isinstance(value, list) else value for n, value in row.items()}


def pairs(used: Iterable[Iterable[str]]) -> tuple[tuple[str, str], ...]:
    """Keys and digests as they are kept, each pair once and in order."""
    found = dict.fromkeys((key, digest) for key, digest in used)
    return tuple(found)
