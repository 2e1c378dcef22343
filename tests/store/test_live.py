"""Which recordings are still needed: each part of the rule, and that it keeps what it can't judge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cas_llm.store import pick
from cas_llm.store.pick import Shared
from cas_llm.store.pruning.live import (
    GONE,
    SUPERSEDED,
    UNPICKED,
    CompleteRun,
    Entries,
    dead,
    dead_everywhere,
    files,
)
from cas_llm.store.tape import Tape, Turn

NOW, THEN = "source now", "source then"


def tape(take, *answers, source=NOW, scope="t"):
    """A tape whose turns are given as `key=digest` texts."""
    return Tape(scope, take, source, tuple(Turn(*text.split("=")) for text in answers))


def entries(*tapes, shared=()):
    """A manifest in which each entry lies at a path that says what it is."""
    return Entries(
        {f"{t.scope} {t.source} {t.take} {t.digest[:4]}": t for t in tapes},
        {f"{e.key} {e.take} {e.run} {e.ordinal} {e.digest}": e for e in shared},
    )


def gone(held, run=None):
    """What is dead: the takes by reason."""
    found = dead(held, run) if run else dead(held)
    return sorted((held.tapes[name].take, reason) for name, reason in found.items())


def test_a_lower_take_that_a_higher_one_contradicts_is_superseded():
    """The test was recorded anew."""
    assert gone(entries(tape(0, "a=1", "b=2"), tape(1, "a=3", "c=4"))) == [(0, SUPERSEDED)]


def test_tapes_that_tie_are_all_live():
    """Which of them is used may be settled yet."""
    assert gone(entries(tape(1, "a=1"), tape(1, "a=2"), tape(0, "a=3"))) == [(0, SUPERSEDED)]


def test_each_source_text_has_its_current_tape():
    """Nobody here knows which text the test has now."""
    held = entries(tape(0, "a=1", source=THEN), tape(1, "a=2"), tape(2, "a=3"))
    assert gone(held) == [(1, SUPERSEDED)]


def test_a_lower_take_that_nothing_contradicts_may_be_another_opening_of_the_scope():
    """A fixture set up twice in a run with other requests writes two tapes, and needs both."""
    assert gone(entries(tape(0, "a=1"), tape(1, "b=2"), tape(2, "a=1", "c=3"))) == []
    assert gone(entries(tape(0, "a=1"), tape(1, "b=2"), tape(2, "a=9"))) == [(0, SUPERSEDED)]


def test_what_is_superseded_itself_contradicts_nothing():
    """Only tapes in use speak against lower ones."""
    held = entries(tape(0, "b=1"), tape(1, "a=1", "b=2"), tape(2, "a=3"))
    assert gone(held) == [(1, SUPERSEDED)]


def test_a_complete_run_knows_which_tapes_its_scopes_use():
    """What it used, what leads of that source, and what ties; all else of the scope goes."""
    used, other = tape(0, "a=1"), tape(0, "a=2")
    higher, old = tape(3, "b=1"), tape(9, "z=1", source=THEN)
    lower = tape(1, "c=1")
    held = entries(used, other, higher, old, lower)
    run = CompleteRun(scopes=frozenset({"t"}), tapes=frozenset({used.digest}))
    assert gone(held, run) == [(1, SUPERSEDED), (9, SUPERSEDED)]
    assert gone(held, CompleteRun(scopes=frozenset({"t"}))) == gone(held)


def test_a_tape_that_a_complete_run_used_is_live_whosever_it_is():
    """A test without a tape of its own lives on it."""
    borrowed, current = tape(0, "a=1"), tape(1, "a=2")
    held = entries(borrowed, current)
    assert gone(held, CompleteRun(tapes=frozenset({borrowed.digest}))) == []


def test_the_tapes_of_a_test_that_is_gone_go_unless_they_were_used():
    """All takes and sources of it."""
    kept, other = tape(0, "a=1"), tape(2, "a=2", source=THEN)
    run = CompleteRun(gone=frozenset({"t"}), tapes=frozenset({kept.digest}))
    assert gone(entries(kept, other), run) == [(2, GONE)]


def test_of_a_shared_request_the_picked_sequence_is_live_with_its_ties():
    """The highest take's smallest run; every other entry of the key goes."""
    live = [Shared("k", 1, "a" * 8, 1, "x"), Shared("k", 1, "a" * 8, 1, "y")]
    others = [Shared("k", 0, "0" * 8, 1, "z"), Shared("k", 1, "b" * 8, 1, "w")]
    held = entries(shared=[*live, *others, Shared("other", 0, "c" * 8, 1, "v")])
    assert {held.shared[name]: why for name, why in dead(held).items()} == dict.fromkeys(
        others, UNPICKED
    )


def test_what_is_live_in_one_place_is_live_everywhere():
    """A branch that has not seen the new take still needs the old one."""
    old, new = tape(0, "a=1"), tape(1, "a=2")
    here, branch = entries(old, new), entries(old)
    assert dead_everywhere([here]) == dead(here)
    assert dead_everywhere([here], [branch]) == dead_everywhere([here, branch]) == {}
    assert dead_everywhere([here, here], [entries(new), here]) == dead(here)


def test_a_complete_run_speaks_for_what_is_near_only():
    """Another branch's tests may still be there, and use what this one's don't."""
    held = entries(tape(0, "a=1"))
    run = CompleteRun(gone=frozenset({"t"}))
    assert dead_everywhere([held, held], [], run)
    assert not dead_everywhere([held], [held], run)


def test_live_entries_name_key_records_answers_and_their_parts():
    """Calls within a function's body are named as well."""
    turn = Turn("aakey", "bbanswer", within=(("cckey", "ddanswer"),))
    shared = Shared("eekey", 0, "0" * 8, 1, "ffanswer")
    held = Entries({"tape": Tape("t", 0, "", (turn,))}, {"shared": shared})
    parts = {"requests/aa/key.json": {"11part": "txt"}, "objects/ff/answer.json": {"22part": "mp3"}}
    found = files(held.calls(), lambda name: parts.get(name, {}))
    assert found == {
        "requests/aa/key.json",
        "requests/cc/key.json",
        "requests/ee/key.json",
        "objects/bb/answer.json",
        "objects/dd/answer.json",
        "objects/ff/answer.json",
        "objects/11/part.txt",
        "objects/22/part.mp3",
    }
    assert held.calls(without={"tape"}) == {("eekey", "ffanswer")}


words = st.sampled_from(["a=1", "a=2", "b=1", "b=2", "c=1"])
tapes = st.builds(
    lambda take, answers, source, scope: tape(take, *answers, source=source, scope=scope),
    st.integers(0, 3),
    st.lists(words, min_size=1, max_size=3),
    st.sampled_from([NOW, THEN]),
    st.sampled_from(["t", "u"]),
)


@given(st.lists(tapes, max_size=8), st.sampled_from([NOW, THEN, "a new one"]))
def test_what_a_scope_is_served_first_is_never_taken_from_it(held, source):
    """Whatever text its test has: the same current tape, and the same that tie with it."""
    all_of = entries(*held)
    stays = [t for name, t in all_of.tapes.items() if name not in dead(all_of)]
    for scope in ("t", "u"):
        before = [t for t in all_of.tapes.values() if t.scope == scope]
        after = [t for t in stays if t.scope == scope]
        assert pick.current(before, source) == pick.current(after, source)
        assert pick.tied(before, source) == pick.tied(after, source)


def test_of_a_scope_that_got_another_tape_since_the_run_nothing_is_known():
    """What a branch recorded for a test's new text is not superseded by what the old text used."""
    old, new = tape(0, "k=1", source="old"), tape(1, "k=2", source="new")
    held = entries(old, new)
    stale = CompleteRun(
        scopes=frozenset({"t"}),
        tapes=frozenset({old.digest}),
        gone=frozenset({"t"}),
        had={"t": frozenset({old.digest})},
    )
    assert gone(held, stale) == []
