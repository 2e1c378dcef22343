"""The mutants of `cas_llm.keys` and `cas_llm.store`, planted in a copy of the project.

mutmut writes every mutant of a function beside it, under a name of its own, and a switch in front
that takes the one the environment names. So one copy holds all of them and no test starts anew for
the next.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("keys", "store")
COPIED = ("cas_llm", "tests", "docs", "hooks", "benchmarks")
COPIED_FILES = (
    *("README.md", "Makefile", "pyproject.toml", "mkdocs.yml"),
    *(".pre-commit-hooks.yaml", ".pre-commit-config.yaml"),
)


@dataclass(frozen=True)
class Mutant:
    """One change of one function: where, and the lines it changes."""

    name: str
    module: str
    diff: str

    @property
    def function(self) -> str:
        """What a trampoline calls the function this changes."""
        return self.name.rpartition("__mutmut_")[0]


def copy(project: Path, folder: Path) -> None:
    """Copy into *folder* what the tests of *project* need."""
    passed_over = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        if (project / name).is_dir():
            shutil.copytree(project / name, folder / name, ignore=passed_over)
    for name in COPIED_FILES:
        if (project / name).is_file():
            shutil.copy2(project / name, folder / name)


def plant(folder: Path) -> list[Mutant]:
    """Replace the modules under *folder* by ones that hold their mutants, and tell which."""
    found = []
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write('\n[tool.mutmut]\nsource_paths = ["cas_llm"]\n')
    with contextlib.chdir(folder):  # mutmut reads its settings there
        for package in PACKAGES:
            home = folder / "cas_llm" / package
            for path in sorted(home.rglob("*.py")):
                module = path.relative_to(home.parent).with_suffix("")
                found += _plant(path, ".".join(module.parts))
    return found


def _plant(path: Path, module: str) -> list[Mutant]:
    from mutmut.mutation.file_mutation import mutate_file_contents

    mutated = mutate_file_contents(str(path), path.read_text("utf-8"))
    path.write_text(mutated.code, "utf-8")
    texts = _texts(mutated.code)
    dotted = f"cas_llm.{module}".removesuffix(".__init__")
    return [
        Mutant(f"{dotted}.{name}", module, _difference(texts, name))
        for name in mutated.mutant_names
    ]


def _texts(code: str) -> dict[str, list[str]]:
    lines = code.splitlines()
    return {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _difference(texts: dict[str, list[str]], name: str) -> str:
    original = name.rpartition("__mutmut_")[0] + "__mutmut_orig"
    mutated = [line.replace(name, original) for line in texts[name]]
    lines = difflib.unified_diff(texts[original], mutated, lineterm="", n=0)
    return "\n".join(line for line in lines if line[:3] not in {"---", "+++"} and line[:2] != "@@")


def sample(mutants: list[Mutant], size: int, least: int, seed: int) -> list[Mutant]:
    """About *size* of *mutants*, of each module in proportion but never fewer than *least*."""
    draw = random.Random(seed)
    chosen: list[Mutant] = []
    for module in sorted({mutant.module for mutant in mutants}):
        own = sorted((m for m in mutants if m.module == module), key=lambda mutant: mutant.name)
        share = round(size * len(own) / len(mutants))
        chosen += draw.sample(own, min(len(own), max(least, share)))
    return chosen
