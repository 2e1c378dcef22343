"""`cas-llm demo`: the main job on a real model, with a table of what happened."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.options import JsonOption
from cas_llm.errors import CasLLMError, ConfigError

if TYPE_CHECKING:
    from cas_llm.demo import Outcome

_WIDEST = 120
_OTHER_COLUMNS = 49  # what the table takes beside ask and answer, and their marks


def demo(
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Where to write; default: a temporary folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record chats with a real local model, stop it, replay them: no key, no network.

    Nothing is written into the current project.
    """
    from cas_llm import demo as job
    from cas_llm.cli.output import print_json
    from cas_llm.local_model import find_model

    find_model()
    folder = _folder(keep)
    try:
        with _telling(job.steps()) as tell:
            outcome = job.run(folder, tell)
    except BaseException:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    print_json(document(outcome)) if as_json else _print(outcome, kept=keep is not None)
    if not outcome.held:
        raise typer.Exit(1)


def document(outcome: Outcome) -> dict[str, Any]:
    """What happened as JSON."""
    return {
        "model": outcome.model,
        "store": str(outcome.store),
        "load_seconds": round(outcome.load_seconds, 3),
        "live_connections": outcome.live_connections,
        "model_stopped": outcome.model_stopped,
        "held": outcome.held,
        "calls": [
            {
                "call": call.title,
                "ask": call.ask,
                "answer": call.answer,
                "live_ms": round(call.live.seconds * 1000, 1),
                "replay_ms": round(call.replayed.seconds * 1000, 1),
                "bytes": len(call.live.body),
                "identical": call.identical,
                "sha256": call.digest,
            }
            for call in outcome.calls
        ],
    }


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="cas-llm-demo-"))
    folder = keep.expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not an empty folder; name a new one", source="--keep")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CasLLMError(
            f"cannot make {folder}: {error.strerror}; name another with --keep"
        ) from None
    return folder


@contextmanager
def _telling(total: int) -> Iterator[Callable[[str, int], None]]:
    """A bar on standard error while the job runs, nothing where nobody watches it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from cas_llm.cli.output import console

    where = console(stderr=True)
    if not where.is_terminal:
        yield lambda _text, _done: None
        return
    columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=where, transient=True) as bars:
        task = bars.add_task("starting", total=None)
        lock = threading.Lock()

        def tell(text: str, done: int) -> None:
            # Loading has no known length: an open bar, then a closed one over the calls.
            with lock:
                bars.update(
                    task, description=text, completed=done, total=None if done == 0 else total
                )

        yield tell


def _print(outcome: Outcome, *, kept: bool) -> None:
    from cas_llm.cli.output import console, print_table, say

    stopped = "stopped" if outcome.model_stopped else "STILL RUNNING"
    say(f"{outcome.model}: loaded in {outcome.load_seconds:.1f} s, asked, {stopped}; then replayed")
    width = max(24, min(console().width, _WIDEST) - _OTHER_COLUMNS)
    columns = ("call", "live", "replay", "bytes", "ask and answer")
    rows = [
        (
            call.title,
            _milliseconds(call.live.seconds),
            _milliseconds(call.replayed.seconds),
            "identical" if call.identical else "DIFFERENT",
            f"> {_cut(call.ask, width)}\n< {_cut(call.answer, width)}",
        )
        for call in outcome.calls
    ]
    print_table(columns, rows, right=("live", "replay"))
    same = sum(call.identical for call in outcome.calls)
    say(
        f"{same} of {len(outcome.calls)} replayed byte for byte, "
        f"{outcome.live_connections} live connections, no key",
        "green" if outcome.held else "red",
    )
    say(f"Recorded in  {outcome.store}")
    # Run by `make demo` it is in a virtual environment that is not active.
    program = "cas-llm" if shutil.which("cas-llm") else shlex.quote(sys.argv[0])
    where = f"--store {shlex.quote(str(outcome.store))}"
    say("Look at it:")
    for command in ("show demo", "ls", "verify"):
        say(f"  {program} {command} {where}")
    if not kept:
        say(f"It stays until it is taken away: rm -r {shlex.quote(str(outcome.store.parent))}")
    say("In your project:")
    say("  cas-llm init && pytest --cas-llm=fallback      then, with no key:  pytest")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds >= 0.0095 else f"{seconds * 1000:.1f} ms"


def _cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
