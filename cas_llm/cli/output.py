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
_REDRAWN = 0.1
_A_TABLE = 1000


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

    The last column gives way first where the terminal is narrow. Thousands of rows are printed
    as plain lines, as laying out so large a table takes minutes.
    """
    texts = [tuple(str(cell) for cell in row) for row in rows]
    if len(texts) > _A_TABLE:
        _print_plain([tuple(columns), *texts], [name in right for name in columns], title)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for number, name in enumerate(columns):
        last = number == len(columns) - 1
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=not last, overflow="fold"
        )
    for row in texts:
        table.add_row(*row)
    console().print(table)


def _print_plain(rows: Sequence[Sequence[str]], right: Sequence[bool], title: str) -> None:
    """Print *rows* in columns of one width; the last one's lines stand under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    margin = "\n" + " " * sum(width + 2 for width in widths)
    if title:
        sys.stdout.write(f"{title}\n")
    for row in rows:
        cells = zip(row, widths, right, strict=False)
        fixed = [cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in cells]
        line = "  ".join((*fixed, row[-1].replace("\n", margin)))
        sys.stdout.write(f"{line}\n")


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error for as long as the block runs; yields ``advance(n)``.

    Nothing is drawn unless standard error is a terminal; a *total* of None is an open end. It is
    drawn by who advances it and not by a thread, beside which no process could be forked.
    """
    where = console(stderr=True)
    if not where.is_terminal:
        yield lambda _: None
        return
    from time import monotonic

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    elapsed = TimeElapsedColumn()
    with Progress(*columns, elapsed, console=where, transient=True, auto_refresh=False) as bars:
        task, drawn = bars.add_task(label, total=total), 0.0

        def advance(count: int) -> None:
            nonlocal drawn
            bars.advance(task, count)
            if monotonic() - drawn > _REDRAWN:
                bars.refresh()
                drawn = monotonic()

        yield advance


def counted(number: int, word: str, plural: str = "") -> str:
    """*number* with its word, for example ``1 file`` or ``1,204 files``."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def size_text(size: int) -> str:
    """A number of bytes for people."""
    if size < 1000:
        return f"{size} B"
    amount, unit = size / 1000, "kB"
    for larger in ("MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}"


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
