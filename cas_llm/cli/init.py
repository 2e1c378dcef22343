"""``cas-llm init``: a store in this project, and the project's own files told of it.

Adds, never rewrites: a file of the project keeps every byte it has. Running it again does nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.cli.output import print_json, say
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
_HATCH = "tool.hatch.build.targets.sdist"


@dataclass(frozen=True)
class Step:
    """One thing `init` does, has nothing to do for, or leaves to a person.

    `state` is ``write``, ``there`` or ``by hand``; `write` does it.
    """

    path: Path
    state: str
    what: str
    write: Callable[[], object] = field(default=lambda: None, repr=False)


def init(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set up a store in this project.

    Writes the files that explain the store, adds [tool.cas-llm] to pyproject.toml and keeps the
    store out of the sdist. What it can't do safely it names. Example: cas-llm init --dry-run
    """
    steps = plan(Path.cwd(), settings_of(store).store)
    if not dry_run:
        for step in steps:
            if step.state == "write":
                step.write()
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
    project = _project(start)
    if project is not None:
        steps += _pyproject_steps(project, root)
    top = git_root(root.absolute())
    if top is None:
        what = "no git repository: recordings reach others by git; run: git init"
        steps.append(Step(root.parent, "by hand", what))
    steps += _pre_commit_steps(top or project or start, root)
    return steps


def _store_step(root: Path) -> Step:
    opened = Store(root)
    missing = [name for name in _OWN_FILES if not (root / name).exists()]
    if not missing:
        return Step(root, "there", "a store of this version")
    return Step(root, "write", f"the store's {', '.join(missing)}", opened.prepare)


def _project(start: Path) -> Path | None:
    """The nearest folder upwards with a pyproject.toml, not above the repository."""
    top = git_root(start.absolute())
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
        if folder == top:
            break
    return None


def _pyproject_steps(project: Path, root: Path) -> Iterator[Step]:
    path = project / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not valid TOML: {error}", source=str(path)) from error
    tool = document.get("tool", {})
    if "cas-llm" in tool:
        yield Step(path, "there", "[tool.cas-llm]")
    else:
        inside = _inside(project, root) or str(root)
        text = _TABLE.format(store=inside)
        if root.absolute() != project.absolute() / STORE_NAME:
            text += f'store = "{inside}"\n'
        yield Step(path, "write", "[tool.cas-llm]", _appender(path, text))
    place = _inside(project, root)
    if place:
        yield _build_step(project, document, place)


def _inside(project: Path, root: Path) -> str:
    try:
        return root.absolute().relative_to(project.absolute()).as_posix()
    except ValueError:
        return ""


def _build_step(project: Path, document: Mapping[str, Any], place: str) -> Step:
    """Keep the store out of what the build back end packs."""
    path, tool = project / "pyproject.toml", document.get("tool", {})
    back_end = str(document.get("build-system", {}).get("build-backend", ""))
    name = back_end.partition(".")[0]
    if name == "hatchling":
        return _hatchling(path, tool, place)
    if name == "setuptools" or (not back_end and (project / "setup.py").exists()):
        return _setuptools(project / "MANIFEST.in", place)
    if name == "poetry":
        return _poetry(path, tool, place)
    if name == "flit_core":
        line = f'[tool.flit.sdist] exclude = ["{place}/"]'
        return _told(path, tool.get("flit", {}).get("sdist", {}), "exclude", place, line)
    if name == "pdm":
        line = f'[tool.pdm.build] excludes = ["{place}"]'
        return _told(path, tool.get("pdm", {}).get("build", {}), "excludes", place, line)
    if name == "uv_build":
        line = f'[tool.uv.build-backend] source-exclude = ["/{place}"]'
        table = tool.get("uv", {}).get("build-backend", {})
        return _told(path, table, "source-exclude", place, line)
    if back_end or "project" in document:
        what = f"if {back_end or 'the build'} packs every tracked file, exclude {place}/ there"
        return Step(path, "by hand", what)
    return Step(path, "there", "nothing is built here that could pack the store")


def _hatchling(path: Path, tool: Mapping[str, Any], place: str) -> Step:
    build = tool.get("hatch", {}).get("build", {})
    sdist = build.get("targets", {}).get("sdist", {})
    if _names(sdist.get("exclude", []), place) or _names(build.get("exclude", []), place):
        return Step(path, "there", f"{place} is kept out of the sdist")
    only = sdist.get("only-include", sdist.get("include", []))
    if only and not _names(only, place):
        return Step(path, "there", "the sdist packs named folders only")
    if sdist:
        what = f'add "/{place}" to exclude in [{_HATCH}]'
        return Step(path, "by hand", what)
    text = f'[{_HATCH}]\nexclude = ["/{place}"]\n'
    return Step(path, "write", f"{place} kept out of the sdist", _appender(path, text))


def _setuptools(path: Path, place: str) -> Step:
    line = f"prune {place}"
    there = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if line in (" ".join(text.split()) for text in there):
        return Step(path, "there", line)
    return Step(path, "write", line, _appender(path, f"{line}\n", gap=False))


def _poetry(path: Path, tool: Mapping[str, Any], place: str) -> Step:
    poetry = tool.get("poetry", {})
    if _names(poetry.get("exclude", []), place):
        return Step(path, "there", f"{place} is kept out of the sdist")
    if poetry:
        # A table of this name stands somewhere in the file; a second one would be invalid TOML.
        what = f'add "{place}/**" to exclude in [tool.poetry]'
        return Step(path, "by hand", what)
    text = f'[tool.poetry]\nexclude = ["{place}/**"]\n'
    return Step(path, "write", f"{place} kept out of the sdist", _appender(path, text))


def _told(path: Path, table: Mapping[str, Any], member: str, place: str, line: str) -> Step:
    if _names(table.get(member, []), place):
        return Step(path, "there", f"{place} is kept out of the sdist")
    return Step(path, "by hand", f"keep the store out of the sdist: {line}")


def _names(patterns: Any, place: str) -> bool:
    """Whether one of a back end's patterns is the store's folder."""
    if not isinstance(patterns, list):
        return False
    plain = {str(pattern).strip("/").removesuffix("/**").removesuffix("/*") for pattern in patterns}
    return place in plain


def _pre_commit_steps(top: Path, root: Path) -> Iterator[Step]:
    path = top / ".pre-commit-config.yaml"
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    found = sorted(set(_FIXERS.findall(text)))
    if not found:
        return
    place = _inside(top, root) or root.name
    if re.search(rf"^\s*exclude:.*{re.escape(place)}", text, re.MULTILINE):
        yield Step(path, "there", f"{place} is excluded")
        return
    line = f"exclude: ^{re.escape(place).replace(chr(92) + '/', '/')}/"
    what = f"{', '.join(found)} would rewrite recordings; add at the top level:  {line}"
    yield Step(path, "by hand", what)


def _appender(path: Path, text: str, *, gap: bool = True) -> Callable[[], object]:
    """Appends *text* in the line ends of *path*, after all that is there."""

    def append() -> None:
        before = path.read_bytes() if path.exists() else b""
        end = b"\r\n" if b"\r\n" in before else b"\n"
        lead = b"" if not before or before.endswith(b"\n") else end
        if gap and before:
            lead += end
        with path.open("ab") as file:
            file.write(lead + text.encode().replace(b"\n", end))

    return append


def _shown(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
