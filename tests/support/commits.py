"""A git repository with a store, in which a test stages what somebody might stage."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.stores import TEST, every_kind

from cas_llm.guard.codes import CODES
from cas_llm.guard.integrity import judge
from cas_llm.guard.staged import Staged, of_environment
from cas_llm.store import Store
from cas_llm.store.proof.census import Finding

TEST_FILE = TEST.partition("::")[0]


@dataclass(frozen=True)
class Repository:
    """A repository at `path` whose store lies in the folder `store`."""

    path: Path
    store: str = "cache_store"

    @classmethod
    def made(cls, path: Path) -> Repository:
        """An empty repository at *path*, whatever the user's git says."""
        path.mkdir(parents=True, exist_ok=True)
        made = cls(path)
        made.git("init", "-q", "-b", "main")
        made.git("config", "gc.auto", "0")
        return made

    @classmethod
    def recorded(cls, path: Path) -> Repository:
        """One whose only commit holds a store with every kind of file, and its test."""
        made = cls.made(path)
        made.filled()
        made.write(TEST_FILE, "class TestChat:\n    def test_greets(self, kind):\n        ...\n")
        made.commit("Record")
        return made

    def copy(self, path: Path) -> Repository:
        """The same at *path*."""
        return Repository(Path(shutil.copytree(self.path, path, symlinks=True)), self.store)

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.path / self.store

    def git(self, *words: str) -> str:
        """What git says to *words*."""
        line = ["git", "-C", str(self.path), *words]
        done = subprocess.run(line, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str | bytes) -> Path:
        """The file *name* with *text* in it."""
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return place

    def commit(self, message: str = "Change") -> str:
        """Commit all there is; the commit."""
        self.git("add", "-A", "-f", ".", ":!*/.local")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def staged(self, variables: Mapping[str, str] | None = None) -> Staged:
        """What a hook sees that git starts; with other *variables* somebody else does."""
        environ = {"GIT_INDEX_FILE": ".git/index"} if variables is None else variables
        return of_environment(self.path, environ)

    def one(self, pattern: str) -> Path:
        """The first file of the store that *pattern* finds."""
        return min(self.root.glob(pattern))

    def name(self, path: Path) -> str:
        """What git calls the file at *path*."""
        return path.relative_to(self.path).as_posix()

    def do(self, finding: Finding) -> None:
        """Type the git command that *finding* ends with."""
        words = shlex.split(finding.command)
        assert words[0] == "git", finding
        self.git(*words[1:])

    def filled(self) -> Store:
        """A store with every kind of file, on the disk only; what it names is all there."""
        store = every_kind(self.root)
        shutil.rmtree(self.root / ".local", ignore_errors=True)
        return store


def told(repository: Repository) -> list[Finding]:
    """What `cas-llm-verify` says of a commit of what is staged; each has a code of the table."""
    found = judge(repository.staged())
    assert {one.code for one in found} <= CODES.keys()
    return found


def staged(repository: Repository) -> list[Finding]:
    """What it says once all that there is was added."""
    repository.git("add", "-A")
    return told(repository)
