"""What each build back end must be told, so that a project's packages leave its store out.

Part of the command line: finds the steps for `init` and `doctor`, and takes none itself. What a
file gets is text after all that is there; a table that stands already is left to a person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cas_llm.gitrepo import git_root

_HATCH = "tool.hatch.build.targets.sdist"
_FIND = "tool.setuptools.packages.find"
_SETUP_ARGUMENTS = re.compile(r"\b(packages|py_modules|package_dir|ext_modules)\s*=")
_SETUP_OPTIONS = ("packages", "py_modules", "package_dir")
# What setuptools' flat-layout discovery passes over, of any version since it came (61).
_NO_PACKAGE = re.compile(
    r"(ci|bin|debian|docs?|documentation|manpages|news|newsfragments|changelog|(unit_)?tests?|"
    r"examples?|scripts|tools|utils?|python|build|dist|v?env|requirements|tasks|fabfile|"
    r"site_scons|benchmarks?|exercises?|_.*)\Z"
)
_NO_MODULE = re.compile(
    r"(setup|conftest|tests?|examples?|build|toxfile|noxfile|pavement|dodo|tasks|fabfile|"
    r"[Ss][Cc]onstruct|conanfile|manage|benchmarks?|exercises?|_.*)\Z"
)


@dataclass(frozen=True)
class Step:
    """One thing to do, that is done, or that is left to a person.

    `state` is ``write``, ``there`` or ``by hand``; `text` is what a ``write`` adds to `path` and
    what a person is to add, after an empty line where `gap`. It goes behind the first `at` bytes
    of the file, or to its end.
    """

    path: Path
    state: str
    what: str
    text: str = ""
    gap: bool = True
    at: int | None = None


def added(data: bytes, step: Step) -> bytes:
    """*data*, what the step's file holds, with its text, in the line ends that are there."""
    at = len(data) if step.at is None else step.at
    head, end = data[:at], b"\r\n" if b"\r\n" in data else b"\n"
    lead = b"" if not head or head.endswith(b"\n") else end
    if step.gap and head:
        lead += end
    return head + lead + step.text.encode().replace(b"\n", end) + data[at:]


def steps(project: Path, document: Mapping[str, Any], place: str) -> Iterator[Step]:
    """What keeps the store at *place* out of what is built of *project*.

    *document* is its pyproject.toml.
    """
    path, tool = project / "pyproject.toml", document.get("tool", {})
    back_end = str(document.get("build-system", {}).get("build-backend", ""))
    name = back_end.partition(".")[0]
    if name == "hatchling":
        yield _hatchling(path, tool, place)
    elif _by_setuptools(project, document):
        yield _setuptools(project / "MANIFEST.in", place)
        yield from _discovery(project, document, place)
    elif name == "poetry":
        yield _member(path, tool, ("poetry",), "exclude", f"{place}/**")
    elif name == "flit_core":
        yield _member(path, tool, ("flit", "sdist"), "exclude", f"{place}/")
    elif name == "pdm":
        yield _member(path, tool, ("pdm", "build"), "excludes", f"{place}/**")
    elif name == "uv_build":
        yield _member(path, tool, ("uv", "build-backend"), "source-exclude", f"/{place}")
    elif back_end:
        what = f"if {back_end} packs every tracked file, exclude {place}/ there"
        yield Step(path, "by hand", what)
    else:
        yield Step(path, "there", "nothing is built here that could pack the store")


def is_discovered(project: Path, document: Mapping[str, Any], place: str) -> bool:
    """Whether setuptools would take the store at *place* for a package of *project*."""
    return _by_setuptools(project, document) and any(
        step.state != "there" for step in _discovery(project, document, place)
    )


def project_of(start: Path) -> Path | None:
    """The nearest folder upwards with a pyproject.toml, not above the repository."""
    top = git_root(start.absolute())
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
        if folder == top:
            break
    return None


def inside(project: Path, root: Path) -> str:
    """Where in *project* the store *root* lies; empty where it does not."""
    try:
        return root.absolute().relative_to(project.absolute()).as_posix()
    except ValueError:
        return ""


def quoted(text: str) -> str:
    """*text* as a TOML string."""
    return json.dumps(text, ensure_ascii=False)


def _by_setuptools(project: Path, document: Mapping[str, Any]) -> bool:
    back_end = document.get("build-system", {}).get("build-backend", "")
    if back_end:
        return str(back_end).partition(".")[0] == "setuptools"
    # What pip builds with where a project names no back end.
    return "project" in document or (project / "setup.py").exists()


def _hatchling(path: Path, tool: Mapping[str, Any], place: str) -> Step:
    build = tool.get("hatch", {}).get("build", {})
    sdist = build.get("targets", {}).get("sdist", {})
    if _names(sdist.get("exclude", []), place) or _names(build.get("exclude", []), place):
        return Step(path, "there", f"{place} is kept out of the sdist")
    only = sdist.get("only-include", sdist.get("include", []))
    if only and not _names(only, place):
        return Step(path, "there", "the sdist packs named folders only")
    if sdist:
        what = f"add {quoted('/' + place)} to exclude in [{_HATCH}]"
        return Step(path, "by hand", what)
    text = f"[{_HATCH}]\nexclude = [{quoted('/' + place)}]\n"
    return Step(path, "write", f"{place} kept out of the sdist", text)


def _setuptools(path: Path, place: str) -> Step:
    line = f"prune {place}"
    there = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if line in (" ".join(text.split()) for text in there):
        return Step(path, "there", line)
    return Step(path, "write", line, f"{line}\n", gap=False)


def _member(
    path: Path, tool: Mapping[str, Any], names: tuple[str, ...], member: str, pattern: str
) -> Step:
    """The list *member* of one table, which is to hold a *pattern* for the store."""
    table: Any = tool
    for name in names:
        table = table.get(name, {})
    place, header = _plain(pattern), ".".join(("tool", *names))
    if _names(table.get(member, []), place):
        return Step(path, "there", f"{place} is kept out of the sdist")
    if table:
        # A table of this name stands somewhere in the file; a second one would be invalid TOML.
        return Step(path, "by hand", f"add {quoted(pattern)} to {member} in [{header}]")
    text = f"[{header}]\n{member} = [{quoted(pattern)}]\n"
    return Step(path, "write", f"{place} kept out of the sdist", text)


def _names(patterns: Any, place: str) -> bool:
    """Whether one of a back end's patterns is the store's folder."""
    if not isinstance(patterns, list):
        return False
    return place in {_plain(str(pattern)) for pattern in patterns}


def _plain(pattern: str) -> str:
    return pattern.strip("/").removesuffix("/**").removesuffix("/*")


def _discovery(project: Path, document: Mapping[str, Any], place: str) -> Iterator[Step]:
    """Writes down what setuptools discovers today; beside the store it would find two packages."""
    tool = document.get("tool", {}).get("setuptools", {})
    if not place.isidentifier() or _says_packages(project, tool):
        return
    packages = [name for name in _packages(project) if name != place]
    modules = _modules(project)
    if len(packages) > 1 or (not packages and len(modules) > 1):
        return  # setuptools refuses to choose already
    path = project / "pyproject.toml"
    if packages:
        listed = f"{quoted(packages[0])}, {quoted(packages[0] + '.*')}"
        header, line = _FIND, f"include = [{listed}]"
    elif modules:
        header, line = "tool.setuptools", f"py-modules = [{quoted(modules[0])}]"
    else:
        header, line = "tool.setuptools", "packages = []"
    why = f"or setuptools takes {place} for a package"
    if tool:
        yield Step(path, "by hand", f"add {line} in [{header}], {why}")
    else:
        yield Step(path, "write", f"[{header}] {line}, {why}", f"[{header}]\n{line}\n")


def _says_packages(project: Path, tool: Mapping[str, Any]) -> bool:
    """Whether the project names its packages, so that setuptools discovers none at its top."""
    if {"packages", "py-modules", "package-dir"} & set(tool) or (project / "src").is_dir():
        return True
    setup = project / "setup.py"
    if setup.is_file() and _SETUP_ARGUMENTS.search(setup.read_text("utf-8", "replace")):
        return True
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(project / "setup.cfg", encoding="utf-8")
    except (ConfigParserError, UnicodeDecodeError):
        return True
    return any(parser.has_option("options", name) for name in _SETUP_OPTIONS)


def _packages(project: Path) -> list[str]:
    """The folders that setuptools' flat-layout discovery takes for packages."""
    names = (entry.name for entry in project.iterdir() if entry.is_dir())
    return sorted(name for name in names if name.isidentifier() and not _NO_PACKAGE.match(name))


def _modules(project: Path) -> list[str]:
    names = (path.stem for path in project.glob("*.py"))
    return sorted(name for name in names if name.isidentifier() and not _NO_MODULE.match(name))
