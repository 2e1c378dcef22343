"""A virtual environment for one row, made once and kept under the hash of what is in it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from sdks.rows import Row

TREE = Path(__file__).resolve().parents[2]
BESIDE = ("pytest>=8.0", "pytest-asyncio>=0.24")
_READY = ".ready"


class NotInstalled(Exception):
    """The packages of a row could not be installed; says what pip said."""


@dataclass(frozen=True)
class Environment:
    """The environment of `row` under `root`."""

    row: Row
    root: Path

    @property
    def folder(self) -> Path:
        """Where it is: another one for other requirements, another cas-llm's or another Python."""
        said = [*self.row.requirements, *BESIDE, sys.version, sys.prefix]
        project = (TREE / "pyproject.toml").read_text("utf-8")
        said.append(project.partition("dependencies = [")[2].partition("]")[0])
        digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
        return self.root / f"{self.row.name}-{digest[:12]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def make(self, *, anew: bool = False) -> float:
        """Install what the row needs unless it is there; the seconds it took.

        Raises:
            NotInstalled: pip failed.

        """
        began = time.monotonic()
        if anew or not (self.folder / _READY).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self._run(sys.executable, "-m", "venv", str(self.folder))
            pip = (str(self.python), "-m", "pip", "-qq", "--disable-pip-version-check", "install")
            self._run(*pip, "-e", str(TREE), *BESIDE, *self.row.requirements)
            (self.folder / _READY).touch()
        return time.monotonic() - began

    def versions(self) -> dict[str, str]:
        """Every distribution installed there, by its name in lower case."""
        place = next(self.folder.glob("lib/python*/site-packages"), self.folder / "Lib")
        return {one.name.lower(): one.version for one in distributions(path=[str(place)])}

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            said = done.stderr.strip().splitlines()
            raise NotInstalled("\n".join(said[-5:]))
