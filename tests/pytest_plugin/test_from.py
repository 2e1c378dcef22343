"""`--cas-llm-from`: what a red CI run lacks is recorded by one command, and nothing besides."""

import pytest
from support.inner import FALLBACK, summary_of

SHARD = """
    import pathlib
    PROMPT = pathlib.Path("prompt.txt").read_text().strip()

    def asks(text):
        return said(post([{"role": "system", "content": PROMPT},
                          {"role": "user", "content": text}]))

    def test_plain_NN(): ask("plain NN")

    def test_edited_NN(): asks("first NN")

    def test_talk_NN():
        asks("one NN")
        asks("two NN")
"""
SHARDS = ("a", "b", "c", "d")


def a_recorded_project(inner):
    inner.table("", priced=True)
    inner.project.file("prompt.txt", "Answer in detail.")
    for name in SHARDS:
        inner.tests(SHARD.replace("NN", name), f"tests/test_{name}.py")
    inner.record(passed=12)
    inner.project.commit("Recorded")
    inner.provider.clear()


def merged(inner, *more, code=0):
    result = inner.project.cas_llm("report", "../cas-*.json", *more)
    assert result.code == code, result
    return result


@pytest.mark.slow
def test_four_shards_one_picture_one_command_and_green_again(inner):
    """Transcript (d): CI without keys is red, a maintainer records just what is missing."""
    a_recorded_project(inner)
    inner.project.file("prompt.txt", "Answer in two sentences.").commit("Edit the prompt")
    ci = {"CI": "1", "GITHUB_REF": "refs/pull/812/merge"}
    for name in SHARDS:
        place = f"--cas-llm-report=../cas-{name}.json"
        result = inner.run(f"tests/test_{name}.py", place, env=ci, passed=1, failed=2)
        assert (
            "  a maintainer with a key:  gh pr checkout 812 && "
            f"pytest --cas-llm=fallback --cas-llm-from=cas-{name}.json     3 calls, about $0."
        ) in summary_of(result)
    assert inner.provider.count == 0

    told = merged(inner, "--fail-on=miss,unused", "--base=HEAD~1", code=1)
    lines = told.stdout.splitlines()
    assert lines[0].startswith("cas-llm: replay, 4 reports, commit ")
    assert lines[1] == (
        "4 passed   8 failed   0 skipped   4 served   8 not recorded   0 live connections"
    )
    assert lines[2:4] == [
        "8 tests, 1 cause",
        '     8  $.messages[0].content   "Answer in detail." -> "Answer in two sentences."',
    ]
    assert "--cas-llm-from=report.json    12 calls, about $0." in told.stdout
    assert "tapes against HEAD~1" in told.stdout
    assert told.stderr == "cas-llm report: failed on miss (8)\n"

    report = inner.project.home / "report.json"
    report.write_text(merged(inner, "--json").stdout)
    chosen = inner.run(FALLBACK, f"--cas-llm-from={report}", passed=8, deselected=4)
    assert inner.provider.count == 12
    assert "only tests that" in chosen.stdout
    assert "12 calls   spent" in summary_of(chosen)
    asked = [call.json["messages"][0]["content"] for call in inner.provider.calls]
    assert set(asked) == {"Answer in two sentences."}

    for name in SHARDS:
        place = f"--cas-llm-report=../cas-{name}.json"
        inner.run(f"tests/test_{name}.py", place, env=ci, passed=3)
    green = merged(inner, "--fail-on=miss,live,failed", "--base=HEAD")
    assert "8 recorded anew" in green.stdout
    assert inner.provider.count == 12


FIXTURES = """
    @pytest.fixture(scope="session")
    def persona(): return ask("persona")

    def test_one(persona): ask("one")
    def test_two(persona): pass
    def test_three(): ask("three")
"""


@pytest.mark.slow
def test_workers_choose_what_one_process_would(inner):
    """An empty choice ends with 5 there too, and a chosen test runs once."""
    inner.tests("def test_one(): ask('one')\ndef test_two(): pass")
    place = inner.project.home / "report.json"
    inner.report("-n", "2", plugins=("xdist",), passed=1, failed=1)
    inner.run(FALLBACK, f"--cas-llm-from={place}", "-n", "2", plugins=("xdist",), passed=1)
    assert inner.provider.count == 1
    # The report of this run is written over the one it reads.
    inner.report(passed=2)
    inner.tests("def test_one(): ask('one!')\ndef test_two(): pass")
    inner.report(failed=1, passed=1)
    same = (f"--cas-llm-from={place}", f"--cas-llm-report={place}", "-n", "2")
    inner.run(FALLBACK, *same, plugins=("xdist",), passed=1)
    report = inner.report("-n", "2", plugins=("xdist",), passed=2)
    assert (len(report["collected"]), report["shards"][0]["stopped"]) == (2, "")
    nothing = inner.run(f"--cas-llm-from={place}", "-n", "1", plugins=("xdist",))
    assert nothing.code == 5
    assert "names no test that missed" in nothing.stdout


@pytest.mark.slow
def test_a_fixtures_miss_selects_all_tests_that_ask_for_it(inner):
    """Not only the one that happened to set it up."""
    inner.tests(FIXTURES).record(passed=3)
    inner.tests(FIXTURES.replace('"persona"', '"another persona"'))
    report = inner.report(passed=1, error=2)
    (problem,) = report["problems"]
    assert problem["scope"] == "tests/test_it.py::persona"
    assert problem["test"] == "tests/test_it.py::test_one"
    assert "pytest tests/test_it.py --cas-llm=fallback" in problem["explanation"]
    inner.provider.clear()
    place = inner.project.home / "report.json"
    inner.run(FALLBACK, f"--cas-llm-from={place}", passed=2, deselected=1)
    assert [call.json["messages"][0]["content"] for call in inner.provider.calls] == [
        "another persona"
    ]


@pytest.mark.slow
def test_a_miss_at_import_selects_the_modules_tests(inner):
    """The request is made while the module is imported; its tests vouch for it."""
    inner.tests("HELLO = ask('hello')\ndef test_one(): assert HELLO")
    inner.tests("def test_other(): ask('other')", "tests/test_other.py")
    report = inner.report()
    assert report["uncollected"] == ["tests/test_it.py"]
    assert report["shards"][0]["stopped"] == "interrupted"
    assert [problem["test"] for problem in report["problems"]] == ["tests/test_it.py"]
    place = inner.project.home / "report.json"
    inner.run(FALLBACK, f"--cas-llm-from={place}", passed=1, deselected=1)
    assert inner.provider.count == 1


@pytest.mark.slow
def test_without_a_mode_nothing_is_recorded_and_the_header_says_so(inner):
    """What a report names and nobody finds is said by name; an empty choice ends with 5."""
    inner.tests("def test_one(): ask('one')\ndef test_gone(): ask('gone')")
    inner.report(failed=2)
    place = inner.project.home / "report.json"
    inner.tests("def test_one(): ask('one')")
    result = inner.run(f"--cas-llm-from={place}", failed=1)
    assert "replay records nothing: add --cas-llm=fallback" in result.stdout
    assert "names and that cannot be found here:\n  tests/test_it.py::test_gone" in result.stdout
    assert inner.provider.count == 0
    inner.report(FALLBACK, passed=1)
    nothing = inner.run(f"--cas-llm-from={place}")
    assert nothing.code == 5
    assert "names no test that missed: there is nothing to record" in nothing.stdout


def test_a_file_that_is_no_report_ends_the_run_before_it_begins(inner):
    """One error that names the file."""
    inner.tests("def test_one(): ask('one')")
    result = inner.run(FALLBACK, "--cas-llm-from=pyproject.toml")
    assert (result.code, inner.provider.count) == (4, 0)
    assert "pyproject.toml: cut off, or no JSON" in result.stderr
    assert "write one: pytest --cas-llm-report=report.json" in result.stderr
