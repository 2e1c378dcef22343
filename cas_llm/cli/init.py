"""``cas-llm init``: a store in this project, and the project's own files told of it.

Adds, never rewrites: a file of the project keeps every byte it has. Running it again does nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cas_llm.cli import packing
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.cli.output import print_json, say
from cas_llm.cli.packing import Step, quoted
from cas_llm.config import STORE_NAME
from cas_llm.errors import ConfigError
from cas_llm.gitrepo import git_root
from cas_llm.store import Store

_OWN_FILES = ("format", ".gitattributes", ".gitignore", "README.md")
_TABLE = """\
[tool.cas-llm]
# Settings: cas-llm doctor. Recordings: {store}/
"""
_FIXERS = re.compile(
    r"id:\s*['\"]?(pretty-format-json|prettier|codespell|typos|biome-format|oxipng|"
    r"trailing-whitespace|end-of-file-fixer|mixed-line-ending|fix-byte-order-marker)\b"
)


def init(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set up a store in this project.

    Writes the files that explain the store, adds the cas-llm table to pyproject.toml and keeps the
    store out of the sdist. What it can't do safely it names. Example: cas-llm init --dry-run
    """
    root = settings_of(store).store
    steps = plan(Path.cwd(), root)
    if not dry_run:
        for step in steps:
            if step.state == "write":
                _append(step) if step.text else Store(root).prepare()
    if as_json:
        rows = [{"path": str(s.path), "state": s.state, "what": s.what} for s in steps]
        print_json({"dry_run": dry_run, "steps": rows})
        return
    words = {"write": "would do" if dry_run else "done", "there": "is there", "by hand": "by hand"}
    for step in steps:
        style = "yellow" if step.state == "by hand" else ""
        say(f"{words[step.state]:<8}  {_shown(step.path)}: {step.what}", style)
    next_command = "cas-llm init" if dry_run else "pytest --cas-llm=fallback"
    say(f"next: {next_command}" + ("" if dry_run else "      records what your tests ask"))


def plan(start: Path, root: Path) -> list[Step]:
    """What there is to do for a store at *root* of the project that *start* lies in.

    Raises:
        ConfigError: pyproject.toml cannot be read.
        FormatTooNew: a later version wrote the store.

    """
    steps = [_store_step(root)]
    project = packing.project_of(start)
    if project is not None:
        steps += _pyproject_steps(project, root)
    top = git_root(root.absolute())
    if top is None:
        what = "no git repository: recordings reach others by git; run: git init"
        steps.append(Step(root.parent, "by hand", what))
    steps += _pre_commit_steps(top or project or start, root)
    return steps


def _store_step(root: Path) -> Step:
    Store(root)  # refuses what is no store, or a later version's
    missing = [name for name in _OWN_FILES if not (root / name).exists()]
    if not missing:
        return Step(root, "there", "a store of this version")
    return Step(root, "write", f"the store's {', '.join(missing)}")


def _pyproject_steps(project: Path, root: Path) -> Iterator[Step]:
    path = project / "pyproject.toml"
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not valid TOML: {error}", source=str(path)) from error
    place = packing.inside(project, root)
    found = [_table_step(path, "cas-llm" in document.get("tool", {}), place, root)]
    if place:
        found += packing.steps(project, document, place)
    yield from _that_stay_valid(path, text, found)


def _table_step(path: Path, there: bool, place: str, root: Path) -> Step:
    if there:
        return Step(path, "there", "[tool.cas-llm]")
    inside = place or str(root)
    text = _TABLE.format(store=inside)
    if place != STORE_NAME:
        text += f"store = {quoted(inside)}\n"
    return Step(path, "write", "[tool.cas-llm]", text)


def _that_stay_valid(path: Path, text: str, found: Iterable[Step]) -> Iterator[Step]:
    """The steps as they are, but by hand where *path* with the new text would be no valid TOML.

    An inline or dotted table cannot be added to at the end of a file.
    """
    for step in found:
        if step.path != path or step.state != "write":
            yield step
            continue
        longer = f"{text}\n\n{step.text}"
        try:
            tomllib.loads(longer)
        except tomllib.TOMLDecodeError:
            lines = "; ".join(line for line in step.text.splitlines() if not line.startswith("#"))
            what = f"cannot be added at the end of the file, add it where it fits: {lines}"
            yield replace(step, state="by hand", what=what, text="")
        else:
            text = longer
            yield step


def _pre_commit_steps(top: Path, root: Path) -> Iterator[Step]:
    path = top / ".pre-commit-config.yaml"
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    found = sorted(set(_FIXERS.findall(text)))
    if not found:
        return
    place = packing.inside(top, root) or root.name
    if re.search(rf"^\s*exclude:.*{re.escape(place)}", text, re.MULTILINE):
        yield Step(path, "there", f"{place} is excluded")
        return
    line = f"exclude: ^{re.escape(place).replace(chr(92) + '/', '/')}/"
    what = f"{', '.join(found)} would rewrite recordings; add at the top level:  {line}"
    yield Step(path, "by hand", what)


def _append(step: Step) -> None:
    """Append the step's text in the line ends of its file, after all that is there."""
    before = step.path.read_bytes() if step.path.exists() else b""
    end = b"\r\n" if b"\r\n" in before else b"\n"
    lead = b"" if not before or before.endswith(b"\n") else end
    if step.gap and before:
        lead += end
    with step.path.open("ab") as file:
        file.write(lead + step.text.encode().replace(b"\n", end))


def _shown(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
