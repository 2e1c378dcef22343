"""A report travels: whole or not at all, of one commit, with nothing of the machine it came from."""

import json
import os
import signal
import socket

import pytest
from support.inner import summary_of

from cas_llm.session.received import read


def test_a_report_names_places_in_the_project_and_no_other(inner):
    """Relative to the project wherever it lies; with the commit, and each test's definition."""
    inner.tests("""
        @pytest.mark.parametrize(
            "n",
            [1, 2],
        )
        @pytest.mark.filterwarnings("ignore")
        def test_one(n): ask(f"{n}")

        def test_two(): ask("two")
    """)
    inner.project.commit("One")
    report = inner.report("tests", failed=3)
    assert report["commit"] == inner.project.git("rev-parse", "HEAD").strip()
    assert (report["store"], report["project"]) == ("cache_store", "")
    assert report["shards"][0]["asked"] == ["tests"]
    assert report["places"] == {
        "tests/test_it.py::test_one[1]": "tests/test_it.py:8",
        "tests/test_it.py::test_one[2]": "tests/test_it.py:8",
        "tests/test_it.py::test_two": "tests/test_it.py:10",
    }
    text = json.dumps(report)
    for told in (str(inner.project.path), str(inner.project.home), socket.gethostname()):
        assert told not in text
    read(inner.project.home / "report.json")


def test_a_secret_in_a_tests_name_is_in_no_report(inner):
    """Not as a test, not in a message; the choice finds the test all the same."""
    inner.tests("""
        import os
        @pytest.mark.parametrize("token", [os.environ["SERVICE_TOKEN"], "plain"])
        def test_it(token): ask("hello")
    """)
    secret = "q9Zx7Lm2"[::-1] + "Vb4Nc8Rt"
    report = inner.report(env={"SERVICE_TOKEN": secret}, failed=2)
    assert secret not in json.dumps(report)
    assert len(report["outcomes"]) == 2
    place = inner.project.home / "report.json"
    inner.run(f"--cas-llm-from={place}", env={"SERVICE_TOKEN": secret}, failed=2)


@pytest.mark.slow
def test_a_run_that_stops_early_says_so(inner):
    """At -x, at Ctrl-C, and where the whole process is killed; never half a file."""
    inner.tests("""
        import os, signal
        # A shell's background job, and its children, are told to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def test_one(): ask("one")
        def test_two(): os.kill(os.getpid(), int(os.environ.get("SIGNAL", 0)))
    """)
    report = inner.report("-x", failed=1)
    assert report["shards"][0]["stopped"] == "stopping after 1 failures"
    report = inner.report(env={"SIGNAL": str(int(signal.SIGINT))})
    assert report["shards"][0]["stopped"].startswith("interrupted")
    assert report["problems"][0]["test"] == "tests/test_it.py::test_one"
    report = inner.report(env={"SIGNAL": str(int(signal.SIGKILL))})
    assert report["shards"][0]["stopped"] == "the run did not end"
    assert (report["problems"], report["outcomes"]) == ([], {})
    assert not [name for name in os.listdir(inner.project.home) if name.startswith(".report")]


@pytest.mark.slow
def test_recordings_that_a_passing_test_leaves_are_reported(inner):
    """Of a test that asks less than it did, and of one that asks nothing any more."""
    inner.tests("def test_one(): ask('a'), ask('b')\ndef test_two(): ask('c')")
    inner.record(passed=2)
    inner.tests("def test_one(): ask('a')\ndef test_two(): pass")
    report = inner.report(passed=2)
    assert {name: len(keys) for name, keys in report["left"].items()} == {
        "tests/test_it.py::test_one": 1,
        "tests/test_it.py::test_two": 1,
    }
    place = str(inner.project.home / "report.json")
    told = inner.project.cas_llm("report", place, "--fail-on=unused")
    assert (told.code, told.stderr) == (1, "cas-llm report: failed on unused (2)\n")
    tape = "cache_store/manifest/tapes/tests/test_it.py/test_two.[0-9]*.json"
    assert f"asks nothing any more: git rm '{tape}'\n" in told.stdout
    assert len(list(inner.project.path.glob(tape))) == 1


def test_a_report_can_go_down_a_pipe(inner):
    """What is no file is written to and not replaced."""
    inner.tests("def test_one(): ask('one')")
    result = inner.run("--cas-llm-report=/dev/stderr", failed=1)
    ended = result.stderr.rindex('{\n  "format": "cas-llm/report/1"')
    assert json.loads(result.stderr[ended:])["outcomes"] == {"tests/test_it.py::test_one": "failed"}


@pytest.mark.slow
def test_on_ci_the_summary_says_what_a_maintainer_does(inner):
    """Where a report was written; it is nobody at this machine who records."""
    inner.table("", priced=True).tests("def test_one(): ask('one')")
    inner.report(env={"CI": "true"}, failed=1)
    said = summary_of(inner.last)
    line = (
        "  a maintainer with a key:  pytest --cas-llm=fallback --cas-llm-from=report.json"
        "     1 call, about $0.0001"
    )
    assert line in said
    assert "record all: pytest" not in said
