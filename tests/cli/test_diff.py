"""`cas-llm diff`: paired by test and request, told in five formats, safe whatever was answered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from support.reports import a_miss, a_report, written
from support.stores import asks, recorded, says, streams
from support.suites import ONE, TWO, Bench, answered
from support.terminal import said

from cas_llm.cli.diffing import markdown
from cas_llm.cli.diffing.blocks import blocks
from cas_llm.drift.changes import Change
from cas_llm.drift.said import Said
from cas_llm.store import Shared, Store, layout
from cas_llm.store.answer import pretty
from cas_llm.wire import Response

HOSTILE = (
    "</details></summary><script>alert(1)</script> @octocat `tick` ```` four | pipe | "
    "[a](javascript:x) www.evil.example http://evil.example <img src=x onerror=y> "
    "\u202e reversed \u200b \x1b[31m red \x1b]0;title\x07 ::error::boom ##[command] # Title"
)


THEN = "2026-11-21T09:14:02Z"


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(None, 40.0, ()), (40.0, None, ()), (900.0, 40.0, ("0.9 s -> 0.0 s",))],
)
def test_a_time_is_told_where_both_answers_have_one(before, after, told):
    """An imported answer has none: that the one recorded since has is no change."""
    old, new = Said("d1", "a", latency_ms=before), Said("d2", "b", latency_ms=after)
    change = Change(ONE, 1, 1, ("k", "d1"), ("k", "d2"), old, new)
    assert [block.facts for block in blocks([change])] == [told]


def test_what_is_not_committed_is_compared_with_head(bench, capsys):
    """A test recorded anew is told with both answers; one that was not is not named."""
    assert said(capsys, "diff")[0].splitlines()[1:] == ["No recording differs."]
    bench.record(ONE, answered("one", "Eleven of them"), take=1)
    out, _ = said(capsys, "diff")
    head = bench.repository.git("rev-parse", "HEAD")[:12]
    assert out.splitlines() == [
        f"cas-llm diff: not committed yet (against HEAD, {head})",
        "1 call re-recorded   m",
        "Answers: 1 rewritten, 0 refusals, 0 schema",
        "",
        "1 rewritten:",
        ONE,
        "     rewritten   0% of the words alike",
        "  >  one",
        "  -  1",
        "  +  Eleven of them",
        "",
        "1 superseded recording goes with the next `cas-llm prune` on main",
    ]
    bench.repository.commit()
    assert "No recording differs." in said(capsys, "diff")[0]
    assert "1 rewritten" in said(capsys, "diff", "HEAD~1")[0]


def test_a_store_moved_to_other_keys_is_no_change_of_its_answers(bench, capsys):
    """It is counted, and nobody is asked about it, before the old keys are pruned and after."""
    made = recorded(asks("shared"), says("s"))
    shared = Shared(made.answer.key, 0, "0a1b2c3d", 1, bench.save(made))
    Store(bench.repository.root).add_shared(shared)
    bench.repository.commit()
    said(capsys, "rekey", "--normalise=trim", "--apply")
    told = ["3 recordings have other keys, with the answers as they were"]
    assert said(capsys, "diff")[0].splitlines()[1:] == told
    assert "Nothing to review" in said(capsys, "review", "--list")[0]
    (old,) = bench.repository.root.glob(f"manifest/shared/*/{shared.key[2:]}.*")
    old.unlink()
    assert said(capsys, "diff")[0].splitlines()[1:] == told


def test_a_branch_is_compared_with_where_it_began(bench, capsys):
    """What the other branch recorded since is none of this one's changes."""
    git = bench.repository.git
    git("checkout", "-q", "-b", "feature")
    bench.record(ONE, answered("one", "mine"), take=1)
    bench.repository.commit()
    git("checkout", "-q", "main")
    bench.record(TWO, answered("two", "theirs"), take=1)
    bench.repository.commit()
    git("checkout", "-q", "feature")
    found = json.loads(said(capsys, "diff", "main", "--json")[0])
    assert found["tests"] == [ONE]
    assert found["base"] == git("merge-base", "main", "feature").strip()


def test_an_edited_request_is_one_cause_however_many_tests_it_is_in(bench, capsys):
    """Old and new turn are paired, and the sentence that differs is shown."""
    for scope, text in ((ONE, "one"), (TWO, "two")):
        request = asks(text)
        body = request.body.replace(b"Be brief.\\nBe brief.", b"Be kind.\\nBe brief.", 1)
        bench.record(scope, recorded(replace(request, body=body), says(f"kind {text}")), take=1)
    found = json.loads(said(capsys, "diff", "--json")[0])
    (cause,) = found["causes"]
    assert cause["tests"] == [ONE, TWO]
    assert [one["path"] for one in cause["differences"]] == ["$.messages[0].content"]
    assert [one["before"]["text"] for one in found["changes"]] == ["1", "2"]
    out, _ = said(capsys, "diff")
    assert "One request changed in 2 tests:  $.messages[0].content\n  -  Be brief.\n" in out


def test_what_repeats_an_earlier_answer_is_no_cause(bench, capsys):
    """The second turn quotes the first one's answer: its request changed because of that alone."""

    def talk(first: str, prompt: str) -> tuple:
        begin = asks("Plan a trip", seed=prompt)
        body = json.loads(begin.body)
        body["messages"] += [
            {"role": "assistant", "content": first},
            {"role": "user", "content": "Go on"},
        ]
        later = replace(begin, body=json.dumps(body).encode())
        return recorded(begin, says(first)), recorded(later, says(f"More of {first}"))

    bench.record(ONE, *talk("By train to Rome", "a seed"), take=1)
    bench.repository.commit()
    bench.record(ONE, *talk("By night train to Paris", "a seed"), take=2)
    found = json.loads(said(capsys, "diff", "--json")[0])
    assert found["causes"] == []
    assert [one["follows"] for one in found["changes"]] == [False, True]
    bench.record(ONE, *talk("By night train to Paris", "another"), take=3)
    (cause,) = json.loads(said(capsys, "diff", "--json")[0])["causes"]
    assert [one["path"] for one in cause["differences"]] == ["$.seed"]


def test_new_and_gone_tests_and_turns_are_told_apart(bench, capsys):
    """A test without a tape before, one without one now, a turn more, a turn less."""
    bench.record(ONE, answered("one", "1", at=THEN), take=1)
    bench.repository.commit()
    three = "tests/test_bot.py::test_three"
    bench.record(three, answered("three", "3"), answered("four", "4"))
    bench.record(ONE, answered("one", "1", at=THEN), answered("more", "5"), take=2)
    bench.repository.one(f"{layout.TAPES}/**/test_two*.json").unlink()
    found = json.loads(said(capsys, "diff", "--json")[0])
    assert (list(found["new_tests"]), list(found["gone_tests"])) == ([three], [TWO])
    assert found["counts"] == {"new": 1}
    assert [len(turns) for turns in found["new_tests"].values()] == [2]
    out, _ = said(capsys, "diff", "--full")
    assert "1 new test:\n" in out
    assert "1 gone test:\n" in out


def test_shared_recordings_are_compared_by_request(bench, capsys):
    """The ask that has another answer; its siblings are not named."""
    store = Store(bench.repository.root)
    made = [recorded(asks("shared"), says(text), "0a1b2c3d", n) for n, text in enumerate("abc", 1)]
    digests = [store.save(one) for one in made]
    key = made[0].answer.key
    store.add_shared(Shared(key, 0, "0a1b2c3d", 1, digests[0]))
    store.add_shared(Shared(key, 0, "0a1b2c3d", 2, digests[1]))
    bench.repository.commit()
    store.add_shared(Shared(key, 1, "1b2c3d4e", 1, digests[0]))
    store.add_shared(Shared(key, 1, "1b2c3d4e", 2, digests[2]))
    store.close()
    (change,) = json.loads(said(capsys, "diff", "--json")[0])["changes"]
    assert (change["before"]["text"], change["after"]["text"]) == ("b", "c")
    assert f"shared request {key[:12]}" in said(capsys, "diff")[0]


def test_a_stream_is_compared_with_an_answer_that_came_whole(bench, capsys):
    """What it says is what counts."""
    first = answered("one", "1", at=THEN)
    bench.record(ONE, first, recorded(asks("flow"), says("a b")), take=1)
    bench.repository.commit()
    bench.record(ONE, first, recorded(asks("flow"), streams("a b")), take=2)
    (change,) = json.loads(said(capsys, "diff", "--json")[0])["changes"]
    assert change["after"]["text"] == "ab"
    assert change["class"] == "rewritten"


def test_pruned_answers_are_read_from_git(bench, capsys):
    """What the old tape names is nowhere on the disk any more."""
    old = bench.repository.one(f"{layout.TAPES}/**/test_one*.json")
    digest = json.loads(old.read_bytes())["turns"][0]["digest"]
    bench.record(ONE, answered("one", "Eleven of them"), take=1)
    layout.object_path(bench.repository.root, digest).unlink()
    old.unlink()
    (change,) = json.loads(said(capsys, "diff", "--json")[0])["changes"]
    assert change["before"]["text"] == "1"


def test_a_damaged_answer_and_a_damaged_tape_are_said_not_guessed(bench, capsys):
    """The rest is compared all the same."""
    bench.record(ONE, answered("one", "Eleven"), take=1)
    bench.record(TWO, answered("two", "Twelve"), take=1)
    tape = json.loads(bench.repository.one(f"{layout.TAPES}/**/test_one.1*.json").read_bytes())
    path = layout.object_path(bench.repository.root, tape["turns"][0]["digest"])
    path.chmod(0o644)
    path.write_bytes(b"{}")
    broken = bench.repository.one(f"{layout.TAPES}/**/test_two.1*.json")
    broken.chmod(0o644)
    broken.write_bytes(b"{}")
    out, _ = said(capsys, "diff")
    assert "1 answer cannot be read: cas-llm verify --repair" in out
    assert "1 tape not compared, as it cannot be read: cas-llm verify --repair" in out


def test_a_build_fails_for_the_classes_it_minds(bench, capsys):
    """Of those that are there; an unknown word is an error that lists them."""
    bench.record(ONE, answered("one", "I cannot help with that."), take=1)
    _, err = said(capsys, "diff", "--fail-on=tool-call,refusal", code=1)
    assert err == "cas-llm diff: failed on refusal (1)\n"
    said(capsys, "diff", "--fail-on", "tool call,schema")
    _, err = said(capsys, "diff", "--fail-on=grave", code=2)
    assert "'grave' is none of error, tool-call, refusal" in err


def test_classes_and_tests_can_be_chosen(bench, capsys):
    """What is chosen is counted as if there were nothing else."""
    bench.record(ONE, answered("one", "I cannot help with that."), take=1)
    bench.record(TWO, answered("two", "Twelve"), take=1)
    assert "Answers: 1 refusal, 0 schema\n" in said(capsys, "diff", "--only=refusal")[0]
    out, _ = said(capsys, "diff", "-k", "test_two")
    assert "Answers: 1 rewritten, 0 refusals, 0 schema\n" in out
    assert ONE not in out


def test_reports_tell_what_replays_and_why_the_rest_does_not(bench, capsys):
    """A pattern that the shell has spread is several reports, not several revisions."""
    bench.record(ONE, answered("one", "Eleven"), take=1)
    bench.record(TWO, answered("two", "Twelve"), take=1)
    names = written(Path.cwd(), a_report({ONE: "passed"}), a_report({TWO: "failed"}, a_miss(TWO)))
    out, _ = said(capsys, "diff", "HEAD", "--report", *names)
    assert "2 calls re-recorded   m   replays green: 1 of 2   0 live\n" in out
    assert "   1 missed: not recorded   POST openai /v1/chat/completions" in out
    found = json.loads(said(capsys, "diff", "--report", *names, "--json")[0])["replay"]
    assert (found["green"], found["of"], found["mode"]) == (1, 2, "replay")
    _, err = said(capsys, "diff", "main", "HEAD", code=2)
    assert "give one revision, not 2: main HEAD" in err


def test_what_cannot_be_compared_is_one_clear_error(bench, capsys, tmp_path, monkeypatch):
    """An unknown revision, no store, no repository; nothing recorded yet is none."""
    for name, fetch in (("nope", "origin nope"), ("HEAD~99", "--unshallow")):
        error = said(capsys, "diff", name, code=1)[1]
        assert f"git does not know it here; fetch it first, as by git fetch {fetch} " in error
    assert "the revision is empty" in said(capsys, "diff", "", code=2)[1]
    assert "no cas-llm store at" in said(capsys, "diff", "--store", str(tmp_path / "x"), code=1)[1]
    Store(tmp_path / "plain" / "cache_store").prepare()
    monkeypatch.chdir(tmp_path / "plain")
    _, err = said(capsys, "diff", "--store", "cache_store", code=1)
    assert "is in no git repository" in err
    assert "cas-llm diff --pending" in err


def test_a_repository_without_a_commit_holds_nothing_yet(tmp_path, capsys, monkeypatch):
    """Every test is new."""
    from support.commits import Repository

    bench = Bench(Repository.made(tmp_path / "fresh").path)
    monkeypatch.chdir(bench.repository.path)
    bench.record(ONE, answered("one", "1"))
    out, _ = said(capsys, "diff")
    assert out.startswith("cas-llm diff: against nothing: no commit yet\n1 call recorded   m\n")
    assert "1 new test:" in out


# -- every format, whatever was answered ---------------------------------------------------------


def hostile(bench: Bench) -> None:
    """A change in which every text is somebody's attempt."""
    name = f"tests/test_bot.py::test_one[{HOSTILE}]"
    tool = {"id": "c", "function": {"name": "go", "arguments": json.dumps({HOSTILE: HOSTILE})}}
    for take, text in enumerate((HOSTILE, HOSTILE + " and more. " + HOSTILE[::-1])):
        request = asks(HOSTILE, **{HOSTILE: text})
        message = {"role": "assistant", "content": text, "tool_calls": [tool] * take}
        body = {"choices": [{"message": message, "finish_reason": HOSTILE}], "model": HOSTILE}
        made = recorded(request, Response(200, says("x").headers, json.dumps(body).encode()))
        made = replace(made, answer=replace(made.answer, provenance={"model": f"{take} {HOSTILE}"}))
        bench.record(name, made, take=take)
        if not take:
            bench.repository.commit()


class Page(HTMLParser):
    """The tags of a page, and the text that stands outside code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.bare = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} was not open"

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"code", "pre", "style", "title"} & {*self.open}:
            self.bare += data


def is_visible(text: str) -> bool:
    """Whether *text* has no sign that moves a cursor, hides or reorders anything."""
    return not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", text
    )


@pytest.mark.parametrize("style", ["markdown", "github"])
def test_nothing_that_was_answered_breaks_out_of_markdown(bench, capsys, style):
    """No tag, no link, no mention, no heading of its own, no fold that ends too early."""
    hostile(bench)
    out, _ = said(capsys, "diff", "--format", style)
    assert is_visible(out)
    page = Page(MarkdownIt("commonmark").render(out))
    assert page.open == []
    assert set(page.tags) <= {
        *("h3", "p", "code", "pre", "ul", "li", "strong", "details", "summary", "br"),
    }
    assert page.tags.count("h3") == 1
    assert not re.search(r"@|www\.|://|\[|\||#", page.bare), page.bare
    assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]


def test_nothing_that_was_answered_breaks_out_of_html(bench, capsys, tmp_path):
    """One file: no script, no attribute of anybody's, no address, every tag closed."""
    hostile(bench)
    target = tmp_path / "diff.html"
    assert said(capsys, "diff", "--format=html", "--output", str(target))[0] == ""
    text = target.read_text("utf-8")
    assert is_visible(text)
    page = Page(text)
    assert page.open == []
    assert not {"script", "img", "link", "a", "iframe", "svg"} & {*page.tags}
    assert not re.search(
        r"\b(?:src|href|url|onerror)\s*=",
        re.sub(r"&[#\w]+;|<style>.*</style>", "", text.partition("<h1>")[0], flags=re.DOTALL),
    )
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "default-src 'none'" in text


@pytest.mark.slow
def test_a_browser_reads_the_html_as_it_was_meant(bench, capsys, tmp_path):
    """Chromium builds the very tags that were written, in their order, whatever was answered."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium is here to open the page: make docs-check installs it")
    hostile(bench)
    target = tmp_path / "diff.html"
    said(capsys, "diff", "--format=html", "--output", str(target))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    profile = f"--user-data-dir={tmp_path / 'browser'}"
    read = subprocess.run(
        [chromium, *flags, profile, "--dump-dom", target.as_uri()],
        capture_output=True,
        check=True,
        timeout=60,
    )
    written, built = Page(target.read_text("utf-8")), Page(read.stdout.decode())
    assert built.tags == written.tags
    assert built.open == []
    assert "<code>cas-llm prune</code>" in read.stdout.decode()


def test_nothing_that_was_answered_moves_a_terminals_cursor(bench, capsys):
    """What would is shown; no line of it is a workflow command in a job's log."""
    hostile(bench)
    for arguments in (("diff",), ("diff", "--full"), ("review", "--list")):
        out, _ = said(capsys, *arguments)
        assert is_visible(out)
        assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]
        assert "##[" not in out
    assert "\\u001b[31m" in said(capsys, "diff", "--full")[0]


def test_json_holds_it_all_as_it_was(bench, capsys, tmp_path):
    """For programs nothing is shown otherwise; a file has what is printed."""
    hostile(bench)
    out, _ = said(capsys, "diff", "--format=json")
    (change,) = json.loads(out)["changes"]
    assert change["before"]["text"] == HOSTILE
    assert change["class"] == "tool-call"
    said(capsys, "diff", "--json", "-o", str(tmp_path / "diff.json"))
    assert (tmp_path / "diff.json").read_bytes() == pretty(json.loads(out))


def test_a_jobs_summary_is_appended_to_and_the_log_is_no_command(
    bench, capsys, tmp_path, monkeypatch
):
    """What is in the summary stays; what is printed stands between two words nobody guesses."""
    hostile(bench)
    summary = tmp_path / "summary.md"
    summary.write_text("Before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    out, _ = said(capsys, "diff", "--format=github")
    first, *_, last = out.splitlines()
    assert first == f"::stop-commands::{last.strip(':')}"
    text = summary.read_text("utf-8")
    assert text.startswith("Before\n### cas-llm diff\n")
    assert "Look at first" in out
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert "GITHUB_STEP_SUMMARY" in said(capsys, "diff", "--format=github", code=1)[1]


def test_markdown_keeps_to_its_limit_and_counts_what_it_leaves_out(bench, capsys, monkeypatch):
    """Whole diffs only, every fold closed, and the command that shows the rest."""
    for number in range(9):
        bench.record(f"tests/test_bot.py::test_{number}", answered(f"ask {number}", "old " * 400))
    bench.repository.commit()
    for number in range(9):
        new = answered(f"ask {number}", f"new {number} " * 400)
        bench.record(f"tests/test_bot.py::test_{number}", new, take=1)
    monkeypatch.setattr(markdown, "COMMENT", 12_000)
    out, _ = said(capsys, "diff", "--format=markdown")
    assert 6_000 < len(out.encode()) <= 12_000
    left = int(re.search(r"and (\d+) more: `cas-llm diff HEAD --full`", out)[1])
    assert left + out.count("```diff") == 9
    assert out.count("<details>") == out.count("</details>") == 1


def test_lines_keep_to_the_terminals_width(bench, capsys, monkeypatch):
    """Long words are cut, long sentences wrapped under their sign."""
    bench.record(ONE, answered("one", "long sentences " * 40 + "x" * 300), take=1)
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        out, _ = said(capsys, "diff")
        assert max(map(len, out.splitlines())) <= width
        assert "  +  long sentences" in out
