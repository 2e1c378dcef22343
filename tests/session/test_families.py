"""What children of a scope tell the process that opened it, and what a run shares."""

import os

import pytest
from support.desk import a_test, chat, said

from cas_llm.session import Scope, families
from cas_llm.session.runs import Run, Told, short_scope

A, B = chat("a"), chat("b")


@pytest.fixture
def family(desk):
    """A parent's desk and scope, and those of a child that joined it, in *mode*."""

    def make(mode="fallback", **settings):
        parent, scope = desk(mode, **settings), a_test()
        child = desk(mode, joins=parent, **settings)
        return parent, scope, child, Scope.join(scope.describe())

    return make


def test_a_childs_answers_join_the_parents_tape(family):
    """In the order the requests began, in whichever process."""
    parent, scope, child, joined = family()
    for made, where, request in (
        (parent, scope, A),
        (child, joined, B),
        (parent, scope, chat("c")),
    ):
        made.ask(request, where)
    tape = parent.passed(scope).tape
    assert [turn.ask for turn in tape.turns] == [("a",), ("b",), ("c",)]


def test_a_childs_hit_is_on_the_tape_too(family):
    """A tape holds what the scope used, not only what it recorded."""
    parent, scope, child, joined = family()
    parent.ask(A, Scope())
    child.ask(A, joined)
    assert [turn.ask for turn in parent.passed(scope).tape.turns] == [("a",)]


def test_a_repetition_in_a_child_is_the_next_ordinal(family):
    """Claims are the run's; replay gives each process another answer."""
    parent, scope, child, joined = family("capture")
    texts = [parent.says(A, scope), child.says(A, joined), parent.says(A, scope)]
    assert texts == ["1: a", "2: a", "3: a"]
    parent.passed(scope)
    parent, scope, child, joined = family("replay")
    again = [child.says(A, joined), parent.says(A, scope), child.says(A, joined)]
    assert again == texts


def test_a_childs_problem_is_told_once(family):
    """With what it was about, which process it was in, and no second explanation."""
    parent, scope, child, joined = family("replay")
    assert child.ask(A, joined).status == 424
    families.adopt_problems(parent.runtime.run, scope, parent.log)
    families.adopt_problems(parent.runtime.run, scope, parent.log)
    (problem,) = scope.problems
    assert parent.log.problems == [problem]
    assert (problem.kind, problem.ask) == ("not recorded", "a")
    assert f"in child process {os.getpid()}" in problem.what


def test_a_childs_counts_are_the_runs(family):
    """One document a process, replaced as it goes on; problems are told elsewhere."""
    parent, _, child, joined = family()
    child.ask(A, joined)
    child.ask(A, joined)
    (document,) = families.logs(parent.runtime.run)
    assert (document["sums"]["live_calls"], document["sums"]["served"]) == (1, 1)
    assert document["problems"] == []


def test_a_run_without_children_has_no_folder_to_look_into(tmp_path):
    """Asking for what was told costs nothing where nobody told anything."""
    run = Run(tmp_path / "gone", "00c0ffee")
    assert families.logs(run) == []
    assert families.problems(run, Scope()) == []
    assert (run.told("k"), run.spent(), run.started) == ([], 0.0, False)


def test_a_claim_is_the_first_ones_until_it_is_given_back(tmp_path):
    """By owner, key and ordinal."""
    run = Run(tmp_path / "run", "00c0ffee")
    assert run.claim("o", "k", 1)
    assert not run.claim("o", "k", 1)
    assert run.claim("o", "k", 2)
    assert run.claim("p", "k", 1)
    run.unclaim("o", "k", 1)
    assert run.claim("o", "k", 1)


def test_what_is_told_is_read_in_order(tmp_path):
    """By ordinal, whatever the order it was told in."""
    run = Run(tmp_path / "run", "00c0ffee")
    for ordinal in (2, 10, 1):
        run.tell("k", Told(ordinal, "d" * 64, "t.py::t", 1))
    assert [told.ordinal for told in run.told("k")] == [1, 2, 10]
    assert {told.scope for told in run.told("k")} == {short_scope("t.py::t")}


def test_a_run_lies_in_the_store_or_with_temporary_files(tmp_path, desk):
    """A store that can't be written is replayed from all the same; creating it leaves nothing."""
    run = Run.beside(tmp_path / "cache_store")
    assert tmp_path not in run.folder.parents
    made = desk("fallback")
    made.ask(A, Scope())
    beside = Run.beside(made.runtime.store.root)
    assert beside.folder.parent == made.runtime.store.root / ".local" / "runs"
    assert not beside.started


def test_only_the_process_that_began_a_run_ends_it(tmp_path):
    """A child that closes takes nothing away."""
    run = Run(tmp_path / "run", "00c0ffee", owner=True)
    run.claim("o", "k", 1)
    Run(run.folder, run.id).close()
    assert run.started
    run.close()
    assert not run.started


def test_a_run_left_behind_is_swept_after_a_day(tmp_path, desk):
    """A killed process's folder does not stay for ever; a younger one may be in use."""
    made = desk("fallback")
    made.ask(A, Scope())
    home = made.runtime.store.root / ".local" / "runs"
    for name, age in (("0000000a", 3600), ("0000000b", 2 * 86400)):
        (home / name).mkdir(parents=True)
        then = (home / name).stat().st_mtime - age
        os.utime(home / name, (then, then))
    Run.beside(made.runtime.store.root)
    assert (home / "0000000a").exists()
    assert not (home / "0000000b").exists()


def test_money_is_summed_over_processes(tmp_path):
    """Each process writes its own sum."""
    run = Run(tmp_path / "run", "00c0ffee")
    run.spend(0.25)
    run.spend(0.5)
    (run.folder / "spent" / "1").write_text("1.0")
    assert run.spent() == 1.75


def test_replay_from_a_read_only_store_works(desk, root):
    """Two answers, two processes of a scope, and not a byte written beside them."""
    made, scope = desk("capture"), a_test()
    texts = [made.says(A, scope), made.says(A, scope)]
    made.passed(scope)
    made.runtime.store.close()
    before = sorted(root.rglob("*"))
    folders = [root, *(p for p in before if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        replayed, scope = desk("replay"), a_test()
        assert [said(replayed.ask(A, scope)) for _ in range(2)] == texts
        assert os.getuid() == 0 or sorted(root.rglob("*")) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_child_that_joined_a_scope_is_known(tmp_path):
    """To any process of the run; where it cannot be noted, nothing fails."""
    run = Run(tmp_path / "run", "00c0ffee")
    assert not run.had_child("owner")
    Run(tmp_path / "run", "00c0ffee").note_child("owner")
    assert (run.had_child("owner"), run.had_child("other")) == (True, False)
    (tmp_path / "file").write_text("")
    blocked = Run(tmp_path / "file" / "run", "00c0ffee")
    blocked.note_child("owner")
    assert not blocked.had_child("owner")
