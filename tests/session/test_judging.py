"""What a merged report means: unused only without doubt, and red for what was asked."""

import pytest
from support.reports import a_miss, a_report

from cas_llm.session import misses
from cas_llm.session.judging import Unused, failing, unused

ONE, TWO = "t.py::one", "t.py::two"


def nowhere(name):
    return None


def test_recordings_that_passing_tests_leave_are_unused():
    """And where all is known, nothing else is."""
    found = unused(a_report({ONE: "passed"}, left={ONE: ["k", "l"]}), {ONE}, nowhere)
    assert found == Unused({ONE: 2})
    assert found.count == 2


@pytest.mark.parametrize(
    ("scope", "text", "gone"),
    [
        ("u.py::two", None, True),
        ("u.py::two", "def one(): ...", True),
        ("u.py::two", "def two(): ...  # left out by a plugin", False),
        ("t.py::one[b]", "def one(x): ...", True),
        ("u.py::Big::two[x::y]#2", "def one(): ...", True),
        ("use::nightly", None, False),
        ("shared", None, False),
    ],
)
def test_a_tape_is_of_a_test_that_is_gone_only_if_no_text_has_it(scope, text, gone):
    """A file that is gone, a name that is, or one of the parameters of a test that is there."""
    found = unused(a_report({"t.py::one[a]": "passed"}), {scope}, lambda name: text)
    assert found.gone == ((scope,) if gone else ())


def test_what_was_not_run_is_not_unused():
    """Other folders, modules that did not load, fixtures in use: no word against any of them."""
    report = a_report({"a/t.py::one": "passed"}, asked=("a", "c/x.py::two"))
    outside = unused(report, {"b/t.py::one", "a/u.py::x", "c/x.py::two[1]", "c/x.py::y"}, nowhere)
    assert outside.gone == ("a/u.py::x", "c/x.py::two[1]")
    assert outside.unknown == ("2 recorded tests lie outside of what was run",)
    closed = unused(report | {"uncollected": ["a/u.py"]}, {"a/u.py::x"}, nowhere)
    assert closed.gone == ()
    fixture = unused(report | {"fixtures": ["persona"]}, {"a/conftest.py::persona[x]"}, nowhere)
    assert (fixture.gone, fixture.unknown) == ((), ())


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (a_report({ONE: "passed"}, collected=(TWO,)), "1 test did not run in any of the reports"),
        (a_report({ONE: "failed"}), "1 test failed"),
        (a_report({ONE: "passed"}, run="77777777", stopped="interrupted"), "77777777: interrupted"),
        (a_report({ONE: "passed"}) | {"uncollected": ["u.py"]}, "1 module could not be collected"),
        (a_report({}), "no test was found"),
        (
            a_report({ONE: "passed"}, run="77777777", mode="fallback"),
            "77777777: its mode was fallback",
        ),
    ],
)
def test_what_is_not_known_is_said(report, why):
    """The reason, in words."""
    assert unused(report, set(), nowhere).unknown == (why,)


def test_without_a_store_tapes_are_unknown():
    """Only what the tests themselves left is known."""
    assert unused(a_report({ONE: "passed"}), None, nowhere).unknown == ("there is no store here",)


@pytest.mark.parametrize(
    ("report", "word", "said"),
    [
        (a_report({ONE: "passed"}, a_miss(ONE)), "miss", "miss (1)"),
        (a_report({}, a_miss(ONE, kind=misses.PLACEHOLDER)), "miss", "miss (1)"),
        (a_report({}, a_miss(ONE, kind=misses.UNREADABLE)), "miss", "miss (1)"),
        (a_report({}, a_miss(ONE, kind=misses.UNSEEN)), "live", "live (1)"),
        (a_report({ONE: "failed"}), "failed", "failed (1)"),
        (a_report({ONE: "passed"}, ties={ONE: ["a", "b"]}), "tie", "tie (1)"),
        (
            a_report({}, run="77777777", stopped="the run did not end"),
            "tie",
            "not checked: 77777777 did not finish",
        ),
    ],
)
def test_a_build_fails_for_what_was_asked_and_nothing_else(report, word, said):
    """Each reason with its number; a run that did not end fails any of them."""
    others = {"miss", "unused", "live", "failed", "tie"} - {word}
    assert list(failing(report, Unused(), [word])) == [said]
    if "not checked" not in said:
        assert list(failing(report, Unused(), others)) == []
    assert list(failing(report, Unused(), [])) == []


def test_unused_recordings_fail_a_build_that_minds_them():
    """What is unknown fails none."""
    report = a_report({ONE: "passed"})
    assert list(failing(report, Unused({ONE: 2}, ("u.py::x",)), ["unused"])) == ["unused (3)"]
    assert list(failing(report, Unused(unknown=("why",)), ["unused"])) == []
