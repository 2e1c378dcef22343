"""Which tests a change of a project may keep from replaying.

The tests that the change edits, the tests whose recordings it adds, changes or deletes, and, where
more is asked for, those that depend on a changed file or all. In doubt it is all of them: a test
too many costs a moment, one too few a red main branch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from cas_llm.errors import StoreError
from cas_llm.guard.replaying.edits import edited_tests
from cas_llm.guard.replaying.projects import Project
from cas_llm.guard.replaying.reach import Reach
from cas_llm.guard.replaying.trial import Chosen
from cas_llm.guard.staged import Change
from cas_llm.store import layout, tape
from cas_llm.store.tape import Tape

PATTERNS = ("test_*.py", "*_test.py")
"""The files that pytest collects unless the project says otherwise."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PYTHON_FILES = re.compile(r"^\s*python_files\s*=\s*(\[[^]]*\]|.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_BLOCK = "use::"


class Selector:
    """Chooses tests of *project* by what is staged there."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._staged = project.staged
        self._store = project.store
        self._patterns = PATTERNS + _own_patterns(project.path)

    def edited(self) -> Chosen:
        """The tests that are edited or added, or that see an edited conftest.py."""
        chosen = Chosen()
        for change in self._outside_store():
            path = self._staged.top / change.path
            if path.name == "conftest.py":
                chosen |= Chosen(folders=frozenset({path.parent}))
            elif self._is_test_file(change.path) and not change.is_deletion:
                chosen |= self._of_file(path, change)
        return chosen

    def recorded(self, reach: Reach) -> Chosen:
        """The tests whose recordings are staged, or that were served what is changed or deleted.

        *reach* knows of tests that are served what others recorded.
        """
        tapes = [change for change in self._in_store() if self._is_tape(change.path)]
        changed = self._changed(tapes)
        chosen = self._of_tapes(changed, reach)
        names: set[str] = set()
        for change in self._in_store():
            name = self._name(change.path)
            if name.startswith(f"{layout.SHARED}/"):
                names |= _digests(name)
            elif change.old and not self._is_tape(change.path):
                if _is_part(name) or not _digests(name):
                    # What names a part is known to other recordings only.
                    return chosen | self.everything(reach)
                names |= _digests(name)
        chosen |= self._of_tapes(self._served(names), reach)
        return chosen | self.of_scopes(reach.asking(frozenset(names)))

    def everything(self, reach: Reach) -> Chosen:
        """All tests that are known to use recordings: by a tape, or by what *reach* has seen."""
        return self._of_tapes(self._tapes.values(), reach) | self.of_scopes(reach.everybody())

    def of_scopes(self, scopes: Iterable[str]) -> Chosen:
        """The tests that the *scopes* of tapes stand for, a fixture's by who asks for it."""
        chosen = Chosen()
        for scope in set(scopes):
            where, _, name = scope.partition("::")
            if not name or scope.startswith(_BLOCK):
                continue
            places = self._places(where)
            seen = {one.parent if one.name == "conftest.py" else one for one in places}
            fixture = _bare(name).rpartition("::")[2]
            chosen |= Chosen(
                tests=frozenset({scope}),
                parts=frozenset((place, name) for place in places if place.suffix == ".py"),
                fixtures=frozenset((fixture, place) for place in seen or {self.project.path}),
            )
        return chosen

    def places(self, chosen: Chosen) -> list[Path]:
        """What pytest has to collect to find *chosen*."""
        found = {*chosen.files, *chosen.folders, *(path for path, _ in chosen.parts)}
        for scope in chosen.tests:
            where, _, name = scope.partition("::")
            places = self._places(where)
            found |= {one.parent if one.name == "conftest.py" else one for one in places}
            if not places and not _bare(name).rpartition("::")[2].startswith("test"):
                # A plugin's fixture: anybody may ask for it. A test without a file is gone.
                found.add(self.project.path)
        # What is collected with its folder, or is a fixture's own file.
        names = {one.parent if one.name == "conftest.py" else one for one in found}
        return sorted(one for one in names if not names.intersection(one.parents))

    # -- files ---------------------------------------------------------------------------------

    def _outside_store(self) -> Iterator[Change]:
        inside = set(self._in_store())
        return (change for change in self.project.changes if change not in inside)

    def _in_store(self) -> Iterator[Change]:
        if self._store is None:
            return iter(())
        start = f"{self._store}/"
        return (change for change in self.project.changes if change.path.startswith(start))

    def _is_test_file(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        return name.endswith(".py") and any(fnmatch(name, one) for one in self._patterns)

    def _of_file(self, path: Path, change: Change) -> Chosen:
        texts = dict(self._staged.contents(filter(None, (change.old, change.new))))
        tests = None
        if change.old:
            tests = edited_tests(texts.get(change.old, b""), texts.get(change.new, b""))
        if tests is None:
            return Chosen(files=frozenset({path}))
        return Chosen(parts=frozenset((path, name) for name in tests))

    def _places(self, where: str) -> list[Path]:
        """The files that pytest may call *where*: relative to its root, which may be any folder."""
        for folder in (self.project.path, self._staged.top):
            if (folder / where).exists():
                return [folder / where]
        start = f"{self.project.folder}/" if self.project.folder else ""
        paths = self._by_name.get(where.rpartition("/")[2], ())
        ends = (path for path in paths if f"/{path}".endswith(f"/{where}"))
        return [self._staged.top / path for path in ends if path.startswith(start)]

    @cached_property
    def names(self) -> Mapping[str, str]:
        """All staged files, by their paths below the top."""
        return self._staged.files(".")

    @cached_property
    def _by_name(self) -> Mapping[str, list[str]]:
        """The staged files by their last names."""
        found: dict[str, list[str]] = {}
        for path in self.names:
            found.setdefault(path.rpartition("/")[2], []).append(path)
        return found

    def _of_tapes(self, tapes: Iterable[Tape], reach: Reach) -> Chosen:
        """The tests that *tapes* are of, those that are known to enter a named block among them.

        Where nobody knows who enters it, all there are.
        """
        scopes, keys = set(), set()
        for one in tapes:
            scopes.add(one.scope)
            keys |= {turn.key for turn in one.turns} if one.scope.startswith(_BLOCK) else set()
        entering = self.of_scopes(reach.asking(frozenset(keys)))
        if keys and not entering:
            return Chosen(folders=frozenset({self.project.path}))
        return self.of_scopes(scopes) | entering

    # -- recordings ----------------------------------------------------------------------------

    @cached_property
    def _tapes(self) -> Mapping[str, Tape]:
        """All staged tapes that can be read, by their paths in the store."""
        if self._store is None:
            return {}
        files = self._staged.files(self._store)
        blobs = {blob: name for name, blob in files.items() if _is_tape_name(name)}
        found = {}
        for blob, data in self._staged.contents(blobs):
            if (one := _decoded(data, blobs[blob])) is not None:
                found[blobs[blob]] = one
        return found

    def _changed(self, changes: Iterable[Change]) -> list[Tape]:
        """The tapes before and after *changes*, of those that can be read."""
        # The one before, too: a tape that is damaged no longer says whose it is.
        blobs = {blob: one.path for one in changes for blob in (one.old, one.new) if blob}
        found = (_decoded(data, blobs[blob]) for blob, data in self._staged.contents(blobs))
        return [one for one in found if one is not None]

    def _served(self, names: set[str]) -> Iterator[Tape]:
        """The tapes that name one of the keys and digests *names*."""
        if not names:
            return
        for one in self._tapes.values():
            if not names.isdisjoint(_DIGEST.findall(one.data.decode("ascii", "replace"))):
                yield one

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self._store}/")

    def _is_tape(self, path: str) -> bool:
        return _is_tape_name(self._name(path))


def _bare(name: str) -> str:
    """The name of a test without its parameters."""
    return name.partition("[")[0]


def _own_patterns(project: Path) -> tuple[str, ...]:
    """The project's own ``python_files``, wherever pytest would read it."""
    for name in ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        try:
            text = (project / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if said := _PYTHON_FILES.search(text):
            return tuple(re.findall(r"[^\s,\[\]\"']+", said[1]))
    return ()


def _digests(name: str) -> set[str]:
    return set(_DIGEST.findall(name.replace("/", "")))


def _is_part(name: str) -> bool:
    return name.startswith(f"{layout.OBJECTS}/") and not name.endswith(".json")


def _is_tape_name(name: str) -> bool:
    return name.startswith(f"{layout.TAPES}/") and bool(
        layout.TAPE_NAME.match(name.rpartition("/")[2])
    )


def _decoded(data: bytes, name: str) -> Tape | None:
    # A tape that cannot be read is the finding of another hook.
    try:
        return tape.decode(data, Path(name))
    except StoreError:
        return None
