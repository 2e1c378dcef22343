"""`cas-llm-stale`: answers and key records that are stale by what they say of themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from support.stores import says
from support.suites import FILE, ONE, TWO, Bench, answered, kinds

from cas_llm.guard.answering import Answering, held
from cas_llm.store.answer import encode


def test_old_answers_are_told_of_where_an_age_is_set(bench: Bench) -> None:
    """By when they were recorded; dead ones are not told of."""
    long_ago = (datetime.now(UTC) - timedelta(days=400)).isoformat()
    bench.record(f"{FILE}::test_one", answered("one", "old", at=long_ago), take=1)
    assert bench.all() == []
    bench.settings('max_age = 365\naged = "error"')
    (finding,) = bench.all()
    assert (finding.code, finding.severity, finding.tests) == ("CAS083", "error", (ONE,))
    assert finding.command == f"pytest {ONE} --cas-llm=capture"
    bench.settings("max_age = 401")
    assert bench.all() == []


def test_a_retired_model_is_told_of(bench: Bench) -> None:
    """From 30 days before; a project knows better by its own table."""
    bench.record(ONE, answered("one", "old", model="gpt-4-32k"), take=1)
    bench.record(TWO, answered("two", "old", model="my-model"), take=1)
    (finding,) = bench.all()
    assert (finding.code, finding.severity, finding.tests) == ("CAS085", "warning", (ONE,))
    assert "was shut down on 2025-06-06" in finding.what
    soon = (datetime.now(UTC) + timedelta(days=29)).date()
    later = soon + timedelta(days=2)
    bench.settings(f'models = {{ "gpt-4-32k" = "{later}", "my-model" = {soon} }}')
    (finding,) = bench.all()
    assert (finding.tests, f"is to be shut down on {soon}" in finding.what) == ((TWO,), True)


def test_who_resells_a_model_has_dates_of_his_own() -> None:
    """The dates are the provider's, for its own hosts."""
    made = answered("x", "x", model="gpt-4-32k")
    data = encode(made.answer)[0]
    one = held("objects/ab/x.json", data)
    assert one is not None
    for api, count in (
        ("openai", 1),
        ("openai@azure", 0),
        ("openai@loopback", 0),
        ("anthropic", 0),
    ):
        rules = Answering(lambda _: (), lambda _, api=api: {"api": api}, datetime.now(UTC).date())
        assert len(list(rules.retired([one]))) == count


def test_an_edit_that_does_not_say_so_is_told_of(bench: Bench) -> None:
    """The same run, request and moment, and other bytes; with the mark it is fine."""
    was = answered("one", "what the model said", at="2026-01-01T00:00:00Z")
    bench.record(ONE, was, take=1)
    bench.repository.commit()
    edited = replace(was, answer=replace(was.answer, response=says("what I like better")))
    marked = replace(edited, answer=replace(edited.answer, marks=("edited",)))
    place = bench.record(ONE, edited, take=2)
    (finding,) = bench.commit()
    assert (finding.code, finding.severity, finding.tests) == ("CAS086", "error", (ONE,))
    assert finding.command.startswith(f"cas-llm edit {was.answer.key[:12]}")
    assert ("CAS086", "warning") in kinds(bench.all())
    bench.repository.git("reset", "-q", "--hard", "HEAD~1")
    assert not place.exists()
    bench.record(ONE, marked, take=2)
    assert bench.commit() == []


def test_an_answer_and_its_marked_edit_may_come_in_one_commit(bench: Bench) -> None:
    """Recorded, edited by the tool, committed: the original is no edit of the edited one."""
    was = answered("one", "what the model said", at="2026-01-01T00:00:00Z")
    edited = replace(was.answer, response=says("what I like better"), marks=("edited",))
    bench.record(ONE, was, take=1)
    bench.record(ONE, replace(was, answer=edited), take=2)
    assert bench.commit() == []


def test_a_key_of_older_rules_is_told_of(bench: Bench) -> None:
    """It is looked up by a second try."""
    record = {"k": "cas-llm/key/0", "api": "openai"}
    rules = Answering(lambda _: (ONE,), lambda _: {}, datetime.now(UTC).date())
    found = list(rules.old_keys([("requests/ab/x.json", record)], "cas-llm/key/1"))
    assert [(one.code, one.tests) for one in found] == [("CAS084", (ONE,))]
    assert not list(
        rules.old_keys([("requests/ab/x.json", {"k": "cas-llm/key/1"})], "cas-llm/key/1")
    )
