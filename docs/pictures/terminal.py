"""Draws the animated terminal of the front page from a real run.

``python docs/pictures/terminal.py`` makes a project in a temporary folder, types the commands below
against a scripted provider on loopback, and writes what came out as `terminal-light.svg` and
`terminal-dark.svg` beside this file. The pictures need no script: they are SVG with a CSS animation
that runs once. For readers who want no motion there is a still of each, which the site's style
sheet shows in its place.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
sys.path.insert(0, str(TREE / "tests"))

from support.provider import ScriptedProvider
from support.walkthrough import Walkthrough

PAGE = """\
<!-- run: answer hello to (\\w+) => Hello \\1! -->
The test, `test_bot.py`:

```python
from openai import OpenAI

ASKED = [{"role": "user", "content": "Say hello to Ada"}]


def test_greets():
    said = OpenAI().chat.completions.create(model="gpt-4o-mini", messages=ASKED)
    assert "Ada" in said.choices[0].message.content
```

```console
$ cas-llm init --no-pre-commit >/dev/null; export OPENAI_API_KEY=...
```
"""
COMMANDS = (
    ("pytest -q", 1),
    ("pytest -q --cas-llm=fallback", 0),
    ("git add -A && git commit -qm 'First test'", 0),
    ("unset OPENAI_API_KEY; pytest -q", 0),
    ("git status --short", 0),
)
COLUMNS, LINE, CHAR, PAD, TOP = 92, 20, 8.43, 16, 40
_NOISE = re.compile(
    r"^(=+ .* =+|_+ .* _+|FAILED .*|F? +\[100%\]|\.? +\[100%\]|F|\.|\s+in test_.*)$"
)


@dataclass(frozen=True)
class Colours:
    """The colours of one picture; each is at least 4.5 to 1 against `ground`."""

    name: str
    ground: str
    bar: str
    text: str
    dim: str
    prompt: str
    good: str
    bad: str


THEMES = (
    Colours("light", "#f6f8fa", "#e3e8ec", "#1f2328", "#57606a", "#00695c", "#116329", "#b31d28"),
    Colours("dark", "#10161b", "#1d262d", "#d7dee4", "#9aa7b1", "#4db6ac", "#7ee787", "#ffa198"),
)


@dataclass(frozen=True)
class Line:
    """One line of the terminal: its text, its kind, and when it appears, in seconds."""

    text: str
    kind: str
    at: float


def run(folder: Path) -> list[tuple[str, str]]:
    """Each command with what it really printed."""
    page = folder / "page.md"
    typed = "".join(
        f"<!-- run: command 1 exits {code} -->\n```console\n$ {command}\n```\n\n"
        for command, code in COMMANDS
    )
    page.write_text(PAGE + typed, "utf-8")
    with ScriptedProvider() as provider:
        walk = Walkthrough(page, folder / "here", provider)
        walk.follow()
    return walk.typed[-len(COMMANDS) :]


def lines(said: list[tuple[str, str]]) -> list[Line]:
    """The lines of the picture, without pytest's rulers, each with its moment."""
    found, now = [], 0.4
    for command, output in said:
        found.append(Line(f"$ {command}", "prompt", now))
        now += 0.9
        shown = [one[:COLUMNS].rstrip() for one in output.splitlines() if not _NOISE.match(one)]
        for one in filter(str.strip, shown):
            found.append(Line(one.strip("-= ") if one.startswith("---") else one, _kind(one), now))
            now += 0.12
        found.append(Line("", "text", now))
        now += 1.2
    return [*found, Line("$", "prompt", now)]


def _kind(line: str) -> str:
    if "not recorded" in line or "failed" in line:
        return "bad"
    if re.search(r"passed|served|recording in", line):
        return "good"
    return "dim" if line.startswith(("---", "cas-llm:")) else "text"


def svg(shown: list[Line], colours: Colours, *, still: bool) -> str:
    """The picture in one set of colours; *still* has its last frame only."""
    moves = "" if still else "animation: shown 0.01s linear var(--at) both;"
    width, height = PAD * 2 + round(COLUMNS * CHAR), TOP + LINE * len(shown) + PAD
    rows = "\n".join(
        f'<text class="{one.kind}" style="--at:{one.at:.2f}s" x="{PAD}" '
        f'y="{TOP + LINE * (number + 1) - 4}">{escape(one.text)}</text>'
        for number, one in enumerate(shown)
    )
    dots = "".join(
        f'<circle cx="{PAD + 6 + 18 * n}" cy="14" r="5" fill="{colours.dim}"/>' for n in range(3)
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>cas-llm in a terminal: a miss, a recording, a replay without a key</title>
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre; fill: {colours.text}; {moves} }}
.prompt {{ fill: {colours.prompt}; font-weight: 600; }}
.good {{ fill: {colours.good}; }} .bad {{ fill: {colours.bad}; }} .dim {{ fill: {colours.dim}; }}
@keyframes shown {{ from {{ opacity: 0; }} to {{ opacity: 1; }} }}
@media (prefers-reduced-motion: reduce) {{ text {{ animation: none; }} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="{colours.ground}"/>
<path d="M0 28V8a8 8 0 0 1 8-8h{width - 16}a8 8 0 0 1 8 8v20z" fill="{colours.bar}"/>
{dots}
{rows}
</svg>
"""


def main() -> None:
    """Run, draw, write."""
    with tempfile.TemporaryDirectory() as folder:
        shown = lines(run(Path(folder)))
    for colours in THEMES:
        for still in (False, True):
            place = HERE / f"terminal-{colours.name}{'-still' if still else ''}.svg"
            place.write_text(svg(shown, colours, still=still), "utf-8")
            sys.stdout.write(f"written: {place.relative_to(TREE)}, {len(shown)} lines\n")


if __name__ == "__main__":
    main()
