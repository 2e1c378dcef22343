"""A recorded project under git, for tests of what guards its commits."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

from support.inner import FALLBACK, LLM
from support.projects import Project, Result
from support.provider import ScriptedProvider

INSTALLED = any(entry.name == "cas_llm" for entry in entry_points(group="pytest11"))
PLUGIN = ("-p", "cas_llm" if INSTALLED else "cas_llm.pytest_plugin")
TABLE = "[tool.cas-llm]\n[tool.pytest.ini_options]\npythonpath = '.'\n"
TESTS = """
from llm import ask
from app import PROMPT

def test_greets():
    assert ask(PROMPT)

def test_thanks():
    assert ask("Thank Ada")
"""


ALONE = """
from llm import ask

def test_waves():
    assert ask("Wave at Ada")
"""


class Guarded:
    """A project with three recorded tests, all of it committed once `begin` was called."""

    def __init__(self, project: Project, provider: ScriptedProvider) -> None:
        self.project, self.provider = project, provider
        project.env(OPENAI_BASE_URL=provider.url, OPENAI_API_KEY="-".join(["sk", "x" * 8]))
        project.env(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    python = sys.executable

    @classmethod
    def at(cls, folder: Path, name: str, like: Guarded) -> Guarded:
        """The work tree *name* in *folder*, which exists, with what *like* has around it."""
        project = Project(folder, git=False)
        project.path = folder / name
        return cls(project, like.provider)

    def begin(self) -> Guarded:
        """Record the tests and commit all there is."""
        self.project.file("pyproject.toml", TABLE).file(".gitignore", "__pycache__/\n")
        self.project.file("tests/llm.py", LLM).file("tests/test_one.py", TESTS)
        self.project.file("tests/test_two.py", ALONE)
        self.project.file("app.py", 'PROMPT = "Greet Ada"\n')
        self.record()
        self.project.commit("Three tests")
        return self

    def lose(self, test: str) -> None:
        """Commit that the answer of *test* is gone: whoever runs the test finds out."""
        store = self.project.path / "cache_store"
        tape = next((store / "manifest" / "tapes").rglob(f"{test}.*.json"))
        digest = json.loads(tape.read_text("utf-8"))["turns"][0]["digest"]
        (store / "objects" / digest[:2] / f"{digest[2:]}.json").unlink()
        self.project.commit("A lost answer")

    def hooks(self, text: str) -> None:
        """Write settings of the hooks."""
        self.project.file("pyproject.toml", f"{TABLE}[tool.cas-llm.hooks]\n{text}\n")

    def record(self, *names: str) -> Result:
        """Run the tests and record what is missing."""
        words = ("-m", "pytest", "-q", *PLUGIN, "-p", "no:cacheprovider", FALLBACK, *names)
        result = self.project.run(sys.executable, *words)
        assert result.code == 0, str(result)
        return result

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file."""
        text = self.project.read(name)
        assert old in text
        self.project.file(name, text.replace(old, new))

    def hook(self, name: str, *words: str, **variables: str) -> Result:
        """Run the hook *name* as a commit would, or a push where *variables* say so."""
        commit = {} if "PRE_COMMIT_TO_REF" in variables else {"GIT_INDEX_FILE": ".git/index"}
        arguments = ("-m", "cas_llm.hook", name, *words)
        return self.project.run(sys.executable, *arguments, env={**commit, **variables})

    def codes(self, name: str, **variables: str) -> list[str]:
        """The codes that the hook *name* finds; it blocks if one of them is an error."""
        result = self.hook(name, "--json", **variables)
        findings = json.loads(result.stdout)["findings"]
        blocks = any(finding["severity"] == "error" for finding in findings)
        assert result.code == int(blocks), str(result)
        return sorted(finding["code"] for finding in findings)
