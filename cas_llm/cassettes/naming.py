"""Which test a cassette belongs to, told by its place, its name and the tests that exist.

pytest-recording, pydantic-ai and cassetter write ``cassettes/<module>/<Class.>test[param].yaml``,
pytest-vcr and vcrpy's unittest case leave the module out, vcrpy alone takes any name that the code
says. A guess counts only where exactly one test fits; what is not plain stays without a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cas_llm.cassettes.suite import Suite, Test
from cas_llm.errors import ConfigError

_FORBIDDEN = re.compile(r"""[<>?%*:|"'/\\]""")
_ENDINGS = re.compile(r"(?:\.(?:ya?ml|json|toml))?(?:\.gz)?\Z", re.IGNORECASE)
_MODULE = re.compile(r"test_|.*_tests?\Z")
NAMELESS = "use::"
"""What the scope of a cassette without a test begins with, as a named block's does."""


@dataclass(frozen=True)
class Owner:
    """Whose a cassette is: a test by its id, or, without one, a block named after the file."""

    scope: str
    source: str = ""
    is_test: bool = False


@dataclass(frozen=True)
class Mapped:
    """One ``--map PATTERN=TEST``; each ``*`` of the test is what the pattern's stood for."""

    pattern: str
    test: str

    @classmethod
    def parse(cls, text: str) -> Mapped:
        """The mapping that *text* says.

        Raises:
            ConfigError: it has no ``=``, or the test's name no ``::``.

        """
        pattern, sign, test = text.partition("=")
        if not (pattern and sign and "::" in test):
            raise ConfigError(
                f"{text!r} is no PATTERN=TEST, such as 'tests/vcr/*.yaml=tests/test_bot.py::*'",
                source="--map",
            )
        return cls(pattern.strip(), test.strip())

    def of(self, path: str) -> str:
        """The test that the cassette *path* belongs to, empty where the pattern does not fit."""
        pieces = [re.escape(piece) for piece in self.pattern.split("*")]
        found = re.fullmatch("([^/]*)".join(pieces), path)
        if found is None:
            return ""
        stars = iter([*found.groups()])
        return re.sub(r"\*", lambda _: next(stars, ""), self.test)


class Naming:
    """The owners of cassettes in the project whose tests *suite* knows."""

    def __init__(self, suite: Suite, mapped: Sequence[Mapped] = ()) -> None:
        self._suite = suite
        self._mapped = mapped

    def owner(self, path: Path) -> Owner:
        """Whose the cassette at *path* is.

        Raises:
            ConfigError: a mapping names a test that does not exist.

        """
        place = self._relative(path)
        for one in self._mapped:
            if name := one.of(place):
                return self._named(name, one)
        stem = _ENDINGS.sub("", path.name)
        for tests in (self._beside(path), self._around(path), self._mentioning(path)):
            fitting = [owner for test in tests if (owner := _fit(test, stem, path))]
            if len(set(fitting)) == 1:
                return fitting[0]
        return Owner(f"{NAMELESS}{_ENDINGS.sub('', place)}")

    def _named(self, name: str, mapped: Mapped) -> Owner:
        test = self._suite.test(name)
        if test is None:
            raise ConfigError(
                f"{mapped.pattern}={mapped.test}: there is no test {name}", source="--map"
            )
        return Owner(name, test.source, is_test=True)

    def _relative(self, path: Path) -> str:
        try:
            return path.absolute().relative_to(self._suite.root.absolute()).as_posix()
        except ValueError:
            return path.as_posix()

    def _beside(self, path: Path) -> Iterable[Test]:
        """The tests of the module that the cassette's folder is named after; the nearest first."""
        known = self._suite.by_stem.get(path.parent.name, ())
        near = path.absolute().parent.parent.parent
        own = [one for one in known if one.parent == near]
        return [test for one in own or known for test in self._suite.tests_in(one)]

    def _around(self, path: Path) -> Iterable[Test]:
        """The tests of the modules in the folder above the cassettes'."""
        above = path.absolute().parent.parent
        files = [one for one in self._suite.files if one.parent == above]
        return [test for one in files for test in self._suite.tests_in(one)]

    def _mentioning(self, path: Path) -> Iterable[Test]:
        """The tests that name the file in a marker or a call, or that it is named after."""
        stem = _ENDINGS.sub("", path.name)
        # In a module's own folder it is that module's, which has no such test any more.
        free = not _MODULE.match(path.parent.name)
        for one in self._suite.files:
            for test in self._suite.tests_in(one):
                alike = free and stem.partition("[")[0].rpartition(".")[2] == test.name
                if alike or path.name in test.named or stem in test.named:
                    yield test


def _fit(test: Test, stem: str, path: Path) -> Owner | None:
    """*test* as the owner of a cassette called *stem*, with its parameters; None if it is not."""
    base, bracket, rest = stem.partition("[")
    ours = f"{test.cls}.{test.name}" if test.cls else test.name
    if base == ours:
        parameters = _restored(f"{bracket}{rest}", test.words)
        return Owner(f"{test.id}{parameters}", test.source, is_test=True)
    named = path.name in test.named or stem in test.named
    return Owner(test.id, test.source, is_test=True) if named else None


def _restored(parameters: str, words: Iterable[str]) -> str:
    """*parameters* with the characters back that a file name could not hold, where a word tells."""
    for word in sorted(words, key=len, reverse=True):
        plain = _FORBIDDEN.sub("-", word)
        if plain != word and "\n" not in word and plain in parameters:
            parameters = parameters.replace(plain, word)
    return parameters
