"""What holds for every command's words: width, colour, JSON, and the style of messages."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from cas_llm.cli import COMMANDS, main

PACKAGE = Path(__file__).resolve().parents[2] / "cas_llm"
EVERY = pytest.mark.parametrize("command", sorted(COMMANDS))
ARGUMENTS = {
    "demo": "--keep .",
    "edit": "abcd1234 --text new",
    "history": "abcd1234",
    "import": "nowhere",
    "report": "nowhere.json",
    "restore": "abcd1234",
    "show": "abcd1234",
}
"""What a command that needs an argument is given, where it does not exist."""

ENDS_WELL = {"doctor", "explain", "init", "stats", "ls"}
"""What has something to say in a folder without a store."""

_RAISED = re.compile(r"(CasLLM|Config|Store)Error|NotAStore|FormatTooNew|Object(Missing|Corrupt)")
_NEVER = re.compile(r"(?i)\b(please|oops|sorry|simply|just|failed to|invalid|illegal|unable)\b|!\Z")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A folder with nothing in it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def ended(capsys, *arguments):
    """The exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    said = capsys.readouterr()
    return end.value.code or 0, said.out, said.err


@EVERY
@pytest.mark.parametrize("width", [40, 80])
def test_help_fits_the_terminal_and_is_plain(command, width, capsys, monkeypatch):
    """No line is wider, no colour where nobody watches, and a flag has no type."""
    monkeypatch.setenv("COLUMNS", str(width))
    code, said, _ = ended(capsys, command, "--help")
    assert code == 0
    assert max(map(len, said.splitlines())) <= width
    assert "\x1b" not in said
    assert "<bool>" not in said
    assert "BOOLEAN" not in said


def test_help_prints_square_brackets(capsys, monkeypatch):
    """The name of a table is text, not a colour."""
    monkeypatch.setenv("COLUMNS", "200")
    _, said, _ = ended(capsys, "import", "--help")
    assert "[tool.cas-llm]" in said


@EVERY
def test_help_has_no_colour_where_none_is_wanted(command, capsys, monkeypatch):
    """NO_COLOR holds on a terminal, too."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, said, _ = ended(capsys, command, "--help")
    assert not re.search(r"\x1b\[(?:\d+;)*[34]\d", said)


@EVERY
def test_wrong_usage_is_told_to_people_and_to_programs(command, capsys, empty):
    """With 2, on standard error; under --json as JSON on standard output besides."""
    code, said, told = ended(capsys, command, "--no-such-option", "--json")
    error = json.loads(said)["error"]
    assert (code, error["exit"]) == (2, 2)
    assert "--no-such-option" in error["message"]
    assert "--no-such-option" in told


@EVERY
def test_without_a_store_there_is_an_answer_or_one_clear_error(command, capsys, empty):
    """JSON either way; an error is one message with what to do, and nothing is a defect."""
    (empty / "x").write_text("")
    arguments = shlex.split(ARGUMENTS.get(command, ""))
    code, said, told = ended(capsys, command, *arguments, "--json")
    document = json.loads(said)
    assert code in {0, 1, 2}
    if command in ENDS_WELL and not code:
        assert "error" not in document
        return
    if code and "error" in document:
        assert document["error"]["exit"] == code
        assert told.startswith("cas-llm: ")
        assert "Traceback" not in told
        assert re.search(r"cas-llm \w|pytest|--\w|git \w|name ", document["error"]["message"])


def raised_messages():
    """Every text that an error of cas-llm's is raised with; holes for what is put in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if _RAISED.search(source) else ():
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            name = getattr(node.exc.func, "id", "")
            if _RAISED.fullmatch(name) and node.exc.args:
                text = text_of(node.exc.args[0])
                if text is not None:
                    yield f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}", text


def text_of(node):
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            "…" if isinstance(one, ast.FormattedValue) else one.value for one in node.values
        )
    return None


def test_messages_keep_to_the_guide():
    """They begin small, say no empty word, shout nothing, and don't end in a full stop."""
    messages = [*raised_messages()]
    assert len(messages) > 80
    bad = [
        f"{place}: {text}"
        for place, text in messages
        if _NEVER.search(text) or re.search(r"[^.]\.\Z", text) or re.match(r"[A-Z][a-z]", text)
    ]
    assert bad == []
