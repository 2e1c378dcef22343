"""What the pages take from the code, written into them between two comments.

``python docs/_build/reference.py`` says which pages differ and ends with 1; with ``--write`` it
writes them anew. Checked in, so that a page reads the same on a forge as on the site, and a change
of a help text is seen in its review; a test compares. The API is the exception: mkdocstrings reads
it when the site is built.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE), str(Path(__file__).parent)]

import commands
import switches

DOCS = TREE / "docs"
_SECTION = re.compile(
    r"(<!-- from the code: ([\w-]+) -->\n)(?:(?!<!-- from the code).*\n)*?(<!-- end -->)"
)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def codes() -> str:
    """The codes of all findings."""
    from cas_llm.guard.codes import CODES

    rows = ((f"`{code}`", severity, meaning) for code, (severity, meaning) in CODES.items())
    return table(("Code", "Severity", "What it means"), rows)


def hosts() -> str:
    """Which hosts are known, provider by provider."""
    from cas_llm.providers.hosts import KNOWN_HOSTS

    by_provider: dict[str, list[str]] = {}
    for host, provider in KNOWN_HOSTS.items():
        by_provider.setdefault(provider, []).append(f"`{host}`")
    rows = ((f"`{name}`", ", ".join(found)) for name, found in sorted(by_provider.items()))
    return table(("Provider", "Hosts; `*` stands for any characters"), rows)


def key_variables() -> str:
    """Which variables hold keys, and so get a stand-in in replay."""
    from cas_llm.providers.hosts import KEY_VARIABLES

    by_family: dict[str, list[str]] = {}
    for variable, family in KEY_VARIABLES.items():
        by_family.setdefault(family, []).append(f"`{variable}`")
    rows = ((f"`{family}`", ", ".join(found)) for family, found in sorted(by_family.items()))
    return table(("Family of the stand-in", "Variables"), rows)


def levels() -> str:
    """The levels of the architecture, drawn from the table that the code is held to."""
    page = (DOCS / "architecture/index.md").read_text("utf-8")
    found: dict[str, list[str]] = {}
    for level, module in re.findall(r"^\| (\d) \| `(\w+)` \|", page, re.MULTILINE):
        found.setdefault(level, []).append(module)
    names = dict(re.findall(r"^- \*\*Level (\d), (\w+)\*\*", page, re.MULTILINE))
    boxes = [
        f'    L{level}["{level} {names[level]}<br/>{", ".join(sorted(found[level]))}"]'
        for level in sorted(found, reverse=True)
    ]
    chain = " --> ".join(f"L{level}" for level in sorted(found, reverse=True))
    said = (
        "Leaves use adapters, adapters the session, the session disk and pure modules, all values."
    )
    head = ["```mermaid", "flowchart TB", "    accTitle: The levels", f"    accDescr: {said}"]
    return "\n".join([*head, *boxes, f"    {chain}", "```"])


def normalisers() -> str:
    """The table in the docstring of the normalisers."""
    from cas_llm.keys import normalise

    rows = re.findall(
        r"^``(.+?)``\s{2,}(.+)$|^``(.+?)`` (.+)$", normalise.__doc__ or "", re.MULTILINE
    )
    cells = ((f"`{a or c}`", (b or d).replace("``", "`")) for a, b, c, d in rows)
    return table(("Rule", "What it takes out of the key"), cells)


def errors() -> str:
    """The hierarchy drawn at the top of the module."""
    from cas_llm import errors as module

    drawing = (module.__doc__ or "").split("::\n\n", 1)[1].split("\n\n", 1)[0]
    return f"```text\n{drawing.rstrip()}\n```".replace("\n    ", "\n")


def key_vectors() -> str:
    """How many golden vectors there are, and some with their keys."""
    vectors: Mapping[str, dict] = json.loads((TREE / "tests/golden/keys.json").read_text("utf-8"))
    shown = [(name, one) for name, one in vectors.items() if name in _SHOWN_VECTORS]
    lines = [f"There are {len(vectors)} of them. Some, each a JSON body posted to", ""]
    lines += ["`https://api.openai.com/v1/chat/completions`:", ""]
    rows = (
        (name, f"`{one['text']}`".replace("|", "\\|"), f"`{one['key'][:16]}…`")
        for name, one in shown
    )
    return "\n".join([*lines, table(("Vector", "Body", "Key"), rows)])


_SHOWN_VECTORS = (
    "value {}",
    "number 1",
    "number 1.0",
    "number 1e0",
    "number -0",
    "number 9007199254740993",
    "logit_bias",
    "__proto__",
    "stream true",
    "stream false",
    "own member $cas:int",
    "string 3",
    "string 5",
)
"""Names of golden vectors: equal numbers, integers beyond 2^53, members in order, escapes."""

SECTIONS: dict[str, Callable[[], str]] = {
    "commands": commands.commands,
    "command-overview": commands.overview,
    "exit-codes": commands.exit_codes,
    "settings": lambda: switches.settings(table),
    "variables": lambda: switches.variables(table),
    "pytest-options": lambda: switches.pytest_options(table),
    "pytest-ini": lambda: switches.pytest_ini(table),
    "pytest-fixtures": lambda: switches.fixtures(table),
    "headers": lambda: switches.headers(table),
    "codes": codes,
    "levels": levels,
    "hosts": hosts,
    "key-variables": key_variables,
    "normalisers": normalisers,
    "errors": errors,
    "key-vectors": key_vectors,
}
"""What a page may ask for by name."""


def renewed(text: str) -> str:
    """A page with its sections as the code has them now."""
    return _SECTION.sub(lambda found: f"{found[1]}\n{SECTIONS[found[2]]()}\n\n{found[3]}", text)


def stale_pages() -> dict[Path, str]:
    """The pages that differ from the code, each with the text it should have."""
    found = {}
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text("utf-8")
        if (now := renewed(text)) != text:
            found[page] = now
    return found


def main(arguments: list[str]) -> int:
    """Write or compare; 1 where a page differs."""
    stale = stale_pages()
    for page, text in stale.items():
        name = page.relative_to(TREE).as_posix()
        if "--write" in arguments:
            page.write_text(text, "utf-8")
            sys.stdout.write(f"written: {name}\n")
        else:
            sys.stdout.write(f"{name} differs from the code; write it with:  make reference\n")
    return 1 if stale and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
