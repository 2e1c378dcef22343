"""`cas-llm rekey`: what it shows, refuses, writes, and says to type next."""

import json
import sys

import pytest
from support.desk import chat
from support.shelf import Shelf

from cas_llm import cli

ONE = "tests/test_a.py::test_one"
TRACE = "ignore:$.metadata"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A project with a store, worked on in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    settings(tmp_path)
    return Shelf(tmp_path / "cache_store")


def settings(folder, *rules, more=""):
    """Write the settings of the project in *folder*."""
    text = f"[tool.cas-llm]\nstore = 'cache_store'\nnormalise = {json.dumps(rules)}\n{more}"
    (folder / "pyproject.toml").write_text(text)


@pytest.fixture
def run(capsys):
    """``run(*arguments, code=0)``: what the command prints."""

    def running(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            cli.main(["rekey", *arguments])
        said = capsys.readouterr()
        assert ended.value.code == code, said
        return said.out + said.err

    return running


def traced(number, text="status?"):
    return chat(text, metadata={"trace": f"t{number}"})


def test_the_dry_run_counts_and_names_the_next_command(shelf, run):
    """One line that is all a person wants to know, and nothing is written."""
    shelf.tape(ONE, (traced(1), "a"), (traced(2, "b"), "b"))
    settings(shelf.root.parent, TRACE)
    before = shelf.files()
    said = run()
    assert said.splitlines() == [
        "2 recordings keep their answers, 0 calls, 0 clashes",
        '  2 get another key, in 1 new tape   normalise = ["ignore:$.metadata"]',
        "Nothing was changed. Next: cas-llm rekey --apply",
    ]
    assert run("--dry-run") == said
    assert shelf.files() == before


def test_apply_writes_and_says_what_follows(shelf, run):
    """After it there is nothing to change, and the test replays."""
    shelf.tape(ONE, (traced(1), "a"))
    shelf.shared(traced(1, "z"), "s")
    settings(shelf.root.parent, TRACE)
    said = run("--apply")
    assert "2 recordings keep their answers, 0 calls, 0 clashes" in said
    assert "2 got another key, in 1 new tape and 1 shared entry" in said
    assert "Next: pytest && git add cache_store; the old takes: cas-llm prune" in said
    assert shelf.under(TRACE).says(ONE, traced(9)) == ["a"]
    assert "Nothing to change" in run()


def test_a_rule_that_is_tried_must_be_in_the_settings_first(shelf, run):
    """Or nothing would be found under the new keys."""
    shelf.tape(ONE, (traced(1), "a"))
    said = run("--normalise", TRACE)
    assert 'first say so in [tool.cas-llm]:  normalise = ["ignore:$.metadata"]' in said
    assert f"cas-llm rekey --apply --normalise '{TRACE}'" in said


def test_a_clash_is_refused_with_both_requests_shown(shelf, run):
    """Nothing is written until somebody says that it is meant."""
    shelf.tape(ONE, (traced(1), "pending"), (traced(2), "done"))
    keys = [shelf.record(traced(n)).key[:12] for n in (1, 2)]
    settings(shelf.root.parent, TRACE)
    before = shelf.files()
    shown = run(code=1)
    allow = f"cas-llm rekey --allow-clash {keys[0]}"
    assert shown.splitlines()[:5] == [
        f"Clash in {ONE}: two requests become one",
        f'  {keys[0]}   answered "pending"',
        f'  {keys[1]}   answered "done"',
        '    $.metadata.trace   "t1" -> "t2"',
        f"  if it is meant:  {allow}    (the first ask then gets the first's answer)",
    ]
    assert "0 calls, 1 clash\n" in shown
    assert "nothing was changed: answers clash" in run("--apply", code=1)
    assert shelf.files() == before
    allowed = run("--allow-clash", keys[0])
    assert f"Next: cas-llm rekey --apply --allow-clash {keys[0]}" in allowed
    run("--apply", "--allow-clash", keys[0])
    assert shelf.under(TRACE).says(ONE, traced(8), traced(9)) == ["pending", "done"]


def test_what_cannot_be_moved_is_listed_with_what_records_it(shelf, run):
    """Its test, why, and the command; calls are what that costs."""
    shelf.under(TRACE).tape(ONE, (traced(1), "a"))
    said = run()
    assert f"Cannot be moved: 1 recording of {ONE}" in said
    assert "only known after ignore:$.metadata, and what that took out is not stored" in said
    assert f"record it anew:  pytest {ONE} --cas-llm=fallback" in said
    assert "0 recordings keep their answers, 1 call, 0 clashes" in said


def test_json_says_all_of_it(shelf, run):
    """For programs: the same counts, every clash with its requests."""
    shelf.tape(ONE, (traced(1), "pending"), (traced(2), "done"))
    settings(shelf.root.parent, TRACE)
    document = json.loads(run("--json", code=1))
    assert (document["kept"], document["calls"], document["applied"]) == (2, 0, False)
    (clash,) = document["clashes"]
    assert clash["requests"] == [
        shelf.under().record(traced(1)).key,
        shelf.record(traced(2)).key,
    ]
    assert clash["differences"] == ['$.metadata.trace   "t1" -> "t2"']


def test_a_provider_is_renamed_by_name_and_by_the_settings_hosts(shelf, run):
    """A host that stands in the name of an API is told from the settings."""
    gateway = "https://llm.example.org/v1/chat/completions"
    shelf.tape(ONE, (chat("a", url=gateway), "1"), (chat("b"), "2"))
    hosts = '[tool.cas-llm.hosts]\n"llm.example.org" = "openai@gateway"\n'
    settings(shelf.root.parent, more=hosts)
    assert "1 gets another key" in run()
    assert "2 get another key" in run("--rename", "openai=openai@corp")
    assert "nothing is recorded of 'nobody'; there is openai, openai@llm.example.org" in run(
        "--rename", "nobody=x", code=2
    )


def test_a_function_of_the_projects_own_is_found_in_its_folder(shelf, run, monkeypatch):
    """Also by the installed program, which has the current folder nowhere on its path."""
    monkeypatch.setattr(
        "sys.path", [entry for entry in sys.path if entry not in {"", str(shelf.root)}]
    )
    shelf.tape(ONE, (traced(1), "a"))
    text = "def bare(body):\n    return {'messages': body['messages']}\n"
    (shelf.root.parent / "rules_of_one_test.py").write_text(text)
    settings(shelf.root.parent, "rules_of_one_test:bare@1")
    assert "1 gets another key" in run()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--apply", "--dry-run"), "give --apply or --dry-run, not both"),
        (("--rename", "openai"), "'openai' must read OLD=NEW"),
        (("--namespace", "old=new"), "nothing is recorded of 'old'; there is none"),
        (("--normalise", "trimm"), "did you mean 'trim'?"),
    ],
)
def test_wrong_usage_is_one_clear_error(shelf, run, arguments, message):
    """It says what would be right, and ends with 2."""
    shelf.tape(ONE, (traced(1), "a"))
    assert message in run(*arguments, code=2)


def test_a_key_that_does_not_clash_cannot_be_allowed(shelf, run):
    """A mistyped one must not pass for a choice."""
    shelf.tape(ONE, (traced(1), "a"))
    assert "no key that clashes begins with 'abcd'" in run("--allow-clash", "abcd", code=1)
