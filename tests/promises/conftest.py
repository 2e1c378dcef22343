"""What the tests of promises share: a store of their own, a way to ask, a project with hooks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from support.deeds import Person
from support.guarded import Guarded
from support.projects import Project
from support.provider import ScriptedProvider


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that nothing else knows of."""
    return tmp_path / "cache_store"


@pytest.fixture
def client(provider) -> Iterator[openai.OpenAI]:
    """A client built before anything is switched on, as most programs build theirs."""
    with openai.OpenAI(base_url=provider.url, api_key="none", max_retries=2) as client:
        yield client


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with recorded tests, which is in `project`; never changed."""
    folder = tmp_path_factory.mktemp("guarded")
    with ScriptedProvider() as provider:
        Person(Guarded(Project(folder), provider)).guarded.begin()
    return folder


@pytest.fixture
def ada(begun: Path, tmp_path: Path, provider: ScriptedProvider) -> Person:
    """Somebody in a copy of the project that was `begun`, who has committed all there is."""
    shutil.copytree(begun / "project", tmp_path / "project", symlinks=True)
    return Person(Guarded(Project(tmp_path), provider))


@pytest.fixture
def new(project: Project, provider: ScriptedProvider) -> Person:
    """Somebody in an empty repository."""
    return Person(Guarded(project, provider))
