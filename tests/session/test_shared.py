"""Shared entries: what scripts and servers record, outside any named scope."""

from support.desk import chat, lay_shared, said

from cas_llm.session import Scope

HI = chat("hi")


def entries(desk, root):
    """Take, whether it is this run's, and ordinal of each entry."""
    found = desk.runtime.store.manifest.shared()
    return sorted((e.take, e.run == desk.runtime.run.id, e.ordinal) for e in found)


def test_an_answer_is_named_at_once(desk, root):
    """Nothing is pending: the entry is there before the next request, and is an empty file."""
    made = desk("fallback")
    made.ask(HI, Scope())
    (path,) = [p for p in root.glob("manifest/shared/*/*") if p.is_file()]
    assert path.read_bytes() == b""
    assert made.runtime.store.pending.all() == []
    assert entries(made, root) == [(0, True, 1)]


def test_another_process_of_the_run_finds_it(desk, upstream):
    """Also before anything is flushed."""
    made = desk("fallback")
    made.ask(HI, Scope())
    assert desk("fallback", joins=made).says(HI, Scope()) == "1: hi"
    assert upstream.count == 1


def test_capture_writes_a_new_take(desk, root):
    """One take a run: one above all others."""
    for _ in range(3):
        made = desk("capture")
        made.ask(HI, Scope())
    assert [take for take, _, _ in entries(made, root)] == [0, 1, 2]
    assert desk("replay").says(HI, Scope()) == "3: hi"


def test_a_run_has_one_take_for_all_its_ordinals(desk, root):
    """A captured sequence of three is one take of three."""
    lay_shared(desk("fallback"), HI, "old", take=4)
    made, scope = desk("capture", repeat="each"), Scope()
    for _ in range(3):
        made.ask(HI, scope)
    assert entries(made, root)[1:] == [(5, True, 1), (5, True, 2), (5, True, 3)]


def test_an_append_keeps_take_and_run(desk, root):
    """Ordinal 3 joins the sequence it goes on, so that a replay finds all three."""
    made, scope = desk("fallback"), Scope()
    lay_shared(made, HI, "a", "b", take=2)
    texts = [said(made.ask(HI, scope)) for _ in range(3)]
    assert entries(made, root) == [(2, False, 1), (2, False, 2), (2, False, 3)]
    replayed, scope = desk("replay"), Scope()
    assert [said(replayed.ask(HI, scope)) for _ in range(3)] == texts


def test_an_answer_says_nothing_of_a_test(desk, root):
    """A script's recording belongs to nobody."""
    made = desk("fallback")
    made.ask(HI, Scope())
    (entry,) = made.runtime.store.manifest.shared()
    assert made.runtime.store.load(entry.digest).test == ""
