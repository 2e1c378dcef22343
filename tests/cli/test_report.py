"""`cas-llm report`: several runs' reports as one picture, for people, programs and GitHub."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from support.reports import a_miss, a_report, written

from cas_llm.cli import main
from cas_llm.store import Store
from cas_llm.store.tape import Tape, Turn

ONE, TWO = "tests/test_it.py::test_one", "tests/test_it.py::test_two"
KEY, DIGEST = "ab" * 32, "cd" * 32


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, and the place that commands are typed in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def ended(capsys, *arguments: str) -> tuple[int, str, str]:
    """What `cas-llm report` ends with, and what it says where."""
    with pytest.raises(SystemExit) as end:
        main(["report", *arguments])
    said = capsys.readouterr()
    return end.value.code or 0, said.out, said.err


def record(root: Path, scope: str, take: int = 0) -> None:
    """A tape of *scope* in the store at *root*."""
    store = Store(root)
    store.prepare()
    store.add_tape(Tape(scope, take, "", (Turn(KEY, DIGEST),)))
    store.close()


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_picture_tells_outcomes_causes_tests_and_the_price(home, capsys):
    """In the order people need it."""
    misses = [a_miss(f"tests/test_it.py::test_{n}") for n in range(7)]
    ran = {miss["test"]: "failed" for miss in misses}
    files = written(home, a_report(ran, *misses), a_report({ONE: "passed", TWO: "skipped"}))
    code, out, err = ended(capsys, *files, "--fail-on=miss,failed")
    assert code == 1
    assert err == "cas-llm report: failed on miss (7); failed (7)\n"
    assert out.splitlines() == [
        "cas-llm: replay, 2 reports, commit abababababab",
        "1 passed   7 failed   1 skipped   0 served   7 not recorded   0 live connections",
        "7 tests, 1 cause",
        "     7  POST openai /v1/chat/completions   new: nothing recorded yet",
        *[f"          tests/test_it.py::test_{n}" for n in range(5)],
        "          and 2 more",
        (
            "  a maintainer with a key:  pytest --cas-llm=fallback --cas-llm-from=cas-1.json"
            "    7 calls, about $0.07"
        ),
        "unused: unknown: 7 tests failed; there is no store here",
    ]
    assert ended(capsys, *files, "--fail-on=live,tie")[0] == 0


def test_a_merged_report_is_given_as_json_and_is_one_again(home, capsys):
    """With what was found out; the command takes it as it takes its parts."""
    files = written(home, a_report({ONE: "failed"}, a_miss(ONE)), a_report({TWO: "passed"}))
    code, out, _ = ended(capsys, "cas-*.json", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["outcomes"] == {ONE: "failed", TWO: "passed"}
    assert [shard["name"] for shard in found["shards"]] == files
    assert found["unused"]["unknown"] == ["1 test failed", "there is no store here"]
    (home / "all.json").write_text(out)
    again = json.loads(ended(capsys, "all.json", "--format=json", "--fail-on=live")[1])
    assert again == found
    assert ended(capsys, "all.json", *files, "--fail-on=miss")[2].endswith("miss (1)\n")


def test_unused_recordings_are_named(home, capsys):
    """What a passing test leaves, and the tape of a test that is gone."""
    record(home / "cache_store", ONE)
    record(home / "cache_store", "tests/test_it.py::test_old")
    (home / "tests").mkdir()
    (home / "tests" / "test_it.py").write_text("def test_one(): ...\n")
    written(home, a_report({ONE: "passed"}, left={ONE: [KEY]}))
    code, out, err = ended(capsys, "cas-1.json", "--fail-on=unused")
    assert (code, err) == (1, "cas-llm report: failed on unused (2)\n")
    assert f"unused: 1 recording of 1 test that no longer play them\n  {ONE}\n" in out
    assert "the tapes of 1 test that are gone: cas-llm prune\n  tests/test_it.py::test_old" in out
    written(home, a_report({ONE: "passed", "tests/test_it.py::test_old": "passed"}))
    code, out, _ = ended(capsys, "cas-1.json", "--fail-on=unused")
    assert (code, out.splitlines()[-1]) == (0, "unused: none")


def test_tapes_are_compared_with_where_the_branch_began(home, capsys):
    """New, recorded anew, pruned and gone; what the base did later says nothing."""
    store, gone = home / "cache_store", "tests/test_it.py::test_gone"
    for scope in (ONE, TWO, gone, "tests/test_it.py::test_old"):
        record(store, scope)
    record(store, TWO, take=1)
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "Begin")
    git("checkout", "-qb", "feature")
    record(store, ONE, take=1)
    record(store, "tests/test_it.py::test_new")
    for path in store.rglob("test_gone.*.json"):
        path.unlink()
    for path in store.rglob("test_two.0.*.json"):
        path.unlink()
    git("checkout", "-q", "--detach")
    written(home, a_report({ONE: "passed"}))
    _, out, _ = ended(capsys, "cas-1.json", "--base=main")
    start = git("rev-parse", "main")[:12]
    assert (
        f"tapes against main ({start}): 1 new, 1 recorded anew, 1 gone, 1 only pruned\n"
        "  new: tests/test_it.py::test_new\n"
        f"  recorded anew: {ONE}\n"
        f"  gone: {gone}\n"
        f"  only pruned: {TWO}\n"
    ) in out
    found = json.loads(ended(capsys, "cas-1.json", "--base=main", "--json")[1])["changed"]
    assert (found["anew"], found["revision"]) == ([ONE], "main")


@pytest.mark.parametrize(
    ("revision", "why"),
    [
        ("origin/main", "fetch it first, as by git fetch origin main"),
        ("--help", "git does not know it here"),
        ("orphan", "git does not know where it and HEAD part"),
    ],
)
def test_a_base_that_cannot_be_compared_with_is_refused(home, capsys, revision, why):
    """Before anything is read, with what to fetch."""
    git("init", "-q", "-b", "orphan")
    git("commit", "-q", "--allow-empty", "-m", "Another root")
    git("checkout", "-q", "--orphan", "main")
    git("commit", "-q", "--allow-empty", "-m", "Begin")
    code, _, err = ended(capsys, "nowhere.json", f"--base={revision}")
    assert code == 1
    assert why in err


def test_outside_of_git_there_is_no_base(home, capsys):
    """An error of one line."""
    code, _, err = ended(capsys, "nowhere.json", "--base=main")
    assert (code, "is in no git repository" in err) == (1, True)


def broken(**members) -> str:
    return json.dumps(a_report({ONE: "passed"}, a_miss(ONE)) | members)


BROKEN = {
    "cut off": (broken()[:-40], "cut off, or no JSON"),
    "empty": ("", "cut off, or no JSON"),
    "deep": ("[" * 100_000, "cut off, or no JSON"),
    "another's": ("[]", "no report of cas-llm"),
    "a store's": ('{"format": "cas-llm/answer/1"}', "no report of cas-llm"),
    "later": ('{"format": "cas-llm/report/9"}', "use the version that wrote it"),
    "lacking": (json.dumps({"format": "cas-llm/report/1"}), "a report with something amiss"),
    "no shard": (broken(shards=[]), "it is of no run"),
    "odd outcome": (broken(outcomes={ONE: ["failed"]}), "amiss"),
    "odd problem": (broken(problems=[{"kind": 1}]), "amiss"),
    "odd price": (broken(problems=[a_miss(ONE) | {"price_usd": "much"}]), "amiss"),
    "odd names": (broken(collected=[1]), "collected does not hold"),
    "odd test": (broken(tests={ONE: []}), "amiss"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_whole_report_is_one_error_that_names_the_file(home, capsys, kind):
    """Whatever is wrong with it; no traceback, no defect."""
    text, why = BROKEN[kind]
    written(home, a_report({TWO: "passed"}))
    (home / "odd.json").write_text(text)
    code, _, err = ended(capsys, "cas-1.json", "odd.json")
    assert code == 1
    assert err.startswith(f"cas-llm: {home / 'odd.json'}: ")
    assert why in err


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none.json", "there is no such file"),
        ("none-*.json", "the pattern matches no file"),
        (".", "is a folder"),
    ],
)
def test_a_file_that_is_not_there_is_named(home, capsys, name, why):
    """A pattern that the shell left alone is one that matches nothing here either."""
    code, _, err = ended(capsys, name)
    assert (code, f"{name}: " in err, why in err) == (1, True, True)


def test_reports_of_two_commits_are_refused(home, capsys):
    """With both files' names."""
    files = written(home, a_report({}), a_report({}, commit="ef" * 20))
    code, _, err = ended(capsys, *files)
    assert code == 1
    assert "cas-1.json is of abababababab, cas-2.json is of efefefefefef" in err


def test_an_unknown_word_to_fail_on_is_wrong_usage(home, capsys):
    """With the words there are; a list without any asks for nothing."""
    files = written(home, a_report({ONE: "passed"}))
    code, _, err = ended(capsys, *files, "--fail-on=miss,missing")
    assert code == 2
    assert "'missing' is none of miss, unused, live, failed, tie" in err
    assert ended(capsys, *files, "--fail-on=,")[0] == 0


def test_a_run_that_did_not_end_is_never_green(home, capsys):
    """Whatever it is to fail on, and it is said."""
    files = written(home, a_report({}, stopped="the run did not end"))
    code, out, err = ended(capsys, *files, "--fail-on=tie")
    assert (code, err) == (
        1,
        "cas-llm report: failed on not checked: cas-1.json did not finish\n",
    )
    assert "cas-1.json did not finish: the run did not end" in out


HOSTILE = (
    'a\n::error::x\r\n%0A,:| <img src=x onerror="y"> @everyone ``` `` \x1b[31m\u202e ##[add-mask]'
)


def hostile() -> dict:
    """A report of somebody who would like to be read as a command."""
    test = f"tests/test_it.py::test_x[{HOSTILE}]"
    text = f'    $.messages[0].content   "{HOSTILE}" -> "{HOSTILE}"'
    misses = [a_miss(test, f"{n}", cause=f"{n}", explanation=text) for n in range(12)]
    many = [a_miss(f"tests/test_it.py::t{n}", cause="one") for n in range(80)]
    outcomes = {miss["test"]: "failed" for miss in (*misses, *many)}
    return a_report(outcomes, *misses, *many, ties={test: ["x"]}, project="packages/bot")


def test_github_gets_one_annotation_a_cause_and_no_command_of_anybody_elses(
    home, capsys, monkeypatch
):
    """Eighty misses of one cause are one; text of the pull request starts no line's command."""
    written(home, hostile())
    code, out, _ = ended(capsys, "cas-1.json", "--format=github", "--fail-on=miss")
    assert code == 1
    assert not any(sign in out for sign in "\x1b\r\u202e")
    stop, *rest = out.splitlines()
    token = stop.removeprefix("::stop-commands::")
    assert len(token) == 32
    text, commands = rest[: rest.index(f"::{token}::")], rest[rest.index(f"::{token}::") + 1 :]
    assert "cas-llm: replay, 1 report" in text[0]
    assert len(commands) == 10
    assert all(line.startswith("::error ") for line in commands)
    head, _, message = commands[0].removeprefix("::error ").partition("::")
    members = dict(member.split("=", 1) for member in head.split(","))
    assert members == {
        "title": "cas-llm%3A 80 requests not recorded",
        "file": "packages/bot/tests/test_it.py",
        "line": "7",
    }
    assert "and 79 other tests%0A" in message
    assert message.endswith("80 calls, about $0.80")
    assert "4 more causes, 4 requests: see the job's summary" in commands[-1]


def test_a_plain_text_starts_no_command_either(home, capsys):
    """A log of GitHub's reads commands out of any line, indented or not."""
    names = ("::add-mask::x", "a ##[debug]x")
    written(home, a_report(dict.fromkeys(names, "passed"), left={name: ["k"] for name in names}))
    _, out, _ = ended(capsys, "cas-1.json")
    assert "add-mask" in out
    assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]
    assert "##[" not in out


def test_the_page_of_the_job_shows_text_as_text(home, capsys, monkeypatch):
    """One table of numbers; no HTML, link or mention of the pull request's making."""
    page = home / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    written(home, hostile())
    ended(capsys, "cas-1.json", "--format=github")
    text = page.read_text("utf-8")
    assert text.startswith("before\n### cas-llm: ")
    assert not any(sign in text for sign in "\x1b\r\u202e")
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert "html_block" not in kinds
    inside = [child for token in tokens for child in token.children or ()]
    assert not {"html_inline", "link_open", "image"} & {child.type for child in inside}
    plain = "".join(child.content for child in inside if child.type == "text")
    assert "@" not in plain
    assert "everyone" not in plain
    assert len(text) < 100_000


def test_a_page_that_cannot_be_written_is_an_error_of_one_line(home, capsys, monkeypatch):
    """After the annotations, which are there."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(home))
    written(home, a_report({ONE: "failed"}, a_miss(ONE)))
    code, out, err = ended(capsys, "cas-1.json", "--format=github")
    assert (code, "::error " in out) == (1, True)
    assert f"cannot write {home} (GITHUB_STEP_SUMMARY)" in err
