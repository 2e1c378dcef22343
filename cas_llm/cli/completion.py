"""What may follow what was typed: commands, options, values, tests, keys; and the shells' scripts.

Part of the command line. A shell's script runs cas-llm with what stands on the line up to the
cursor in a variable, and `complete` prints a candidate a line. Whatever is wrong, it prints nothing
and changes nothing: a line that is being written is no place for an error. It reads names and at
most one folder's tapes, so that it is as quick in a large store.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from cas_llm.cli import COMMANDS, COMPLETES, app, load
from cas_llm.errors import ConfigError

_MOST = 200
_SHOWN_KEY = 12
_TESTS = {"--test", "test"}
_KEYS = {"key"}

_BASH = r"""
_cas_llm_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" found word before="" quote="%q"
    local quotes="${line//[^\"\']/}"
    if (( ${#quotes} % 2 )); then
        # In an open quote bash takes a candidate as it is.
        quote="%s"
    else
        # Elsewhere bash puts one behind the last colon or equals sign of the word.
        word="${line//\\ /$'\037'}"
        word="${word##*[[:space:]]}"
        word="${word//$'\037'/ }"
        word="${word//\\/}"
        before="${word%"${word##*[:=]}"}"
    fi
    COMPREPLY=()
    while IFS= read -r found; do
        printf -v found "$quote" "${found#"$before"}"
        COMPREPLY+=("$found")
    done < <(VARIABLE="$line" cas-llm 2>/dev/null)
}
complete -o default -F _cas_llm_completion cas-llm
""".lstrip()
_ZSH = """\
#compdef cas-llm
_cas_llm() {
    local -a found
    found=("${(@f)$(VARIABLE="$LBUFFER" cas-llm 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( $#found )); then compadd -- "${found[@]}"; else _files; fi
}
if [ "$funcstack[1]" = "_cas-llm" ]; then _cas_llm "$@"; else compdef _cas_llm cas-llm; fi
"""
_FISH = """\
complete -c cas-llm -a '(VARIABLE=(commandline -cp) cas-llm 2>/dev/null)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def script(shell: str) -> str:
    """What *shell* reads to complete cas-llm.

    Raises:
        ConfigError: it is none that is known.

    """
    if shell not in SCRIPTS:
        raise ConfigError(
            f"no shell is called {shell!r} here; there are {', '.join(SCRIPTS)}",
            source="--show-completion",
        )
    return SCRIPTS[shell].replace("VARIABLE", COMPLETES)


def complete(typed: str) -> None:
    """Print what may follow *typed*, the line up to the cursor."""
    with contextlib.suppress(Exception):
        found = sorted({*islice(candidates(typed), _MOST)})
        sys.stdout.write("".join(f"{one}\n" for one in found))


def candidates(typed: str) -> Iterator[str]:
    """Whole words that may stand where the last word of *typed* is being written."""
    *before, begun = _words(typed)
    name = next((word for word in before[1:] if word in COMMANDS), "")
    if not name:
        words = _options(_before_a_command()) if begun.startswith("-") else COMMANDS
        yield from (word for word in words if word.startswith(begun))
        return
    parameters = load(name).params
    written, equals, value = begun.partition("=")
    if equals and (option := _with_a_value(parameters, written)):
        yield from (f"{written}={word}" for word in _values(option, value, before))
    elif option := _with_a_value(parameters, before[-1]):
        yield from _values(option, begun, before)
    elif begun.startswith("-"):
        yield from (word for word in _options(parameters) if word.startswith(begun))
    else:
        for one in parameters:
            if one.param_type_name == "argument":
                yield from _values(one, begun, before)


def _before_a_command() -> Sequence[Any]:
    from typer.main import get_command

    return get_command(app).params


def _words(typed: str) -> list[str]:
    # A quote that is still open is closed; what is in it may end in a space.
    for closing in ("", "'", '"'):
        with contextlib.suppress(ValueError):
            words = shlex.split(typed + closing)
            return words if words and (closing or not typed[-1].isspace()) else [*words, ""]
    return typed.split()


def _with_a_value(parameters: Iterable[Any], written: str) -> Any:
    """The option that is *written* so and takes a value, or nothing."""
    for one in parameters:
        if one.param_type_name == "option" and written in one.opts[:2]:
            return None if getattr(one, "is_flag", False) else one
    return None


def _options(parameters: Iterable[Any]) -> Iterator[str]:
    yield "--help"
    yield from (name for one in parameters for name in one.opts if name.startswith("--"))


def _values(parameter: Any, begun: str, before: Sequence[str]) -> Iterator[str]:
    """What *parameter* may be: its choices, tests, keys; files the shell itself knows."""
    # Releases of typer have it in one or the other.
    described = getattr(parameter, "type_descriptor", None) or getattr(parameter, "type", None)
    if choices := getattr(described, "choices", None):
        words = (str(getattr(one, "value", one)) for one in choices)
        yield from (word for word in words if word.startswith(begun))
        return
    meant = {*parameter.opts, *str(parameter.metavar or parameter.name).lower().split("|")}
    if meant & _TESTS:
        yield from _tests(_store(before), begun)
    if meant & _KEYS:
        yield from _keys(_store(before), begun)


def _store(before: Sequence[str]) -> Path:
    from cas_llm.cli.options import settings_of

    at = before.index("--store") + 1 if "--store" in before else len(before)
    return settings_of(Path(before[at]) if at < len(before) else None).store


def _tests(store: Path, begun: str) -> Iterator[str]:
    """Tests with a tape whose id begins so: folders and files first, then what is in the one."""
    from cas_llm.store import layout
    from cas_llm.store.tape import decode

    tapes = store / layout.TAPES
    file, colons, _ = begun.partition("::")
    if not colons:
        file, fitting = "", _below(tapes, begun)
        while len(fitting) == 1 and fitting[0] != file:
            file = fitting[0]
            fitting = _below(tapes, f"{file}/") or [file]
        if len(fitting) > 1:
            yield from fitting
            return
    for path in sorted((tapes / file).glob("*.json")):
        scope = decode(path.read_bytes(), path).scope
        if scope.startswith(begun):
            yield scope


def _below(tapes: Path, begun: str) -> list[str]:
    folder, slash, _ = begun.rpartition("/")
    place = tapes / folder
    names = sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    return [name for one in names if (name := f"{folder}{slash}{one}").startswith(begun)]


def _keys(store: Path, begun: str) -> Iterator[str]:
    """Keys that begin so, as short as people write them; without a digit there are too many."""
    from cas_llm.store import layout

    if not begun:
        return
    for shard in sorted((store / layout.REQUESTS).glob(f"{begun[:2]}*")):
        for path in sorted(shard.glob(f"{begun[2:]}*.json")):
            key = shard.name + path.stem
            yield key if len(begun) > _SHOWN_KEY else key[:_SHOWN_KEY]
