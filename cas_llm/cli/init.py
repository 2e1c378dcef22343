"""``cas-llm init``: a store in this project, and the project's own files told of it.

Adds, never rewrites: a file of the project keeps every byte it has. Running it again does nothing.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cas_llm.cli import fencing, hooking, packing
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.cli.output import print_json, say
from cas_llm.cli.packing import Step, added, quoted
from cas_llm.config import STORE_NAME
from cas_llm.errors import ConfigError
from cas_llm.gitrepo import git_root
from cas_llm.store import Store

_OWN_FILES = ("format", ".gitattributes", ".gitignore", "README.md")
_TABLE = """\
[tool.cas-llm]
# Settings: cas-llm doctor. Recordings: {store}/
"""


def init(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    no_pre_commit: Annotated[
        bool, typer.Option("--no-pre-commit", help="Leave .pre-commit-config.yaml alone.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set up a store in this project.

    Writes the files that explain the store, adds the cas-llm table to pyproject.toml, keeps the
    store out of the sdist and puts the hooks into .pre-commit-config.yaml. What it can't do safely
    it names. Example: cas-llm init --dry-run
    """
    root = settings_of(store).store
    steps = plan(Path.cwd(), root, hooks=not no_pre_commit)
    if not dry_run:
        for step in steps:
            if step.state == "write":
                _write(step) if step.text else Store(root).prepare()
    following = _following(root, dry_run=dry_run, hooks=not no_pre_commit)
    if as_json:
        rows = [{"path": str(s.path), "state": s.state, "what": s.what} for s in steps]
        commands = [command for command, _ in following]
        print_json({"dry_run": dry_run, "steps": rows, "next": commands})
        return
    _print(steps, dry_run=dry_run)
    width = max(len(command) for command, _ in following) + 2
    for number, (command, why) in enumerate(following):
        say(f"{'      ' if number else 'next: '}{command:<{width}}{why}".rstrip())


def plan(start: Path, root: Path, *, hooks: bool = True) -> list[Step]:
    """What there is to do for a store at *root* of the project that *start* lies in.

    Without *hooks*, nothing for pre-commit.

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
    elif hooks and (place := packing.inside(top, root)):
        found = list(hooking.steps(top))
        steps += [*found, *fencing.steps(top, place, found)]
    return steps


def _following(root: Path, *, dry_run: bool, hooks: bool) -> list[tuple[str, str]]:
    """The commands to type next, each with what it is for."""
    if dry_run:
        return [("cas-llm init", "")]
    found = [("pytest --cas-llm=fallback", "records what your tests ask")]
    if place := _cassettes(Path.cwd()):
        found.insert(0, (f"cas-llm import {place} --dry-run", "brings along what is recorded"))
    top = git_root(root.absolute())
    if hooks and top and hooking.configured(top) and hooking.not_installed(top):
        found.append((hooking.INSTALL, "once per clone"))
    return found


def _cassettes(start: Path) -> str:
    """A folder of another tool's cassettes in or two levels below *start*, empty for none."""
    for pattern in ("cassettes", "*/cassettes", "*/*/cassettes"):
        for folder in sorted(start.glob(pattern)):
            place = folder.relative_to(start).as_posix()
            if not place.startswith(".") and _holds_cassettes(folder):
                return shlex.quote(place)
    return ""


def _holds_cassettes(folder: Path) -> bool:
    # Reading them takes a library for YAML, which few who start need.
    from cas_llm.cassettes.reading import files_of

    return bool(files_of([folder]))


def _print(steps: Iterable[Step], *, dry_run: bool) -> None:
    words = {"write": "would do" if dry_run else "done", "there": "is there", "by hand": "by hand"}
    for step in steps:
        by_hand = step.state == "by hand"
        say(f"{words[step.state]:<8}  {_shown(step.path)}: {step.what}", "yellow" * by_hand)
        if by_hand or dry_run:
            for line in step.text.splitlines():
                say(f"          | {line}")


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
    inside = place or _from(path.parent, root)
    text = _TABLE.format(store=inside)
    if place != STORE_NAME:
        text += f"store = {quoted(inside)}\n"
    return Step(path, "write", "[tool.cas-llm]", text)


def _from(project: Path, root: Path) -> str:
    """The store *root* as the pyproject.toml of *project* says it, in every clone alike."""
    top = git_root(project.absolute())
    if top is None or not packing.inside(top, root):
        return str(root)
    return Path(os.path.relpath(root.absolute(), project.absolute())).as_posix()


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


def _write(step: Step) -> None:
    """Add the step's text to its file; whoever reads it meanwhile sees all of it or none."""
    path = step.path.resolve()
    before = path.read_bytes() if path.exists() else b""
    partial = path.with_name(f"{path.name}.cas-llm")
    try:
        partial.write_bytes(added(before, step))
        if path.exists():
            shutil.copymode(path, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _shown(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
