"""Whether a recorded test is still written down in the files that are about to be committed.

Told from their texts; nothing is imported. Tests are made in more ways than a text shows
(inherited, generated, parametrised from outside), so that only what is plainly not there is gone
and everything else is doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from cas_llm import gitrepo
from cas_llm.gitrepo.blobs import Blobs
from cas_llm.guard.staged import HEAD, Staged

# How a module gets names that do not stand in it.
_MAKES_NAMES = re.compile(
    r"import \*|\b(?:globals|locals|vars|setattr|exec|eval|type|make_dataclass)\(|__dict__|"
    r"__getattr__|metaclass|load_tests|pytest_pycollect|parameterized|\bddt\b"
)
_DEFINED = re.compile(
    r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)|^[ \t]*class[ \t]+(\w+)", re.MULTILINE
)
_CLASS = r"^[ \t]*class[ \t]+{}[ \t]*(?:\(\s*(?:object)?\s*\))?[ \t]*:"
_WORD = re.compile(r"\w+\Z")
_SECONDS = 5.0


def is_defined(scope: str, text: str) -> bool | None:
    """Whether the test or fixture *scope* is in the *text* of its file; None where in doubt."""
    *classes, name = scope.partition("::")[2].partition("[")[0].split("::")
    if not _WORD.match(name) or not all(_WORD.match(each) for each in classes):
        return None
    # Any mention counts: a name imported or assigned, a fixture's `name=`.
    missing = [each for each in (*classes, name) if not re.search(rf"\b{each}\b", text)]
    if not missing:
        return True
    if _MAKES_NAMES.search(text):
        return None
    # Decorators make `test_a_0` out of `test_a`, `TestA_0` out of `TestA`.
    written = {found[1] or found[2] for found in _DEFINED.finditer(text)}
    if any(each.startswith(f"{known}_") for each in missing for known in written):
        return None
    # A class with bases may have inherited the test.
    there = [each for each in classes if each not in missing]
    plain = all(re.search(_CLASS.format(each), text, re.MULTILINE) for each in there)
    return False if plain else None


class Definitions:
    """The test files of the tree that *staged* stands for; what is asked for is read once."""

    def __init__(self, staged: Staged) -> None:
        self._staged = staged
        self._texts: dict[str, str | None] = {}

    def has(self, scope: str, beside: str = ".") -> bool | None:
        """Whether *scope*, of a store in the folder *beside*, still stands in a file.

        None where nobody can say: a named block, a file that git never had, a test that may be
        inherited or made by code.
        """
        place, found, _ = scope.partition("::")
        if not found or not place.endswith(".py"):
            return None
        texts = [self._text(path) for path in self._paths(place, beside)]
        if not texts:
            return False if self._was_deleted(place) else None
        verdicts = [None if text is None else is_defined(scope, text) for text in texts]
        return True if True in verdicts else None if None in verdicts else False

    def _paths(self, place: str, beside: str) -> list[str]:
        """The files that a test's id may mean: ids start where pytest was started."""
        files = self._by_name.get(place.rpartition("/")[2], ())
        near = beside.rpartition("/")[0]
        nearest = f"{near}/{place}" if near else place
        if nearest in files:
            return [nearest]
        return [path for path in files if path == place or path.endswith(f"/{place}")]

    @cached_property
    def _files(self) -> dict[str, str]:
        files = self._staged.files(".")
        return {path: blob for path, blob in files.items() if path.endswith(".py")}

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._files:
            found.setdefault(path.rpartition("/")[2], []).append(path)
        return found

    def _text(self, path: str) -> str | None:
        if path not in self._texts:
            with Blobs(self._staged.top) as blobs:
                try:
                    self._texts[path] = blobs.read(self._files[path]).decode()
                except (FileNotFoundError, UnicodeDecodeError):
                    self._texts[path] = None
        return self._texts[path]

    def _was_deleted(self, place: str) -> bool:
        """Whether git had a file like *place* once: others are made when the tests are run."""
        here = (change.path for change in self._staged.changes if change.is_deletion)
        return _ends(here, place) or _ends(self._deleted, place)

    @cached_property
    def _deleted(self) -> frozenset[str]:
        tip = self._staged.commit or HEAD
        words = ("log", "--diff-filter=D", "--no-renames", "--name-only", "--format=", "-z", tip)
        said = gitrepo.run_git(self._staged.top, *words, seconds=_SECONDS) or b""
        # Cut by the time limit, the last may be half a name.
        names = said.decode("utf-8", "surrogateescape").split("\0")
        return frozenset(name.strip("\n") for name in names if name.endswith(".py"))


def _ends(paths: Iterable[str], place: str) -> bool:
    return any(path == place or path.endswith(f"/{place}") for path in paths)
