"""What the guard's tests share: a recorded project, made once and copied for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.guarded import Guarded
from support.projects import Project
from support.provider import ScriptedProvider


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
