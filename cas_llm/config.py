"""Settings and where each came from: one table, one order of precedence.

Command line > environment > per call > marker > ``use()`` > ``[tool.cas-llm]`` > default. The
order is one for all settings: ``CAS_LLM_STORE`` outranks ``use(store=…)``, too. Only ``hosts`` add
up; where two name the same host, the order decides. Every way to set a thing (pytest options, ini
options, ``CAS_LLM_*``, the table) is derived from `OPTIONS`, so that a name is known in all places
or in none.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from cas_llm.errors import ConfigError
from cas_llm.gitrepo import git_root
from cas_llm.modes import Mode, parse_mode
from cas_llm.streams.pacing import delays

STORE_NAME = "cache_store"
COMMAND_LINE = "the command line"
"""The source of what the command line says."""


class Rank(IntEnum):
    """Who said it; the smallest wins."""

    COMMAND_LINE = 0
    ENVIRONMENT = 1
    CALL = 2
    MARKER = 3
    USE = 4
    TABLE = 5
    DEFAULT = 6


@dataclass(frozen=True, slots=True)
class Said:
    """A mode, who asked for it, and the words to say where."""

    rank: Rank
    mode: Mode
    source: str


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")  # noqa: TRY004 - a bad setting
    return value


def _path(value: Any) -> str:
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path.strip():
        raise ValueError(f"must be the path of a folder, not {value!r}")
    return path


def _pace(value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    pace = str(value) if number else _text(value)
    delays((), pace)
    return pace


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"must be a list of texts, not {value!r}")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError(f"must be true or false, not {value!r}")


def _money(value: Any) -> float:
    try:
        amount = float(value)
    except (TypeError, ValueError):
        amount = -1.0
    if isinstance(value, bool) or not 0 <= amount < float("inf"):
        raise ValueError(f"must be an amount of US dollars, not {value!r}")
    return amount


def _one_of(*words: str) -> Callable[[Any], str]:
    def choose(value: Any) -> str:
        if value in words:
            return str(value)
        raise ValueError(f"must be one of {', '.join(map(repr, words))}, not {value!r}")

    return choose


def _hosts(value: Any) -> dict[str, str]:
    """Host to API name; a list names hosts whose API is told from their requests."""
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
            return {host.lower(): name for host, name in value.items()}
        raise ValueError(f"must map host names to API names, not {value!r}")
    pairs = (item.partition("=") for item in _texts(value))
    return {host.strip().lower(): name.strip() for host, _, name in pairs}


def _redact_rules(value: Any) -> tuple[tuple[str, str], ...]:
    """Pairs of class name and pattern; from a table, or from ``name=pattern`` texts."""
    if isinstance(value, Mapping):
        value = [f"{name}={pattern}" for name, pattern in value.items()]
    if isinstance(value, str):
        value = [value]
    pairs = [item.partition("=") for item in _texts(value)]
    if any(not name.strip() or not pattern for name, _, pattern in pairs):
        raise ValueError("each rule must read name=pattern")
    for name, _, pattern in pairs:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"has no valid pattern for {name.strip()!r}: {error}") from error
    return tuple((name.strip(), pattern) for name, _, pattern in pairs)


def _error_statuses(value: Any) -> frozenset[int] | str:
    if value == "all":
        return "all"
    items = value if isinstance(value, (list, tuple, frozenset)) else _texts(value)
    try:
        statuses = frozenset(int(item) for item in items)
    except (TypeError, ValueError):
        statuses = frozenset({0})
    if any(not 400 <= status <= 599 for status in statuses):
        raise ValueError(f"must be 'all' or statuses from 400 to 599, not {value!r}")
    return statuses


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {value!r}")  # noqa: TRY004 - a bad setting
    return dict(value)


@dataclass(frozen=True)
class Option:
    """One setting: how to read it, its default, and the line that explains it."""

    name: str
    read: Callable[[Any], Any]
    default: Any
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"CAS_LLM_{self.name.upper()}"


OPTIONS: tuple[Option, ...] = (
    Option("mode", parse_mode, None, "replay, fallback, capture or disabled"),
    Option("store", _path, None, "where recordings lie; default: cache_store/ at the git root"),
    Option("hosts", _hosts, {}, "more hosts whose requests count, or host = API name"),
    Option("ignore_hosts", _texts, (), "hosts whose requests never count, such as the app's own"),
    Option("block_network", _one_of("providers", "all"), "providers", "what replay refuses"),
    Option("normalise", _texts, (), "named rules that make alike requests one"),
    Option("redact", _redact_rules, (), "more secrets to take out, as name=pattern"),
    Option("namespace", _text, "", "keeps these recordings apart from equal requests"),
    Option("repeat", _one_of("once", "each"), None, "whether a repetition is recorded anew"),
    Option("exhausted", _one_of("miss", "last", "cycle"), "miss", "past the last recorded answer"),
    Option("record_errors", _error_statuses, frozenset(), "error statuses to record, or 'all'"),
    Option("max_cost", _money, 5.0, "US dollars a run may spend"),
    Option("durable", _flag, False, "sync each write to the disk"),
    Option("pace", _pace, "instant", "replayed streams: instant, recorded, or a factor"),
    Option("placeholder_keys", _flag, True, "stand-ins for missing keys in replay"),
    Option("live_on_ci", _flag, False, "allow calls beyond loopback where CI is set"),
    Option("vcr", _one_of("keep", "replace"), "keep", "tests with another tool's vcr marker"),
    Option("stale", _table, {}, "when a recording counts as stale"),
)

_BY_NAME = {option.name: option for option in OPTIONS}
_OTHER_VARIABLES = frozenset({"CAS_LLM_SESSION", "CAS_LLM_RUN", "CAS_LLM_CORPUS", "CAS_LLM_SLOW"})


@dataclass(frozen=True)
class Settings:
    """All settings, resolved; `sources` names where each one that is not a default came from."""

    said: tuple[Said, ...]
    store: Path
    hosts: Mapping[str, str] = field(default_factory=dict)
    ignore_hosts: tuple[str, ...] = ()
    block_network: str = "providers"
    normalise: tuple[str, ...] = ()
    redact: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    repeat: str | None = None
    exhausted: str = "miss"
    record_errors: frozenset[int] | str = frozenset()
    max_cost: float = 5.0
    durable: bool = False
    pace: str = "instant"
    placeholder_keys: bool = True
    live_on_ci: bool = False
    vcr: str = "keep"
    stale: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def mode_said(self) -> Said:
        """The mode that wins, and who asked for it."""
        return min(self.said, key=lambda said: said.rank)

    @property
    def mode(self) -> Mode:
        """The mode that wins."""
        return self.mode_said.mode

    def says(self, mode: Mode | str | None, rank: Rank, source: str) -> Settings:
        """These settings with one more voice on the mode; None says nothing."""
        if mode is None:
            return self
        said = Said(rank, parse_mode(mode, source=source), source)
        kept = tuple(other for other in self.said if other.rank != rank)
        return replace(self, said=(*kept, said))

    def but(self, source: str, **values: Any) -> Settings:
        """These settings with *values* read and put in place; None leaves one as it is.

        What the command line or the environment said stays, unless *source* is the command line.
        Hosts are added to those there are.
        """
        given = {name: value for name, value in values.items() if value is not None}
        new = {name: read_option(name, value, source) for name, value in given.items()}
        if "store" in new:
            new["store"] = _folder(Path(new["store"]), source)
        fixed = {name for name in new if source != COMMAND_LINE and self._is_fixed(name)}
        if "hosts" in new:
            ours, theirs = dict(self.hosts), new["hosts"]
            new["hosts"] = {**theirs, **ours} if "hosts" in fixed else {**ours, **theirs}
        new = {name: value for name, value in new.items() if name == "hosts" or name not in fixed}
        named = dict.fromkeys(new.keys() - fixed, source)
        return replace(self, **new, sources={**self.sources, **named})

    def _is_fixed(self, name: str) -> bool:
        """Whether the run said it, so that nothing in the code may change it."""
        source = self.sources.get(name)
        return source == COMMAND_LINE or source == _BY_NAME[name].variable


def read_option(name: str, value: Any, source: str) -> Any:
    """The value of the setting *name*.

    Raises:
        ConfigError: no such setting, or not a value it may have; names *source*.

    """
    option = _BY_NAME.get(name)
    if option is None:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(_BY_NAME)}"
        raise ConfigError(f"unknown setting {name!r}{hint}", source=source)
    try:
        return option.read(value)
    except ConfigError as error:
        raise ConfigError(str(error), source=source) from None
    except ValueError as error:
        raise ConfigError(f"{name} {error}", source=source) from None


def load(
    start: Path,
    environ: Mapping[str, str] | None = None,
    *,
    command_line: Mapping[str, Any] | None = None,
    ini: Mapping[str, Any] | None = None,
    under_pytest: bool = False,
) -> Settings:
    """The settings that hold for code below the folder *start*.

    Raises:
        ConfigError: a setting is unknown or has a bad value; says where it stands.

    """
    environ = os.environ if environ is None else environ
    start = start.absolute()
    project, table = find_table(start)
    table_source = str(project / "pyproject.toml") if project else "pyproject.toml"
    layers: list[tuple[Rank, str, Mapping[str, Any]]] = [
        (Rank.TABLE, f"{table_source} [tool.cas-llm]", table),
        (Rank.TABLE, "pytest's ini options", ini or {}),
        (Rank.ENVIRONMENT, "the environment", _from_environment(environ)),
        (Rank.COMMAND_LINE, COMMAND_LINE, command_line or {}),
    ]
    said = [_default_mode(environ, under_pytest=under_pytest)]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for rank, where, layer in layers:
        for name, raw in layer.items():
            source = _BY_NAME[name].variable if rank is Rank.ENVIRONMENT else where
            value = read_option(name, raw, source)
            sources[name] = source
            if name == "mode":
                said = [s for s in said if s.rank != rank] + [Said(rank, value, source)]
            elif name == "store":
                base = project if rank is Rank.TABLE and project and where != layers[1][1] else None
                place = ((base or start) / Path(value).expanduser()).absolute()
                values["store"] = _folder(place, source)
            else:
                values[name] = value
    if "store" not in values:
        values["store"], sources["store"] = _default_store(start, project)
    return Settings(said=tuple(said), **values, sources=sources)


def find_table(start: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The nearest folder upwards with ``[tool.cas-llm]`` in its pyproject.toml, and that table."""
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not valid TOML: {error}", source=str(path)) from error
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", source=str(path)) from error
        tools = document.get("tool")
        table = tools.get("cas-llm") if isinstance(tools, Mapping) else None
        if table is not None:
            return folder, _table_of(table, str(path))
    return None, {}


def _table_of(table: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError("[tool.cas-llm] must be a table", source=source)
    return table


def _folder(place: Path, source: str) -> Path:
    if place.is_file():
        raise ConfigError(f"store must be a folder, and {place} is a file", source=source)
    return place


def find_store(start: Path) -> Path | None:
    """The nearest store upwards: a folder `cache_store` with a ``format`` file."""
    for folder in (start, *start.parents):
        if (folder / STORE_NAME / "format").is_file():
            return folder / STORE_NAME
        if folder.name == STORE_NAME and (folder / "format").is_file():
            return folder
    return None


def _default_store(start: Path, project: Path | None) -> tuple[Path, str]:
    if project is not None:
        return (project / STORE_NAME).absolute(), "beside pyproject.toml [tool.cas-llm]"
    found = find_store(start)
    if found is not None:
        return found.absolute(), "the nearest store upwards"
    top = git_root(start.absolute())
    if top is not None:
        return top / STORE_NAME, "the git root"
    return (start / STORE_NAME).absolute(), "no git repository: the current folder"


def _default_mode(environ: Mapping[str, str], *, under_pytest: bool) -> Said:
    if under_pytest:
        return Said(Rank.DEFAULT, Mode.REPLAY, "default under pytest")
    if on_ci(environ):
        return Said(Rank.DEFAULT, Mode.REPLAY, "default on CI")
    return Said(Rank.DEFAULT, Mode.FALLBACK, "default")


def on_ci(environ: Mapping[str, str]) -> bool:
    """Whether the environment says that this is CI."""
    return environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    known = {option.variable: option.name for option in OPTIONS}
    found = {}
    for variable, value in environ.items():
        if not variable.startswith("CAS_LLM_") or variable in _OTHER_VARIABLES:
            continue
        if variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown variable; {hint}", source=variable)
        if value:
            found[known[variable]] = value
    return found
