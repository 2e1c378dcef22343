"""What the guard's tests share: repositories that are made once, and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.commits import Repository
from support.guarded import Guarded
from support.projects import Project
from support.provider import ScriptedProvider
from support.suites import Bench


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with recorded tests; never changed."""
    folder = tmp_path_factory.mktemp("guarded")
    with ScriptedProvider() as provider:
        return Guarded(Project(folder), provider).begin().project.path


@pytest.fixture
def guarded(begun: Path, tmp_path: Path, provider: ScriptedProvider) -> Guarded:
    """A project with three recorded and committed tests, for one test to change."""
    shutil.copytree(begun, tmp_path / "project", symlinks=True)
    return Guarded(Project(tmp_path), provider)


@pytest.fixture(scope="session")
def repository_template(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose one commit holds a store with every kind of file, and its test."""
    return Repository.recorded(tmp_path_factory.mktemp("repository") / "project")


@pytest.fixture
def repository(repository_template: Repository, tmp_path: Path) -> Repository:
    """A copy of the template."""
    return repository_template.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def bench_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench that is made once."""
    return Bench.made(tmp_path_factory.mktemp("bench") / "project").repository.path


@pytest.fixture
def bench(bench_template: Path, tmp_path: Path) -> Bench:
    """A copy of the template."""
    return Bench(Path(shutil.copytree(bench_template, tmp_path / "project")))
