"""Guard rails and fixtures of every test.

A test process has a home of its own, none of the developer's provider keys or cas-llm settings,
and no way off loopback; `test_repository.py` proves that each rail holds.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.projects import Project
    from support.provider import ScriptedProvider

# The test folders are no packages, so what they share is found from here.
sys.path.insert(0, str(Path(__file__).parent))

# These say what to test and how much, not how cas-llm behaves.
_KEPT = {"CAS_LLM_CORPUS", "CAS_LLM_SLOW", "CAS_LLM_THOROUGH"}
_REMOVED = re.compile(
    r"CAS_LLM_.*|.*_API_KEY|.*_API_TOKEN|(OPENAI|ANTHROPIC|AZURE|GEMINI|GOOGLE|AWS)_.*|HF_TOKEN"
    r"|CI|GITHUB_.*|(HTTPS?|ALL|NO)_PROXY|GIT_.*|XDG_.*",
    re.IGNORECASE,
)
_home = pytest.StashKey[tuple[str, dict[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    from support.offline.loopback_only import enforce

    config.addinivalue_line("markers", "slow: takes more than a few seconds; make test-slow")
    home = tempfile.mkdtemp(prefix="cas-llm-home-")
    config.stash[_home] = (home, dict(os.environ))
    for name in [name for name in os.environ if _REMOVED.fullmatch(name) and name not in _KEPT]:
        del os.environ[name]
    os.environ |= {
        "HOME": home,
        "USERPROFILE": home,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    enforce()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores it, and so would all that the tests start.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    home, before = config.stash[_home]
    os.environ.clear()
    os.environ |= before
    shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out unless CAS_LLM_SLOW or ``-m`` asks for them."""
    if os.environ.get("CAS_LLM_SLOW") or config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True, scope="session")
def temporary_folders_of_children(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the pytests that tests start clean up after one another only.

    At its end pytest deletes what the last runs but three left behind, its forerunners' or not: a
    child would take minutes over what thousands of tests have left.
    """
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path_factory.mktemp("pytests"))


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A scripted provider on loopback."""
    from support.provider import ScriptedProvider

    with ScriptedProvider() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project in a git repository of its own."""
    from support.projects import Project

    return Project(tmp_path)


@pytest.fixture(scope="session")
def corpus() -> list[dict[str, object]]:
    """The recorded exchanges that CAS_LLM_CORPUS names; without it, none."""
    import json

    path = Path(os.environ.get("CAS_LLM_CORPUS") or "absent")
    if not path.is_file():
        print("0: corpus absent")
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
