"""The spelling of the pages: codespell's list of mistakes, and British endings in prose.

Code, in fences or between backticks, is left alone: names are spelt as they are.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
_CODE = re.compile(
    r"^ *(`{3,}).*?^ *\1`*$|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)", re.MULTILINE | re.DOTALL
)
_AMERICAN = re.compile(
    r"\b(?:behavior|color|favor|honor|neighbor|canceled|canceling|labeled|modeling|center|"
    r"(?:un)?(?:recogn|normal|serial|initial|organ|optim|minim|maxim|general|special|synchron|"
    r"author|canonical|custom|tokens?|summar|categor|final|prior|util|real)iz(?:e[sdr]?|ing|ation))"
    r"s?\b|\banaly[z]e[sd]?\b",
    re.IGNORECASE,
)


def pages(tree: Path = TREE) -> list[Path]:
    """All that is read as prose."""
    return [tree / "README.md", *sorted((tree / "docs").rglob("*.md"))]


def american(text: str) -> Iterator[tuple[int, str]]:
    """Line and word of each American spelling outside code."""
    prose = _CODE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(prose.splitlines(), 1):
        for found in _AMERICAN.finditer(line):
            yield number, found[0]


def main() -> int:
    """Say what is misspelt; 1 if anything is."""
    wrong = [
        f"{page.relative_to(TREE)}:{number}: {word}: British spelling, please"
        for page in pages()
        for number, word in american(page.read_text("utf-8"))
    ]
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *map(str, pages())],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong += (done.stdout + done.stderr).splitlines()
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
