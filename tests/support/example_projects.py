"""The projects under `examples/`: what their READMEs say to type, and what came of it elsewhere.

A project is copied out of the tree into a git repository of its own, so that nothing of this one
can help it; then every command of its README's ``bash`` blocks is run there, in order.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
EXAMPLES = TREE / "examples"
SECONDS = 120
"""How long one command may take."""

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OUTSIDE = re.compile(r"(CAS_LLM|OPENAI|ANTHROPIC|PYTEST|GIT|VIRTUAL_ENV|PYTHON)")


class Broken(Exception):
    """A command of a README did not do what the README says; the message holds its output."""


@dataclass(frozen=True)
class Command:
    """One line to type, and what its comment promises."""

    text: str
    promise: str

    @property
    def fails(self) -> bool:
        """Whether it is a miss that is to be seen."""
        return self.promise.startswith("fails")


@dataclass(frozen=True)
class Example:
    """One project, by the name of its folder."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it stands in the tree."""
        return EXAMPLES / self.name

    @property
    def commands(self) -> tuple[Command, ...]:
        """All that its README says to type, in order."""
        lines = "".join(_BLOCK.findall((self.folder / "README.md").read_text("utf-8")))
        split = (re.split(r"\s+# ", line, maxsplit=1) for line in lines.splitlines() if line)
        return tuple(Command(text, "".join(promise)) for text, *promise in split)

    @property
    def requirements(self) -> tuple[str, ...]:
        """The SDKs it needs; what its tests need beside them, its README installs."""
        document = tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))
        return tuple(sorted(document["project"]["dependencies"]))

    def follow(self, scratch: Path, binaries: Path, *, installs: bool = True) -> Iterator[str]:
        """Run its commands in a copy under *scratch*; yields each with the line that matters.

        *binaries* comes first in ``PATH``. Without *installs*, what pip would do is left out.

        Raises:
            Broken: a command failed, did not fail where it should, or a promise was not kept.

        """
        place = self._copied(scratch)
        environment = self._environment(binaries)
        for command in self.commands:
            if command.text.startswith("pip ") and not installs:
                continue
            said = _run(place, command.text, environment)
            _judge(self.name, command, said)
            lines = said.stdout.strip().splitlines()
            told = [line for line in lines if "live connections" in line] or lines[-1:]
            yield f"{command.text}: {''.join(told[:1]).strip()}"

    def _copied(self, scratch: Path) -> Path:
        place = scratch / self.name
        ignored = shutil.ignore_patterns("__pycache__", ".local", ".venv", ".pytest_cache")
        shutil.copytree(self.folder, place, ignore=ignored)
        plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = "-c user.name=example -c user.email=example@example.com"
        for words in ("init -q", "add -A", f"{who} commit -q -m example"):
            done = _run(place, f"git {words}", os.environ | plain)
            if done.returncode:
                raise Broken(f"{self.name}: git {words}: {done.stdout}")
        return place

    def _environment(self, binaries: Path) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not _OUTSIDE.match(name)}
        return own | {
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "120",
        }


def every_example() -> list[Example]:
    """All there are, by name."""
    return [Example(path.parent.name) for path in sorted(EXAMPLES.glob("*/pyproject.toml"))]


def _run(
    place: Path, command: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _judge(name: str, command: Command, done: subprocess.CompletedProcess[str]) -> None:
    said = done.stdout
    wrong = ""
    if command.fails != bool(done.returncode):
        wrong = f"exit code {done.returncode}"
    elif command.text.startswith("pytest") and "0 live connections" not in said:
        wrong = "it does not say 0 live connections"
    elif command.fails and not ("not recorded" in said and "--cas-llm=fallback" in said):
        wrong = "no miss with its command"
    elif command.promise == "prints nothing" and said.strip():
        wrong = "it prints something"
    if wrong:
        raise Broken(f"{name}: {command.text}: {wrong}\n{said[-4000:]}")
