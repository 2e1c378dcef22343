"""The table of all settings: name, reader, default and the line that explains it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cas_llm.config.readers import (
    dates,
    days,
    error_statuses,
    flag,
    hosts,
    money,
    one_of,
    pace,
    path,
    redact_rules,
    seconds,
    table_of,
    text,
    texts,
)
from cas_llm.errors import ConfigError
from cas_llm.modes import parse_mode


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


HOOKS = {
    "scope": one_of("commit", "affected", "all"),
    "max_seconds": seconds,
    "allow_unstaged": flag,
    "python": text,
    "environment": texts,
}
"""What the table `hooks` may hold."""

_SEVERITY = one_of("error", "warning", "off")

STALE = {
    "unused": _SEVERITY,
    "gone": _SEVERITY,
    "superseded": _SEVERITY,
    "aged": _SEVERITY,
    "old_key": _SEVERITY,
    "retired": _SEVERITY,
    "tied": _SEVERITY,
    "unmarked": _SEVERITY,
    "grace_days": days,
    "max_age": days,
    "models": dates,
}
"""What the table `stale` may hold: how bad each rule's findings are, and what the rules go by."""

OPTIONS: tuple[Option, ...] = (
    Option("mode", parse_mode, None, "replay, fallback, capture or disabled"),
    Option("store", path, None, "where recordings lie; default: cache_store/ at the git root"),
    Option("hosts", hosts, {}, "more hosts whose requests count, or host = API name"),
    Option("ignore_hosts", texts, (), "hosts whose requests never count, such as the app's own"),
    Option("block_network", one_of("providers", "all"), "providers", "what replay refuses"),
    Option("normalise", texts, (), "named rules that make alike requests one"),
    Option("redact", redact_rules, (), "more secrets to take out, as name=pattern"),
    Option("namespace", text, "", "keeps these recordings apart from equal requests"),
    Option("repeat", one_of("once", "each"), None, "whether a repetition is recorded anew"),
    Option("exhausted", one_of("miss", "last", "cycle"), "miss", "past the last recorded answer"),
    Option("record_errors", error_statuses, frozenset(), "error statuses to record, or 'all'"),
    Option("max_cost", money, 5.0, "US dollars a run may spend"),
    Option("durable", flag, False, "sync each write to the disk"),
    Option("pace", pace, "instant", "replayed streams: instant, recorded, or a factor"),
    Option("placeholder_keys", flag, True, "stand-ins for missing keys in replay"),
    Option("live_on_ci", flag, False, "allow calls beyond loopback where CI is set"),
    Option("vcr", one_of("keep", "replace"), "keep", "tests with another tool's vcr marker"),
    Option("stale", table_of(STALE), {}, "when a recording counts as stale"),
    Option("hooks", table_of(HOOKS), {}, "what the git hooks look at, and for how long"),
)

BY_NAME = {option.name: option for option in OPTIONS}
OTHER_VARIABLES = frozenset(
    f"CAS_LLM_{name}"
    for name in (
        *("SESSION", "RUN", "TRIAL", "ANEW", "RESUMES", "GUARD"),
        *("CORPUS", "SLOW", "THOROUGH"),
    )
)


def read_option(name: str, value: Any, source: str) -> Any:
    """The value of the setting *name*.

    Raises:
        ConfigError: no such setting, or not a value it may have; names *source*.

    """
    option = BY_NAME.get(name)
    if option is None:
        near = difflib.get_close_matches(name, BY_NAME, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(BY_NAME)}"
        raise ConfigError(f"unknown setting {name!r}{hint}", source=source)
    try:
        return option.read(value)
    except ConfigError as error:
        raise ConfigError(str(error), source=source) from None
    except ValueError as error:
        raise ConfigError(f"{name} {error}", source=source) from None
