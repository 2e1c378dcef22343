"""``cas-llm doctor``: what holds here, who said so, and what is amiss.

Looks, and changes nothing. A key's value is never printed, only whether there is one.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from cas_llm.cli import fencing, hooking, packing
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.cli.output import counted, print_json, print_table, say, version
from cas_llm.config import OPTIONS, Settings
from cas_llm.errors import ConfigError, StoreError
from cas_llm.gitrepo import git_root, run_git
from cas_llm.providers import KEY_VARIABLES

_LIBRARIES = (
    "openai",
    "anthropic",
    "google-genai",
    "mistralai",
    "groq",
    "cohere",
    "litellm",
    "langchain-core",
    "httpx",
    "httpx2",
    "aiohttp",
    "httpx-aiohttp",
    "requests",
    "urllib3",
    "botocore",
    "pytest",
    "pytest-xdist",
)
_PLAIN_GIT = 20_000
_TUNED_GIT = 200_000
_TUNING = (("core.untrackedCache", "true"), ("feature.manyFiles", "true"))
_BLIND = (
    "native TLS stacks (grpc, Rust or Go clients): neither recorded nor refused",
    "child processes that aren't Python, or that drop the environment",
    "http.client, urllib.request, websockets and bare sockets: refused in replay, not recorded",
)

OK, NOTE, WRONG = "ok", "note", "wrong"


@dataclass(frozen=True)
class Point:
    """One thing that was looked at; `state` is ``ok``, ``note`` or ``wrong``."""

    about: str
    state: str
    what: str
    command: str = ""


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say each setting, where it came from, and what is amiss.

    Ends with 1 if something is wrong. Example: cas-llm doctor --json
    """
    points: list[Point] = []
    settings: Settings | None = None
    try:
        settings = settings_of(store)
    except ConfigError as error:
        points.append(Point("settings", WRONG, str(error)))
    else:
        points += [*_mode(settings), *store_points(settings.store), *git_points(settings.store)]
        points += packing_points(Path.cwd(), settings.store)
        points += hook_points(settings.store)
    points += python_points()
    found = settings_told(settings) if settings else []
    versions = versions_found()
    keys = {name: bool(os.environ.get(name)) for name in sorted(KEY_VARIABLES)}
    if as_json:
        print_json(
            {
                "settings": found,
                "versions": versions,
                "points": [asdict(point) for point in points],
                "keys_set": keys,
                "not_seen": _BLIND,
            }
        )
    else:
        _print(found, versions, points, keys)
    if any(point.state == WRONG for point in points):
        raise typer.Exit(1)


def settings_told(settings: Settings) -> list[dict[str, Any]]:
    """Each setting with its value and where that came from, in the table's order."""
    rows = []
    for option in OPTIONS:
        if option.name == "mode":
            value, source = str(settings.mode), settings.mode_said.source
        else:
            value = _plain(option.name, getattr(settings, option.name))
            source = settings.sources.get(option.name, "default")
        rows.append({"name": option.name, "value": value, "source": source})
    return rows


def versions_found() -> dict[str, str]:
    """Python, cas-llm, and each library it works with that is installed."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "cas-llm": version()}
    for name in _LIBRARIES:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            continue
    return found


def store_points(root: Path) -> Iterator[Point]:
    """What is to be said of the store at *root*."""
    from cas_llm.store import Store
    from cas_llm.store.proof import census

    if not root.exists():
        yield Point("store", NOTE, f"{root} does not exist yet", "cas-llm init")
        return
    try:
        store = Store(root)
    except (StoreError, OSError) as error:
        yield Point("store", WRONG, str(error))
        return
    taken = census.take(root)
    kinds = (
        counted(len(taken.tapes), "tape"),
        counted(len(taken.shared), "shared entry", "shared entries"),
        counted(len(taken.requests), "request"),
        counted(len(taken.objects), "object"),
    )
    yield Point("store", OK, f"{root}: {', '.join(kinds)}")
    wrong = [finding for finding in taken.findings if finding.severity == census.ERROR]
    if wrong:
        what = f"{counted(len(wrong), 'file')} amiss, the first: {wrong[0].path} {wrong[0].what}"
        yield Point("store", WRONG, what, "cas-llm verify")
    if not store.writable:
        yield Point("store", NOTE, "is read-only here: it replays, and records nothing")
    yield from _size(root, len(taken.requests))
    waiting = len(store.pending.all())
    if waiting:
        what = f"{counted(waiting, 'answer')} wait until their test passes"
        yield Point("pending", NOTE, what, "cas-llm pending")


def git_points(root: Path) -> Iterator[Point]:
    """What is to be said of git and the store at *root*."""
    place = root.resolve()
    top = git_root(place)
    if top is None:
        yield Point("git", NOTE, "no repository around the store", "git init")
        return
    if run_git(top, "--version") is None:
        yield Point("git", WRONG, "the program git is not found; install it")
        return
    relative = place.relative_to(top).as_posix()
    if run_git(top, "check-ignore", "-q", "--no-index", f"{relative}/format") is not None:
        what = f"{relative} is ignored: no recording would ever be committed"
        yield Point("git", WRONG, what, f"git check-ignore -v --no-index {relative}/format")
    convert = (run_git(top, "config", "core.autocrlf") or b"").decode().strip()
    said = run_git(top, "check-attr", "text", "--", f"{relative}/objects/x.json") or b""
    kept = said.strip().endswith(b": unset")
    if place.exists() and not kept:
        what = f"{relative}/.gitattributes does not keep git from converting line ends"
        if convert in {"true", "input"}:
            what += f", and core.autocrlf is {convert}"
        yield Point("git", WRONG, what, "cas-llm verify --repair")
    else:
        yield Point("git", OK, f"{top}" + (f", core.autocrlf = {convert}" if convert else ""))


def packing_points(start: Path, root: Path) -> Iterator[Point]:
    """What is to be said of the build of the project around *start*, with the store at *root*."""
    project = packing.project_of(start)
    if project is None or not root.exists():
        return
    try:
        document = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return  # the settings have said so
    place = packing.inside(project, root)
    if place and packing.is_discovered(project, document, place):
        yield Point("build", WRONG, f"setuptools takes {place} for a package", "cas-llm init")


def hook_points(root: Path) -> Iterator[Point]:
    """What is to be said of the hooks that guard the store at *root*, and of their neighbours."""
    top = git_root(root.absolute())
    place = packing.inside(top, root) if top else ""
    if top is None or not place:
        return
    names, without = hooking.configured(top), hooking.not_installed(top)
    if not names:
        what = "none guards the store: a commit may break replay, and nobody is told"
        yield Point("hooks", NOTE, what, "cas-llm init")
    elif without:
        what = f"{', '.join(names)}; git starts nothing at {' and '.join(without)}"
        yield Point("hooks", NOTE, what, hooking.INSTALL)
    else:
        yield Point("hooks", OK, f"{', '.join(names)}, at {' and '.join(hooking.STAGES)}")
    for step in fencing.steps(top, place):
        yield Point("hooks", NOTE, f"{hooking.CONFIG}: {step.what}", "cas-llm init")


def python_points() -> Iterator[Point]:
    """What is to be said of this Python: children, decoders."""
    folders = [Path(entry) for entry in sys.path if entry]
    if any((folder / "cas_llm.pth").is_file() and "-packages" in str(folder) for folder in folders):
        yield Point("children", OK, "cas_llm.pth is installed: Python children join the session")
    else:
        what = "cas_llm.pth is not installed: Python children are not recorded or guarded"
        yield Point("children", NOTE, what, "pip install cas-llm")
    for coding, modules in (("br", ("brotli", "brotlicffi")), ("zstd", ("zstandard",))):
        if any(find_spec(module) for module in modules):
            yield Point("decoders", OK, f"{coding} is decoded ({modules[0]})")
        else:
            what = f"{coding} is stored encoded: replays, but nobody can read it"
            yield Point("decoders", NOTE, what, f"pip install {modules[0]}")
    if not any(find_spec(name) for name in ("httpx", "httpx2")):
        yield Point("transports", WRONG, "neither httpx nor httpx2 is there", "pip install httpx2")


def _mode(settings: Settings) -> Iterator[Point]:
    yield Point("mode", OK, f"{settings.mode} ({settings.mode_said.source}); under pytest: replay")
    if "CAS_LLM_SESSION" in os.environ:
        yield Point("mode", NOTE, "this process belongs to a running session (CAS_LLM_SESSION)")


def _size(root: Path, count: int) -> Iterator[Point]:
    if count <= _PLAIN_GIT:
        return
    if count > _TUNED_GIT:
        what = f"{count:,} recordings: more than git handles well as single files"
        yield Point("size", NOTE, what, "cas-llm stats")
        return
    top = git_root(root.resolve())
    for name, value in _TUNING if top else ():
        if top and (run_git(top, "config", name) or b"").strip() != value.encode():
            what = f"{count:,} recordings: git is faster with {name} = {value}"
            yield Point("size", NOTE, what, f"git config {name} {value}")


def _plain(name: str, value: Any) -> Any:
    """A setting's value as JSON can hold it; a pattern that finds a secret may hold one."""
    if name == "redact":
        return [rule for rule, _ in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def _print(
    settings: list[dict[str, Any]],
    versions: Mapping[str, str],
    points: list[Point],
    keys: Mapping[str, bool],
) -> None:
    if settings:
        rows = [(row["name"], _short(row["value"]), row["source"]) for row in settings]
        print_table(("setting", "value", "from"), rows)
    say("  ".join(f"{name} {number}" for name, number in versions.items()))
    named = [name for name, there in keys.items() if there]
    say(f"provider keys set: {', '.join(named) or 'none'} (replay needs none)")
    say()
    styles = {OK: "green", NOTE: "yellow", WRONG: "red"}
    for point in points:
        say(f"{point.state:<5}  {point.about}: {point.what}", styles[point.state])
        if point.command:
            say(f"       next: {point.command}")
    say("\nnot seen from inside, whatever the mode:")
    for line in _BLIND:
        say(f"  - {line}")


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple, dict)) and not value:
        return "-"
    return "-" if value is None or value == "" else str(value)
