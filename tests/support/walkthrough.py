"""Follows a page as its reader would: writes the files it shows, types its commands, compares.

A page is followed in a project of its own: a git repository without a commit, no key, no way off
loopback, and a scripted provider where OpenAI and Anthropic would be. What a reader would install
is there already: `pip` and `uv` on the path check that it is, and `make` that the target exists.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import answers
from support.blocks import Block, Command, Direction, read_page
from support.projects import TREE, Project
from support.provider import Received, Reply, ScriptedProvider
from support.shapes import text_in
from support.shell import Shell

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_INSTALL = """\
#!{python}
import re, sys
from importlib.metadata import PackageNotFoundError, distribution
words = [word for word in sys.argv[1:] if not word.startswith("-") and word not in {words}]
for word in words:
    name = re.split(r"[\\[<>=!~]", word)[0]
    try:
        name in {{"", ".", "cas-llm"}} or distribution(name)
    except PackageNotFoundError:
        sys.exit(f"the page installs {{word}}, which is not in the environment of the tests")
"""
_MAKE = '#!/bin/sh\nexec {make} --dry-run --silent -C {tree} "$@" >/dev/null\n'
_CAS_LLM = '#!/bin/sh\nexec {python} -m cas_llm "$@"\n'


class PageError(AssertionError):
    """A page that does not do what it shows."""


@dataclass
class Walkthrough:
    """One page, followed from its first block to its last.

    `ran` counts what was run or written, `skipped` says line and reason of what was not, `typed` is
    each command with what it printed.
    """

    page: Path
    folder: Path
    provider: ScriptedProvider
    ran: int = 0
    skipped: list[str] = field(default_factory=list)
    typed: list[tuple[str, str]] = field(default_factory=list)
    _answers: list[tuple[str, str]] = field(default_factory=list)
    _shell: Shell | None = None
    _project: Project | None = None
    _started: int = 0

    def follow(self, base_url: str = "") -> None:
        """Run the whole page; *base_url* is a model to ask in place of the scripted provider.

        Raises:
            PageError: a block does not do what the page shows; says where, and both.

        """
        self.provider.script(self._reply)
        self._base_url = base_url or self.provider.url
        steps = read_page(self.page.read_text("utf-8"))
        self._answers = [(s.left, s.right) for s in steps if _is(s, "answer")]
        try:
            self._begin()
            for step in steps:
                if _is(step, "new project"):
                    self._begin()
                elif isinstance(step, Block):
                    self._take(step)
        finally:
            if self._shell is not None:
                self._shell.close()

    def _begin(self) -> None:
        if self._shell is not None:
            self._shell.close()
        self._started += 1
        self._project = Project(self.folder / str(self._started))
        home = self._project.home
        (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
        tools = home / "tools"
        tools.mkdir()
        _stand_ins(tools)
        port = self.provider.port
        self._project.env(
            COLUMNS="80",
            # Of the tests' own environment, not of a reader's.
            PYTHONWARNINGS="ignore:The configuration option",
            CAS_LLM_HOSTS=f"127.0.0.1:{port}=openai,localhost:{port}=anthropic",
            OPENAI_BASE_URL=self._base_url,
            ANTHROPIC_BASE_URL=f"http://localhost:{port}",
        )
        environment = self._project.environment
        environment["PATH"] = f"{tools}:{environment['PATH']}"
        environment["PYTHONPATH"] += ":."
        # pytest finds the plugin by its entry point; where there is none, by name.
        if plugin := " ".join(_plugin()):
            environment["PYTEST_ADDOPTS"] = plugin
        self._shell = Shell(self._project.path, environment, home)

    def _take(self, block: Block) -> None:
        if block.kind == "skipped":
            self.skipped.append(f"line {block.line}: {block.reason}")
        elif block.kind != "shown":
            _DO[block.kind](self, block)
            self.ran += 1

    def _commands(self, block: Block) -> None:
        for command in block.commands:
            self._type(command)

    def _script(self, block: Block) -> None:
        # As `set -e`, which would end the shell with the first command that fails.
        self._type(Command(block.line, block.text), f"trap 'return $?' ERR\n{block.text}trap - ERR")

    def _python(self, block: Block) -> None:
        program = f"{shlex.quote(sys.executable)} -c {shlex.quote(block.text)}"
        self._type(Command(block.line, block.text), program)

    def _file(self, block: Block) -> None:
        assert self._project is not None
        place = self._project.path / block.name
        before = place.read_text("utf-8") + "\n" if block.adds and place.exists() else ""
        self._project.file(block.name, (before + block.text).encode())

    def _settings(self, block: Block) -> None:
        from cas_llm.config.options import read_option

        table = self._parsed(block, tomllib.loads)
        for name, value in table.get("tool", {}).get("cas-llm", {}).items():
            read_option(name, value, f"{self.page.name}, line {block.line}")

    def _data(self, block: Block) -> None:
        import yaml

        self._parsed(block, yaml.safe_load if block.language == "yaml" else json.loads)

    def _parsed(self, block: Block, parse: Callable[[str], dict]) -> dict:
        try:
            return parse(block.text)
        except Exception as error:
            raise PageError(f"{self.page.name}, line {block.line}: {error}") from error

    def _type(self, command: Command, typed: str = "") -> None:
        assert self._shell is not None
        where = f"{self.page.name}, line {command.line}:  $ {command.text}"
        said, code = self._shell.run(typed or command.text)
        said = _plain(said)
        self.typed.append((command.text, said))
        if code != command.code:
            raise PageError(f"{where}\nexit code {code}, the page says {command.code}\n{said}")
        shown = "" if command.text.endswith("# prints nothing") else command.output
        if shown is not None and not matches(shown, said):
            raise PageError(f"{where}\n-- the page shows\n{shown}\n-- it printed\n{said}")

    def _reply(self, received: Received) -> Reply | None:
        body = received.json if received.body.startswith(b"{") else {}
        last = (body.get("messages") or [{"content": body.get("input", "")}])[-1]
        asked = text_in(last.get("content"))
        for pattern, answer in self._answers:
            if found := re.search(pattern, asked):
                words = found.expand(answer)
                return answers.answer(replace(received, saying=words), self.provider.files)
        return None


_DO: dict[str, Callable[[Walkthrough, Block], None]] = {
    "commands": Walkthrough._commands,
    "script": Walkthrough._script,
    "python": Walkthrough._python,
    "file": Walkthrough._file,
    "settings": Walkthrough._settings,
    "data": Walkthrough._data,
}


def matches(shown: str, said: str) -> bool:
    """Whether *said* is what the page shows; ``...`` there stands for any text."""
    pattern = ".*?".join(re.escape(piece) for piece in _plain(shown).split("..."))
    return re.fullmatch(pattern, _plain(said), re.DOTALL) is not None


def _plain(text: str) -> str:
    lines = _ANSI.sub("", text).replace("\r\n", "\n").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _is(step: Block | Direction, word: str) -> bool:
    return isinstance(step, Direction) and step.word == word


def _plugin() -> tuple[str, ...]:
    from support.projects import _plugin_flags

    return _plugin_flags()


def _stand_ins(tools: Path) -> None:
    python, make = shlex.quote(sys.executable), shutil.which("make") or "make"
    words = ("install", "add", "pip", "sync")
    programs = dict.fromkeys(("pip", "uv"), _INSTALL.format(python=sys.executable, words=words))
    programs["make"] = _MAKE.format(make=make, tree=shlex.quote(str(TREE)))
    programs["cas-llm"] = _CAS_LLM.format(python=python)
    for name, text in programs.items():
        (tools / name).write_text(text, "utf-8")
        (tools / name).chmod(0o755)
