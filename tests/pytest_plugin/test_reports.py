"""What a run reports: JSON for machines, a job's page, one summary from many workers."""

import pytest
from support.inner import FALLBACK, summary_of

SUITE = """
    @pytest.fixture(scope="session")
    def persona(): return ask("persona")

    @pytest.mark.parametrize("n", range(6))
    def test_it(n, persona): ask(f"{n} for {persona}")
"""


def test_the_report_is_the_whole_run_as_json(inner):
    """Counts, money, problems with their commands, and what each test used."""
    inner.table("", priced=True).tests("def test_one(): ask('one')").record(passed=1)
    inner.tests("def test_one(): ask('one')\ndef test_two(): ask('two')")
    report = inner.report(passed=1, failed=1)
    assert report["format"] == "cas-llm/report/1"
    assert (report["mode"], report["store"]) == ("replay", "cache_store")
    assert report["sums"]["served"] == report["sums"]["not_recorded"] == 1
    assert report["sums"]["saved_usd"] > 0
    (problem,) = report["problems"]
    assert problem["scope"] == "tests/test_it.py::test_two"
    assert "--cas-llm=fallback" in problem["explanation"]
    (used,) = report["tests"]["tests/test_it.py::test_one"]["used"]
    assert used["digest"] == inner.tapes()[0]["turns"][0]["digest"]
    assert report["tests"]["tests/test_it.py::test_two"] == {"passed": False, "used": []}


def test_workers_are_one_run(inner):
    """One call for a session fixture, one summary, one report, as without workers."""
    plugins = ("xdist",)
    inner.tests(SUITE)
    said = summary_of(inner.run(FALLBACK, "-n", "2", plugins=plugins, passed=6))
    assert inner.provider.count == 7
    assert "7 calls" in said
    assert "new: 7 recordings in 7 tests" in said
    report = inner.report("-n", "2", plugins=plugins, passed=6)
    assert report["sums"]["served"] in {7, 8}
    assert len(report["tests"]) == 6
    assert all(test["passed"] is True for test in report["tests"].values())
    inner.run(passed=6)
    assert inner.provider.count == 7


@pytest.mark.slow
def test_workers_share_one_purse_and_one_list_of_causes(inner):
    """Misses of all workers are grouped together."""
    inner.tests(SUITE.replace("{persona}", "x").replace(", persona", ""))
    said = summary_of(inner.run("-n", "2", plugins=("xdist",), failed=6))
    assert "0 served   6 not recorded   0 live connections" in said
    assert "6 calls, free" in said


def test_a_jobs_page_gets_the_summary(inner):
    """Markdown is added to the file GITHUB_STEP_SUMMARY names."""
    page = inner.project.home / "page.md"
    page.write_text("# Before\n")
    inner.tests("def test_one(): ask('one')")
    inner.run(env={"GITHUB_STEP_SUMMARY": str(page)}, failed=1)
    text = page.read_text()
    assert text.startswith("# Before\n### cas-llm: replay\n")
    assert "0 served   1 not recorded" in text


def test_a_run_without_a_request_says_nothing(inner):
    """No section, no page; the report is written all the same."""
    inner.tests("def test_one(): pass")
    report = inner.report(passed=1)
    assert summary_of(inner.last) == ""
    assert report["sums"]["served"] == 0


def test_a_price_that_is_not_known_is_said_to_be_unknown(inner):
    """Never a guess, never a crash."""
    inner.table("", priced=True).tests("def test_one(): ask('one', model='nobodys-model')")
    assert "1 call, price unknown" in inner.run(failed=1).stdout
    assert "spent: unknown" in summary_of(inner.record(passed=1))


def test_workers_report_though_only_a_marker_asked(inner):
    """The process that distributes collects nothing, and still tells what its workers did."""
    inner.tests("@pytest.mark.cas_llm('fallback')\ndef test_it(): ask('hi')")
    (inner.project.path / "pyproject.toml").unlink()
    said = summary_of(inner.run("-n", "1", plugins=("xdist",), passed=1))
    assert "1 call" in said
    assert "new: 1 recording in 1 test" in said


@pytest.mark.slow
def test_explain_tells_the_last_runs_misses(inner):
    """With workers, too; a run without misses takes them away."""
    inner.tests("def test_one(): ask('one')").record(passed=1)
    inner.tests("def test_one(): ask('one!')")
    inner.run("-n", "1", plugins=("xdist",), failed=1)
    told = inner.project.cas_llm("explain")
    assert "test_one" in told.stdout
    assert '"one" -> "one!"' in told.stdout
    inner.tests("def test_one(): ask('one')").run(passed=1)
    assert '"one!"' not in inner.project.cas_llm("explain").stdout


def damage(inner, count):
    """Damages the answers of the first *count* tapes."""
    for tape in inner.tapes()[:count]:
        digest = tape["turns"][0]["digest"]
        path = inner.project.path / "cache_store" / "objects" / digest[:2] / f"{digest[2:]}.json"
        path.chmod(0o644)
        path.write_text("{}")


@pytest.mark.slow
def test_what_cannot_be_read_is_mended_and_not_recorded(inner):
    """One, or several with a miss among them: each kind with the command that helps."""
    one, two = "def test_one(): ask('one')\n", "def test_two(): ask('two')\n"
    inner.tests(one).record(passed=1)
    damage(inner, 1)
    said = summary_of(inner.run(failed=1))
    assert "mend: cas-llm verify --repair" in said
    assert "--cas-llm=fallback" not in said
    inner.tests(one + two)
    said = summary_of(inner.run(failed=2))
    assert "mend: cas-llm verify --repair     1 recording" in said
    assert "--cas-llm=fallback     1 call" in said


@pytest.mark.parametrize(
    ("place", "why"),
    [("tests", "it is a folder"), ("pyproject.toml/report.json", "pyproject.toml is a file")],
)
def test_a_report_that_cannot_be_written_is_refused_at_the_start(inner, place, why):
    """Nothing is called before the option is known to work."""
    inner.tests("def test_one(): ask('one')")
    result = inner.run(FALLBACK, f"--cas-llm-report={place}")
    assert (result.code, inner.provider.count) == (4, 0), result
    assert f"--cas-llm-report={place}" in result.text
    assert why in result.text


def test_a_report_that_fails_at_the_end_is_a_line(inner):
    """A folder that appears meanwhile, or a job's page that is none, ends no run in an error."""
    inner.tests("""
        import os
        def test_one():
            os.remove("report.json")
            os.mkdir("report.json")
            ask('one')
    """)
    env = {"GITHUB_STEP_SUMMARY": str(inner.project.path)}
    result = inner.run(FALLBACK, "--cas-llm-report=report.json", env=env, passed=1)
    assert result.code == 0, result
    assert result.stdout.count("cas-llm: cannot write") == 2
    assert "INTERNALERROR" not in result.text
