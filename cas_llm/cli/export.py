"""`cas-llm export`: recordings as vcrpy's cassettes or as lines of JSON.

Reads the store and changes nothing in it; a file that is there is written over only when told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from cas_llm.cli.options import JsonOption, StoreOption, opened, settings_of
from cas_llm.cli.output import counted, print_json, progress, say
from cas_llm.errors import CasLLMError, ConfigError

if TYPE_CHECKING:
    from cas_llm.cassettes.leaving import Export, Leaving
    from cas_llm.store import Store, Tape

_SHOWN = 3


class Format(StrEnum):
    """What recordings are written as."""

    VCRPY = "vcrpy"
    JSONL = "jsonl"


def export(  # noqa: PLR0917 - typer's options
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEST|KEY",
            help="Tests, modules and keys to export; default: all that is in use.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="vcrpy: a cassette for each test, where pytest-recording looks for it below the "
            "output folder; jsonl: a line for each call.",
        ),
    ] = Format.VCRPY,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder of the cassettes, or the file of the lines; default for lines: "
            "standard output.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Only calls of this model. May be repeated."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="API=URL",
            help="Where an API is whose host the store does not keep, such as "
            "openai@azure=https://my.openai.azure.com. May be repeated.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are there.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write recordings for other tools: vcrpy's cassettes, or a line of JSON for each call.

    Each test's current tape becomes one cassette, its calls in order, bodies as they were. What
    was redacted stays redacted; credentials and most request headers are not stored, so they are
    not there.
    """
    from cas_llm.cassettes.leaving import Export, cassette, line

    if output is None and form is Format.VCRPY:
        raise ConfigError("name a folder for the cassettes, such as . or old", source="--output")
    if output is None and as_json:
        raise ConfigError("the lines go to standard output; name a file", source="--output")
    held = opened(store)
    out = Export(held, settings_of(store).hosts, _places(host or ()), model or ())
    with progress("Reading recordings", None) as advance:
        groups = [*_groups(held, out, words or (), advance)]
    if not groups:
        raise CasLLMError("no recording fits; list them with: cas-llm ls")
    calls = [call for group in groups for call in group]
    if form is Format.JSONL and output is None:
        for call in calls:
            sys.stdout.buffer.write(line(call))
        return
    assert output is not None
    if form is Format.JSONL:
        files = {output: b"".join(map(line, calls))}
    else:
        files = {output / path: cassette(several) for path, several in _by_place(groups).items()}
    _write(files, force=force)
    redacted = sum(call.is_redacted for call in calls)
    if as_json:
        names = [str(path) for path in files]
        print_json({"files": names, "calls": len(calls), "redacted": redacted})
        return
    what = "cassette" if form is Format.VCRPY else "file"
    say(f"{counted(len(files), what)} with {counted(len(calls), 'call')} written to {output}")
    if redacted:
        say(f"  {counted(redacted, 'call')} held a secret: it stays redacted, as [cas-llm:...]")


def _by_place(groups: Iterable[list[Leaving]]) -> Mapping[PurePosixPath, list[Leaving]]:
    """The calls of each cassette: tests whose names give the same file share it, in order."""
    from cas_llm.cassettes.leaving import place_of

    found: dict[PurePosixPath, list[Leaving]] = {}
    for group in groups:
        found.setdefault(place_of(group[0].scope), []).extend(group)
    return found


def _places(said: Iterable[str]) -> Mapping[str, str]:
    found = {}
    for one in said:
        api, sign, url = one.partition("=")
        if not (api and sign and "://" in url):
            raise ConfigError(
                f"{one!r} is no API=URL, such as openai@azure=https://my.openai.azure.com",
                source="--host",
            )
        found[api] = url
    return found


def _groups(
    store: Store, out: Export, words: Collection[str], advance: Callable[[int], None]
) -> Iterator[list[Leaving]]:
    """The calls to export, tape by tape; those of no scope last."""
    from cas_llm.cli import naming
    from cas_llm.rerecord.selecting import names

    current = _current(store)
    tapes = {tape.scope for tape in current if any(names(word, tape.scope) for word in words)}
    rest = [word for word in words if not any(names(word, scope) for scope in tapes)]
    named = [naming.find(store, word) for word in rest]
    keys = {one.key for one in named if one.key}
    keys |= {store.load(one.digest).key for one in named if one.digest}
    tapes |= {tape.scope for one in named for tape in one.tapes}
    for tape in current:
        whole = not words or tape.scope in tapes
        if (whole or keys) and (calls := out.tape(tape, () if whole else keys)):
            yield calls
        advance(1)
    if (not words or keys) and (calls := out.shared(store.manifest.shared(), keys)):
        yield calls


def _current(store: Store) -> list[Tape]:
    """Each scope's tape of the highest take, by scope."""
    from cas_llm.session.catalogue import latest_tape

    by_scope: dict[str, list[Tape]] = {}
    for path in store.manifest.tape_paths():
        tape = store.manifest.load_tape(path)
        by_scope.setdefault(tape.scope, []).append(tape)
    latest = (latest_tape(by_scope[scope]) for scope in sorted(by_scope))
    return [tape for tape in latest if tape is not None]


def _write(files: Mapping[Path, bytes], *, force: bool) -> None:
    """Write all *files*, each whole or not at all, or none of them if one is there."""
    there = [path for path in files if path.exists()]
    if there and not force:
        listed = ", ".join(str(path) for path in there[:_SHOWN])
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        raise CasLLMError(f"{listed}{more}: there already; write over with --force")
    for path, data in files.items():
        new = path.with_name(f".{path.name[:200]}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.replace(path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise CasLLMError(f"cannot write {path}: {error.strerror or error}") from error
