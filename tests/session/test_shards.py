"""Several runs' reports as one: nothing counts twice, and the order never matters."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import a_miss, a_report

from cas_llm.errors import CasLLMError
from cas_llm.session.received import MEMBERS
from cas_llm.session.shards import merge

ONE, TWO = "t.py::one", "t.py::two"


def test_shards_add_up():
    """Outcomes, problems and sums of runs with different tests."""
    first = a_report({ONE: "passed"}, collected=(TWO,))
    second = a_report({TWO: "failed"}, a_miss(TWO), collected=(ONE,))
    first["sums"]["served"] = 3
    second["sums"]["served"] = 4
    found = merge([first, second])
    assert found["outcomes"] == {ONE: "passed", TWO: "failed"}
    assert found["sums"]["served"] == 7
    assert found["collected"] == [ONE, TWO]
    assert len(found["problems"]) == 1
    assert (found["repeated"], found["differing"]) == ([], {})
    assert set(found) == set(MEMBERS)


def test_of_a_test_that_ran_twice_the_worst_counts_and_is_said():
    """A failure before a pass, a pass before a skip."""
    found = merge(
        [a_report({ONE: "passed", TWO: "skipped"}), a_report({ONE: "failed", TWO: "passed"})]
    )
    assert found["outcomes"] == {ONE: "failed", TWO: "passed"}
    assert found["repeated"] == [ONE, TWO]
    assert found["differing"] == {ONE: ["failed", "passed"], TWO: ["passed", "skipped"]}


def test_a_miss_on_every_python_is_one_miss():
    """As often as the run that met it most; another test's is another."""
    twice = [a_miss(ONE, "k"), a_miss(ONE, "k")]
    found = merge([a_report({ONE: "failed"}, *twice), a_report({ONE: "failed"}, a_miss(ONE, "k"))])
    assert len(found["problems"]) == 2
    found = merge([a_report({ONE: "failed"}, a_miss(ONE, "k")), a_report({}, a_miss(TWO, "k"))])
    assert len(found["problems"]) == 2


def test_what_one_python_plays_is_not_unplayed():
    """Only what no run played; nothing of a test that failed somewhere."""
    with_two = a_report({ONE: "passed", TWO: "passed"}, left={ONE: ["a", "b"], TWO: ["c"]})
    with_one = a_report({ONE: "passed", TWO: "failed"}, left={ONE: ["b"]})
    assert merge([with_two, with_one])["left"] == {ONE: ["b"]}
    assert merge([with_two, a_report({ONE: "skipped"})])["left"] == {ONE: ["a", "b"], TWO: ["c"]}


def test_a_run_that_is_given_twice_counts_once():
    """Alone and in a merged report; two merged ones that overlap are refused."""
    one, two, three = (a_report({f"t.py::{n}": "passed"}) for n in "abc")
    for several in ([one, two, copy.deepcopy(one)], [merge([one, two]), two]):
        assert merge(several) == merge([one, two])
    with pytest.raises(CasLLMError, match="part of two reports"):
        merge([merge([one, two]), merge([two, three])])


@pytest.mark.parametrize("member", ["commit", "project", "store"])
def test_reports_of_different_things_are_refused(member):
    """With the names of both; a run outside of git is of any commit."""
    other = a_report({}) | {member: "cd" * 20}
    with pytest.raises(CasLLMError, match=f"of different {member}s"):
        merge([a_report({}), other])
    assert merge([a_report({}), a_report({}, commit="")])["commit"] == "ab" * 20


tests = st.sampled_from([ONE, TWO, "t.py::three"])


@st.composite
def reports(draw):
    outcomes = draw(st.dictionaries(tests, st.sampled_from(["passed", "failed", "skipped"])))
    passed = [name for name, outcome in outcomes.items() if outcome == "passed"]
    keys = st.lists(st.sampled_from("kl"), max_size=3)
    left = {name: keys_ for name in passed if (keys_ := draw(keys))}
    problems = [a_miss(name, draw(st.sampled_from("kl"))) for name in draw(st.lists(tests))]
    report = a_report(outcomes, *problems, left=left)
    report["sums"]["spent_usd"] = draw(st.sampled_from([0.1, 0.2, 0.7]))
    return report


@given(st.lists(reports(), min_size=2, max_size=4), st.randoms())
def test_a_merged_report_is_a_report_and_the_order_never_matters(several, chance):
    """Merged at once, one after another, and in any order: the same."""
    at_once = merge(several)
    mixed = list(several)
    chance.shuffle(mixed)
    assert merge(mixed) == at_once
    step = mixed[0]
    for one in mixed[1:]:
        step = merge([step, one])
    assert step == at_once
    assert merge([at_once]) == at_once
