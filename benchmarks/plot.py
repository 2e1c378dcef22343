"""The two pictures of the page, as one SVG: the targets, and the hit as the store grows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from outcomes import Outcome, Verdict

_COLOURS = {"stretch met": "#00796b", "met": "#7cb342", "**missed**": "#e53935"}
_WIDEST = 3.0  # times its limit; a longer bar is cut, and its figure stands beside it
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: small, and found by a search
    "svg.hashsalt": "cas-llm",
    "font.family": "sans-serif",
    "font.size": 9,
}


def svg(outcomes: Mapping[str, Outcome]) -> str:
    """The picture, or an empty text where matplotlib is not installed or nothing was measured."""
    verdicts = [verdict for one in outcomes.values() for verdict in one.verdicts]
    drawn = [verdict for verdict in verdicts if verdict.target.hard]
    if find_spec("matplotlib") is None or not drawn:
        return ""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    growth = {name: points for one in outcomes.values() for name, points in one.growth.items()}
    with mpl.rc_context(_SETTINGS):
        bars, lines = 0.25 * len(drawn) + 0.3, 2.8 if growth else 0.0
        height = bars + lines + 1.4
        figure = plt.figure(figsize=(10, height))
        # Placed by hand, in inches from the top: the names of the bars take half of the width.
        upper = figure.add_axes((0.5, 1 - (bars + 0.2) / height, 0.46, bars / height))
        _draw_targets(upper, drawn)
        if growth:
            lower = figure.add_axes((0.08, 0.55 / height, 0.88, (lines - 0.1) / height))
            _draw_growth(lower, growth)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(lines) + "\n"


def _draw_targets(axes: Any, verdicts: Sequence[Verdict]) -> None:
    """A bar a target: what was measured, with 1 where the hard limit lies."""
    names = [_named(verdict) for verdict in verdicts]
    limits = [verdict.target.hard for verdict in verdicts]
    lengths = [v.measured.median / hard for v, hard in zip(verdicts, limits, strict=True)]
    colours = [_COLOURS[verdict.word] for verdict in verdicts]
    places = range(len(verdicts))
    axes.barh(places, lengths, color=colours, height=0.7)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, _WIDEST if max(lengths) > _WIDEST else max(1.1, *lengths) * 1.15)
    axes.set_xlabel("measured / the limit that must hold")
    for place, length, verdict in zip(places, lengths, verdicts, strict=True):
        shown = f"{verdict.measured.median:.2f}{verdict.target.unit}"
        axes.text(min(length, 0.9 * _WIDEST) + 0.01, place, shown, va="center", fontsize=8)


def _named(verdict: Verdict) -> str:
    note = f" ({verdict.note})" if verdict.note else ""
    return f"{verdict.target.number}  {verdict.target.what}{note}".replace("`", "")


def _draw_growth(axes: Any, growth: Mapping[str, Mapping[int, float]]) -> None:
    """A line a variant: ratio to the floor over the number of recordings."""
    for name, points in growth.items():
        width = 2.5 if name == "cas-llm" else 1.2
        axes.plot(list(points), list(points.values()), marker="o", linewidth=width, label=name)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * max(max(points.values()) for points in growth.values()))
    axes.set_xlabel("recordings in the store")
    axes.set_ylabel("hit / floor")
    axes.legend(frameon=False)
