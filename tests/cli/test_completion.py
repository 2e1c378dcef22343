"""What a shell is told may follow, and what makes it ask."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cas_llm.cli import COMMANDS, COMPLETES, completion, main
from cas_llm.cli.completion import candidates, complete
from cas_llm.errors import ConfigError
from cas_llm.store import Store, Tape
from cas_llm.store.tape import Turn

KEY = "3f" + "a" * 62
TESTS = (
    "tests/unit/test_bot.py::test_greets",
    "tests/unit/test_bot.py::test_says[two words]",
    "tests/unit/test_trip.py::test_books",
    "tests/test_all.py::test_all",
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder whose store has tapes of four tests."""
    store = Store(tmp_path / "cache_store")
    for scope in TESTS:
        store.add_tape(Tape(scope, 0, "", (Turn(KEY, "0" * 64),)))
    store.objects.add_request(KEY, b"{}\n")
    store.close()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def may_follow(typed):
    return sorted(candidates(typed))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cas-llm res", ["resolve", "restore"]),
        ("cas-llm --v", ["--version"]),
        ("cas-llm --debug verif", ["verify"]),
        ("cas-llm verify --re", ["--repair"]),
        ("cas-llm verify --h", ["--help"]),
        ("cas-llm report --format g", ["github"]),
        ("cas-llm report --format=g", ["--format=github"]),
        ("cas-llm verify --repair=", []),
        ("cas-llm pending a", ["accept"]),
        ("cas-llm nothing-like-it ", sorted(COMMANDS)),
        ("cas-llm show 'tests/test_a", ["tests/test_all.py::test_all"]),
    ],
)
def test_commands_options_and_choices_follow(project, typed, found):
    """By what was begun; a quote that is still open is no obstacle."""
    assert may_follow(typed) == found


def test_an_empty_word_lists_all_commands():
    """So that a first look shows what there is."""
    assert may_follow("cas-llm ") == sorted(COMMANDS)


def test_tests_follow_folder_by_folder(project):
    """Several places are told as places, one as the tests in it."""
    assert may_follow("cas-llm show te") == ["tests/test_all.py", "tests/unit"]
    assert may_follow("cas-llm show tests/unit/") == [
        "tests/unit/test_bot.py",
        "tests/unit/test_trip.py",
    ]
    assert may_follow("cas-llm history tests/unit/test_b") == [*TESTS[:2]]
    assert may_follow("cas-llm edit 3fa --test tests/unit/test_bot.py::test_g") == [TESTS[0]]


def test_keys_follow_from_their_first_digit(project):
    """Short, as they are written; whole where more than that was written."""
    assert may_follow("cas-llm show 3") == [KEY[:12]]
    assert may_follow(f"cas-llm edit {KEY[:14]}") == [KEY]
    assert may_follow("cas-llm edit ") == []


def test_the_store_that_is_named_is_looked_into(project, monkeypatch):
    """As the command itself would."""
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert may_follow("cas-llm show --store ../cache_store 3f") == [KEY[:12]]


@pytest.mark.parametrize(
    "typed", ["", "cas-llm show --store pyproject.toml/x te", "cas-llm show '"]
)
def test_whatever_is_wrong_nothing_is_said(project, typed, capsys):
    """Neither an error nor a traceback comes in between what is being written."""
    (project / "pyproject.toml").write_text("[tool.cas-llm]\nmode = 7\n")
    complete(typed)
    said = capsys.readouterr()
    assert (said.err, "Error" in said.out) == ("", False)


def test_the_variable_asks_and_nothing_else_is_done(project, monkeypatch, capsys):
    """No command runs, and the store stays as it is."""
    before = sorted(project.rglob("*"))
    monkeypatch.setenv(COMPLETES, "cas-llm show 3f")
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{KEY[:12]}\n"
    assert sorted(project.rglob("*")) == before


def test_a_shell_nobody_knows_is_refused():
    """With those there are."""
    with pytest.raises(ConfigError, match="bash, zsh, fish"):
        completion.script("powershell")


@pytest.fixture
def asks(project):
    """What a shell says that reads its script and then *lines*, with cas-llm on its path."""
    (project / "bin").mkdir()
    program = project / "bin/cas-llm"
    tree = Path(__file__).resolve().parents[2]
    program.write_text(f'#!/bin/sh\nPYTHONPATH={tree} exec {sys.executable} -m cas_llm "$@"\n')
    program.chmod(0o755)

    def ask(*command, lines):
        environment = os.environ | {"PATH": f"{project / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            [*command, lines],
            capture_output=True,
            text=True,
            cwd=project,
            env=environment | {"HOME": str(project)},
            check=True,
        )
        return done.stdout.splitlines()

    return ask


def here(shell):
    return pytest.mark.skipif(
        shutil.which(shell) is None, reason=f"{shell} is not on this machine: its script is not run"
    )


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@here("bash")
@pytest.mark.parametrize(
    ("typed", "put_in"),
    [
        ("show tests/unit/test_bot.py::test_", ["test_greets", r"test_says\[two\ words\]"]),
        slow(r"show tests/unit/test_bot.py::test_says\[two\ w", [r"test_says\[two\ words\]"]),
        slow("show 'tests/unit/test_bot.py::test_says[two w", [TESTS[1]]),
        slow("report --format=g", ["github"]),
    ],
)
def test_bash_completes_behind_the_last_break(asks, typed, put_in):
    """Colons and equals signs end words in bash, outside quotes; what it puts in is quoted."""
    lines = f"""
    shopt -s failglob
    eval "$(cas-llm --show-completion bash)"
    COMP_LINE={shlex.quote(f"cas-llm {typed}")}
    COMP_POINT=${{#COMP_LINE}}
    _cas_llm_completion
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert asks("bash", "--norc", "-c", lines=lines) == put_in


@here("zsh")
@pytest.mark.slow
def test_zsh_completes(asks):
    """Whole words, which zsh quotes itself; files where there is nothing else to say."""
    lines = """
    compdef() { echo "$@" }
    compadd() { shift; print -rl -- "$@" }
    _files() { echo files }
    eval "$(cas-llm --show-completion zsh)"
    for LBUFFER in 'cas-llm show tests/unit/test_bot.py::test_' 'cas-llm import ca'; do _cas_llm; done
    """
    assert asks("zsh", "-f", "-c", lines=lines) == ["_cas_llm cas-llm", *TESTS[:2], "files"]


@here("fish")
@pytest.mark.slow
def test_fish_completes(asks):
    """As the shell itself lists what may follow."""
    lines = """
    cas-llm --show-completion fish | source
    complete -C 'cas-llm show tests/unit/test_bot.py::test_'
    complete -C 'cas-llm restor'
    """
    assert asks("fish", "--no-config", "-c", lines=lines) == [*TESTS[:2], "restore"]
