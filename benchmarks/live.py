"""A model's own answers against their replay, and what recording adds to a live call.

::

    python benchmarks/live.py                              # about three minutes
    python benchmarks/live.py --write docs/reference       # the page of the documentation, too

Asks the model on this machine (`cas_llm.local_model`), so it needs no key and no network. In each
round every way of asking has its turn with the same prompts, and every second round goes backwards.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from openai import OpenAI
from report import machine

import cas_llm
from cas_llm.local_model import MODEL, LocalModel

TEMPLATE = Path(__file__).with_name("live.md")
WORDS = ("red", "north", "seven", "river", "copper", "winter", "violin", "salt", "window", "moth")
LIVE, CAPTURE, REPLAY = "live, without cas-llm", "live, recorded", "replayed"


@dataclass
class Times:
    """Seconds of each call, round by round; `first` until the first piece of a stream came."""

    rounds: list[list[float]] = field(default_factory=list)
    first: list[float] = field(default_factory=list)

    @property
    def calls(self) -> list[float]:
        """Every call."""
        return [one for calls in self.rounds for one in calls]


def prompts(count: int) -> list[str]:
    """*count* prompts, no two alike."""
    return [f"Say one sentence about {WORDS[n % len(WORDS)]}, number {n}." for n in range(count)]


def ask(client: OpenAI, prompt: str, *, stream: bool) -> tuple[float, float]:
    """Seconds until the first piece and until the end of an answer."""
    began = time.perf_counter()
    said: Any = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": prompt}],
        max_tokens=24,
        temperature=0,
        stream=stream,
    )
    first = 0.0
    for _ in said if stream else ():
        first = first or time.perf_counter() - began
    return first, time.perf_counter() - began


def measure(
    client: OpenAI, store: Path, rounds: int, count: int, *, stream: bool
) -> dict[str, Times]:
    """The times of all ways of asking, taken in turns."""
    asked = prompts(count)
    ways: dict[str, Callable[[int], AbstractContextManager[Any]]] = {
        LIVE: lambda _: nullcontext(),
        # Another store each time: what a run has recorded once it does not ask again.
        CAPTURE: lambda number: cas_llm.use("capture", store=str(store / str(number))),
        REPLAY: lambda _: cas_llm.use("replay", store=str(store / "replayed")),
    }
    with cas_llm.use("capture", store=str(store / "replayed")):
        for prompt in asked:
            ask(client, prompt, stream=stream)
    found = {name: Times() for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            with ways[name](number):
                took = [ask(client, prompt, stream=stream) for prompt in asked]
            found[name].rounds.append([whole for _, whole in took])
            found[name].first += [first for first, _ in took]
    return found


def table(found: dict[str, Times], *, stream: bool) -> str:
    """Medians, the slowest of a hundred, and the ratio to live calls of the same round."""
    head = ["", "median ms", "p99 ms", "beside live", "min - max"]
    rows = [[*head, "first piece, median ms"] if stream else head]
    for name, times in found.items():
        ratios = [
            statistics.median(mine) / statistics.median(base)
            for mine, base in zip(times.rounds, found[LIVE].rounds, strict=True)
        ]
        row = [
            name,
            f"{statistics.median(times.calls) * 1000:.2f}",
            f"{slowest(times.calls) * 1000:.2f}",
            f"**{statistics.median(ratios):.4f}**",
            f"{min(ratios):.4f} - {max(ratios):.4f}",
        ]
        rows.append([*row, f"{statistics.median(times.first) * 1000:.2f}"] if stream else row)
    return markdown(rows)


def slowest(times: Sequence[float]) -> float:
    """The time that one call of a hundred exceeds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A table whose first row is its head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + " --- |" * (head.count("|") - 1), *body])


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    given = parser.parse_args(arguments)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with LocalModel() as model, tempfile.TemporaryDirectory() as folder:
        client = OpenAI(base_url=model.url, api_key="none", max_retries=0)
        ask(client, "Say hello.", stream=False)  # the model's first answer warms it up
        tables = [
            f"### {title}\n\n"
            + table(
                measure(client, Path(folder, title[0]), given.rounds, given.prompts, stream=stream),
                stream=stream,
            )
            for title, stream in (("Whole answers", False), ("Streams", True))
        ]
    command = f"python benchmarks/live.py --rounds {given.rounds} --prompts {given.prompts}"
    figures = "\n\n".join([machine(command, load), *tables]) + "\n"
    sys.stdout.write(figures)
    if given.write:
        page = TEMPLATE.read_text("utf-8").replace("{{figures}}\n", figures)
        (given.write / "live.md").write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
