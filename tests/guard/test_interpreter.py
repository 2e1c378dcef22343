"""The Python that a project's tests run in, found from a hook's environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cas_llm.errors import ConfigError
from cas_llm.guard.replaying import interpreter


def environment(folder: Path) -> Path:
    """A folder that looks like a virtual environment; gives its python."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    (folder / "pyvenv.cfg").touch()
    return python


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "top" / "packages" / "one"
    place.mkdir(parents=True)
    return place


def found(project: Path, setting: str = "", **environ: str) -> str:
    """The interpreter's path in the project, which lies two folders below the top."""
    top = project.parents[1]
    return interpreter.find(project, top, setting, {"PATH": "", **environ}).words[0]


def test_the_setting_wins_over_all_else(project, tmp_path):
    """Relative to the project, so that it holds on every machine."""
    environment(project / ".venv")
    python = environment(project / "own")
    active = environment(tmp_path / "active").parents[1]
    assert found(project, "own/bin/python", VIRTUAL_ENV=str(active)) == str(python)


def test_a_setting_that_names_nothing_is_an_error(project):
    """It says which setting, and what it holds."""
    with pytest.raises(ConfigError, match="python is 'nowhere/python', and there is no such file"):
        found(project, "nowhere/python")


def test_the_active_environment_comes_before_the_projects_folders(project, tmp_path):
    """Who activated one means it."""
    environment(project / ".venv")
    active = environment(tmp_path / "active")
    assert found(project, VIRTUAL_ENV=str(active.parents[1])) == str(active)


def test_pre_commits_own_environment_is_never_taken_for_the_projects(project, tmp_path):
    """It overwrites VIRTUAL_ENV and comes first on the path; what was active stands behind it."""
    own = environment(tmp_path / "py_env-python3.11")
    active = environment(tmp_path / "active")
    path = os.pathsep.join([str(own.parent), str(active.parent)])
    assert found(project, VIRTUAL_ENV=str(own.parents[1]), PATH=path) == str(active)


def test_a_folder_above_the_project_holds_its_environment_up_to_the_top(project, tmp_path):
    """Nearest first, and never beyond the repository."""
    environment(tmp_path / ".venv")
    top = environment(project.parents[1] / "venv")
    assert found(project) == str(top)
    nearer = environment(project / ".venv")
    assert found(project) == str(nearer)


def test_without_any_it_is_the_running_python(project, tmp_path):
    """A hook that was installed into the project's environment runs there."""
    environment(tmp_path / ".venv")
    assert found(project) == sys.executable


def test_in_pre_commits_environment_alone_nothing_is_found(project, monkeypatch, tmp_path):
    """Better no answer than tests run without the project's packages."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "py_env-python3.11"))
    with pytest.raises(ConfigError, match="no Python found to run the tests of"):
        found(project)


def test_a_link_to_the_same_python_is_another_environment(project):
    """An environment's python is a link; what is installed beside it differs."""
    python = environment(project / ".venv")
    python.unlink()
    python.symlink_to(sys.executable)
    one = interpreter.find(project, project.parents[1], "", {"PATH": ""})
    assert not one.is_this
