"""Attempts to commit or push through real pre-commit, and all that they may not change.

::

    attempt = Attempts(guarded).commit()
    assert attempt.blocked and attempt.codes == ["CAS070"]
    assert attempt.harm == ()

The hooks are this tree's, as `repo: local` with `language: system`, so that no environment is made.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from support.guarded import Guarded
from support.projects import Result

HOOKS = ("replayable", "verify", "stale", "secrets")
COMMIT = ("git", "commit", "-q", "-m", "A commit")
_FINDING = re.compile(r"^(?P<path>\S.*): (?P<code>CAS\d{3}) (?:error|warning|info): ", re.MULTILINE)
_STARTED = re.compile(r"^cas-llm (\w+)\.*", re.MULTILINE)


@dataclass(frozen=True)
class State:
    """What a hook may not touch: the index, HEAD, the stashes, every file outside `.local`."""

    index: frozenset[str]
    head: str
    stashes: str
    status: str
    files: Mapping[str, str]
    temporary: tuple[str, ...]


@dataclass(frozen=True)
class Attempt:
    """What came of one command: its `result`, the state before and after, the calls it made."""

    result: Result
    before: State
    after: State
    calls: int

    @property
    def text(self) -> str:
        """Everything that was said."""
        return self.result.text

    @property
    def blocked(self) -> bool:
        """Whether the command failed."""
        return self.result.code != 0

    @cached_property
    def codes(self) -> list[str]:
        """The codes of all findings, a finding each, sorted."""
        return sorted(found["code"] for found in _FINDING.finditer(self.text))

    @cached_property
    def hooks(self) -> list[str]:
        """The hooks that were started."""
        return sorted(_STARTED.findall(self.text))

    def harm(self, stages: str = "") -> tuple[str, ...]:
        """What the hooks changed that is the user's; a commit that goes through moves HEAD.

        *stages* is the file that the command itself adds to the index.
        """
        return tuple(self._harm(stages))

    def _harm(self, stages: str) -> Iterator[str]:
        if self.calls:
            yield f"{self.calls} live calls"
        changed = self.before.index ^ self.after.index
        if others := {line for line in changed if line.partition("\t")[2] != stages}:
            yield f"index: {others}"
        for name in ("stashes", "files", "temporary"):
            if getattr(self.before, name) != getattr(self.after, name):
                yield f"{name}: {getattr(self.before, name)} -> {getattr(self.after, name)}"
        if self.blocked and self.before.head != self.after.head:
            yield "HEAD moved"
        if self.blocked and self.before.status != self.after.status:
            yield f"status: {self.before.status} -> {self.after.status}"


class Attempts:
    """The commands that somebody gives in the project *guarded*, with the hooks installed."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded, self.project = guarded, guarded.project
        # Not the machine's own temporary folder, which a pytest tidies up when it ends.
        self.temporary = self.project.home / "temporary"
        self.temporary.mkdir(exist_ok=True)
        # Tests are started without the variables of git that say who somebody is.
        settings = "[user]\n\tname = Ada\n\temail = ada@example.org\n"
        (self.project.home / ".gitconfig").write_text(settings)
        self.project.env(
            PRE_COMMIT_HOME=str(self.project.home / "pre-commit"),
            TMPDIR=str(self.temporary),
            PRE_COMMIT_COLOR="never",
        )

    @staticmethod
    def configuration() -> str:
        """The hooks of this tree, as a project would name them."""
        rows = [
            f"      - id: cas-llm-{name}\n        name: cas-llm {name}\n"
            f"        entry: {sys.executable} -P -m cas_llm.hook {name}\n"
            "        language: system\n        always_run: true\n        pass_filenames: false\n"
            "        require_serial: true\n        stages: [pre-commit, pre-push, manual]\n"
            "        verbose: true\n"
            for name in HOOKS
        ]
        return "repos:\n  - repo: local\n    hooks:\n" + "".join(rows)

    def installed(self) -> Attempts:
        """Write the configuration, commit it, and let git start the hooks."""
        self.project.file(".pre-commit-config.yaml", self.configuration())
        self.project.commit("Hooks")
        self.install()
        return self

    def install(self) -> None:
        """Let git start the hooks of the configuration that is there."""
        words = ("install", "-t", "pre-commit", "-t", "pre-push")
        done = self.project.run(sys.executable, "-m", "pre_commit", *words)
        assert done.code == 0, done

    def commit(self, *words: str, **variables: str) -> Attempt:
        """``git commit`` with *words*, or of what is staged."""
        return self.run("git", "commit", "-q", "-m", "A commit", *words, **variables)

    def push(self, *words: str) -> Attempt:
        """``git push`` with *words*."""
        return self.run("git", "push", "-q", *words)

    def pre_commit(self, *words: str) -> Attempt:
        """``pre-commit run`` with *words*."""
        return self.run(sys.executable, "-m", "pre_commit", "run", *words)

    def run(self, *words: str, **variables: str) -> Attempt:
        """Any command, with the state before and after it."""
        calls, before = self.guarded.provider.count, self.state()
        result = self.project.run(*words, env=variables, timeout=120)
        return Attempt(result, before, self.state(), self.guarded.provider.count - calls)

    def remote(self) -> str:
        """The path of a new bare repository, as the remote ``origin``."""
        place = self.project.path.parent / "remote.git"
        self.project.git("init", "-q", "--bare", "-b", "main", str(place))
        self.project.git("remote", "add", "origin", str(place))
        return str(place)

    def state(self) -> State:
        """All that the hooks may not touch, as it is now."""
        git = self.project.git
        return State(
            frozenset(git("ls-files", "-s").splitlines()),
            git("rev-parse", "HEAD"),
            git("stash", "list"),
            git("--no-optional-locks", "status", "--porcelain"),
            dict(_files(self.project.path)),
            tuple(sorted(os.listdir(self.temporary))),
        )


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(folder, name)
            shown = path.relative_to(root).as_posix()
            if shown == ".git" or "/.local/" in shown:
                continue
            data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            yield shown, f"{path.lstat().st_mode:o} {hashlib.sha256(data).hexdigest()}"
