"""What it costs to have cas-llm: its import, its command line, its plugin in a pytest run."""

from __future__ import annotations

import sys

from measuring import Command, Effort, Stores, timed
from outcomes import Outcome, ratios

_TYPER = """\
import typer
app = typer.Typer()
@app.command()
def verify(path: str = "."): "Verify something."
@app.command()
def stats(path: str = "."): "Count something."
app()
"""
_HOOK = "import cas_llm.keys, cas_llm.redact.scan, cas_llm.store.proof.verify"
_PLUGIN = "cas_llm.pytest_plugin"
_TESTS = 20


def start(stores: Stores, effort: Effort) -> Outcome:
    """Imports and the command line beside an empty interpreter and an empty typer app."""
    outcome = Outcome()
    home = stores.scratch()
    (home / "empty_app.py").write_text(_TYPER)
    python = sys.executable
    words = {
        "python -c pass": [python, "-c", "pass"],
        "import cas_llm": [python, "-c", "import cas_llm"],
        "import orjson": [python, "-c", "import orjson"],
        "what a hook imports": [python, "-c", _HOOK],
        "import openai": [python, "-c", "import openai"],
        "typer app --help": [python, "empty_app.py", "--help"],
        "cas-llm --help": [python, "-m", "cas_llm", "--help"],
        "cas-llm --version": [python, "-m", "cas_llm", "--version"],
        "cas-llm verify --help": [python, "-m", "cas_llm", "verify", "--help"],
    }
    commands = {name: Command(line, home) for name, line in words.items()}
    found = timed(commands, 2 * effort.starts)
    note = f"A hook imports what looks at files alone: `{_HOOK}`."
    outcome.tables.append(ratios("Start-up", found, "python -c pass", note=note))
    bare = found["python -c pass"]
    outcome.held("21a", found["cas-llm --help"].over(found["typer app --help"]))
    outcome.held("21b", found["what a hook imports"].over(bare))
    outcome.held("22", found["import cas_llm"].over(bare))
    return outcome


def plugin(stores: Stores, effort: Effort) -> Outcome:
    """A pytest run whose tests use nothing of cas-llm, with the plugin and without."""
    outcome = Outcome()
    home = stores.scratch()
    tests = "".join(f"def test_{number}(): pass\n" for number in range(_TESTS))
    (home / "test_nothing.py").write_text(tests)
    (home / "pytest.ini").write_text("[pytest]\n")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    commands = {
        "pytest": Command(words, home, more=alone),
        "pytest -p cas_llm.pytest_plugin": Command([*words, "-p", _PLUGIN], home, more=alone),
    }
    found = timed(commands, 2 * effort.starts)
    note = f"{_TESTS} empty tests, no other plugin."
    outcome.tables.append(ratios("pytest with the plugin", found, "pytest", note=note))
    outcome.held("23", found["pytest -p cas_llm.pytest_plugin"].over(found["pytest"]))
    return outcome
