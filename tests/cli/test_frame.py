"""The frame of the command line: what it imports, what it lists, how it ends."""

from __future__ import annotations

import json
import sys

import pytest

from cas_llm import cli
from cas_llm.errors import CasLLMError, ConfigError


def ended(monkeypatch, error: BaseException, *arguments: str) -> int:
    """The exit code of a command that raises *error*."""

    def fails(name: str):
        raise error

    monkeypatch.setattr(cli, "load", fails)
    with pytest.raises(SystemExit) as end:
        cli.main([*arguments, "verify"])
    return end.value.code or 0


def test_help_imports_typer_and_no_command(project) -> None:
    """`--help` loads no command, no SDK, and nothing of cas-llm but the frame and the errors."""
    program = """
        import sys
        from cas_llm.cli import main
        try: main(["--help"])
        except SystemExit: pass
        heavy = {"openai", "httpx", "httpx2", "orjson", "sqlite3", "detect_secrets", "asyncio"}
        ours = {name for name in sys.modules if name.startswith("cas_llm.")}
        print("loaded", sorted((heavy & sys.modules.keys()) | ours))
    """
    result = project.python(program)
    assert "loaded ['cas_llm.cli', 'cas_llm.errors']" in result.stdout, result


def test_help_lists_each_command_in_its_group(project) -> None:
    """Every command of the table stands in the help, under its group."""
    said = project.cas_llm("--help").stdout
    for name, command in cli.COMMANDS.items():
        assert name in said
        assert command.group in said


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_each_command_loads_and_explains_itself(name: str, project) -> None:
    """Each command of the table has a function of its name and a help page."""
    result = project.cas_llm(name, "--help")
    assert result.code == 0, result


def test_the_version_is_said(project) -> None:
    """`--version` names the program."""
    result = project.cas_llm("--version")
    assert (result.code, result.stdout[:8]) == (0, "cas-llm ")


def test_a_mistyped_command_names_the_nearest(project) -> None:
    """A wrong name is a usage error with a suggestion."""
    result = project.cas_llm("verfy")
    assert result.code == 2
    assert "verify" in result.stderr


def test_an_expected_failure_is_its_message_and_one(monkeypatch, capsys) -> None:
    """What went wrong on purpose ends with 1, in its own words, without a traceback."""
    assert ended(monkeypatch, CasLLMError("what, why; do this")) == 1
    assert capsys.readouterr().err == "cas-llm: what, why; do this\n"


def test_a_bad_setting_ends_with_two(monkeypatch, capsys) -> None:
    """A setting that cannot be is wrong usage."""
    assert ended(monkeypatch, ConfigError("no", source="CAS_LLM_MODE")) == 2
    assert "CAS_LLM_MODE" in capsys.readouterr().err


def test_a_defect_is_one_line_and_three(monkeypatch, capsys) -> None:
    """The unexpected ends with 3 and says how to report it; --debug adds the traceback."""
    assert ended(monkeypatch, RuntimeError("boo\nhoo")) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "report" in said
    assert ended(monkeypatch, RuntimeError("boo"), "--debug") == 3
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(monkeypatch) -> None:
    """Control-C is neither a failure nor a defect."""
    assert ended(monkeypatch, KeyboardInterrupt()) == 130


def test_json_is_json_whatever_the_terminal(project) -> None:
    """--json prints JSON and nothing else on standard output."""
    result = project.cas_llm("doctor", "--json", env={"FORCE_COLOR": "1", "COLUMNS": "20"})
    assert json.loads(result.stdout)["versions"]["python"].startswith(
        f"{sys.version_info[0]}.{sys.version_info[1]}"
    )


def test_no_colour_without_a_terminal(project) -> None:
    """Output into a pipe carries no escape sequences."""
    assert "\x1b" not in project.cas_llm("doctor").text


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("show", "nothing-of-this-name"), 1, "no cas-llm store"),
        (("ls", "--older-than", "x"), 2, "is no age"),
        (("ls", "--no-such-option"), 2, "--no-such-option"),
        (("stats", "--store", "pyproject.toml"), 2, "is a file"),
    ],
)
def test_an_error_under_json_is_json_too(project, arguments, code: int, word: str) -> None:
    """Standard output holds the message and the exit code; standard error has the text."""
    project.file("pyproject.toml", "")
    result = project.cas_llm(*arguments, "--json")
    told = json.loads(result.stdout)["error"]
    assert (result.code, told["exit"], word in told["message"]) == (code, code, True), result
    assert word in result.stderr
    assert project.cas_llm(*arguments).stdout == ""


def test_a_defect_under_json_is_json_too(monkeypatch, capsys) -> None:
    """A program that reads the output learns of a defect as of any error."""

    def fails(name: str):
        raise RuntimeError("boo")

    monkeypatch.setattr(cli, "load", fails)
    with pytest.raises(SystemExit):
        cli.main(["verify", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told == {"error": {"message": "RuntimeError: boo", "exit": 3}}


@pytest.mark.parametrize(
    "command",
    [("init",), ("ls",), ("show", "x"), ("explain",), ("stats",), ("verify",), ("pending",)],
)
@pytest.mark.parametrize("place", ["pyproject.toml", "pyproject.toml/below"])
def test_a_store_that_is_a_file_is_wrong_usage(project, command, place: str) -> None:
    """The setting and the file are named, and nothing is a defect."""
    result = project.file("pyproject.toml", "").cas_llm(*command, "--store", place)
    assert result.code == 2, result
    assert "store must be a folder" in result.stderr
    assert "pyproject.toml is a file" in result.stderr
    assert project.read("pyproject.toml") == ""
