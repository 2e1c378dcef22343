"""How commands print: one console, JSON for programs, tables, progress.

Part of the command line; knows nothing of stores. Colour follows ``NO_COLOR``, ``FORCE_COLOR`` and
whether anybody watches; the width follows the terminal or ``COLUMNS``, and lines that go to a
file or a pipe are not cut. Square brackets are text here, never markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_UNBOUNDED = 1000


def console(*, stderr: bool = False) -> Console:
    """The console for results, or for what is only said by the way (*stderr*)."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _UNBOUNDED
    return made


def say(text: str = "", style: str = "", *, stderr: bool = False) -> None:
    """Print *text* as it is; a long line is left to the terminal to wrap, so it can be copied."""
    console(stderr=stderr).print(text, style=style or None, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print *value* as JSON, indented by two; a path is its text."""
    import orjson

    data = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.flush()
    raw = getattr(sys.stdout, "buffer", None)
    if raw is None:
        sys.stdout.write(data.decode())
    else:
        raw.write(data)
        raw.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    title: str = "",
) -> None:
    """Print *rows* under *columns*; those named in *right* are aligned to the right.

    The last column gives way first where the terminal is narrow.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for number, name in enumerate(columns):
        last = number == len(columns) - 1
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=not last, overflow="fold"
        )
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error for as long as the block runs; yields ``advance(n)``.

    Nothing is drawn unless standard error is a terminal; a *total* of None is an open end.
    """
    where = console(stderr=True)
    if not where.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=where, transient=True) as bars:
        task = bars.add_task(label, total=total)
        yield lambda count: bars.advance(task, count)


def counted(number: int, word: str, plural: str = "") -> str:
    """*number* with its word, for example ``1 file`` or ``1,204 files``."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def tell_unreadable(count: int) -> None:
    """Say on standard error that *count* recordings cannot be read, and end with 1; nothing if 0.

    Raises:
        typer.Exit: *count* is not 0.

    """
    if count:
        import typer

        what = counted(count, "recording")
        say(f"{what} cannot be read: cas-llm verify --repair", "red", stderr=True)
        raise typer.Exit(1)


def version() -> str:
    """The version of cas-llm that is installed, or ``unknown`` in a bare source tree."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("cas-llm")
    except PackageNotFoundError:
        return "unknown"
