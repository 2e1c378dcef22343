"""Branches don't conflict, and a clean merge replays: real histories, merged by real git.

What each branch's tests are served on their own branch they are served after the merge, or what
the other branch recorded for the very same test: the later take, else one of two that tie.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from support.extent import extent
from support.histories import (
    FIXTURE,
    Bench,
    Heard,
    History,
    Step,
    Talk,
    World,
    exchanges,
    histories,
    some_steps,
)

from cas_llm.cli.verify import checks
from cas_llm.store import Store, Tape
from cas_llm.store.proof.repair import repair
from cas_llm.store.proof.tracked import compare
from cas_llm.store.proof.verify import verify

FAST, MANY = 6, extent(40, 1000)
BRANCHES = 50
UNKNOWN_DAYS = 15
"""After so many days a prune no longer asks a branch what it needs."""
NAMED_AND_GONE = {"CAS010", "CAS011", "CAS012"}


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    """No power is lost in these tests, and syncing thousands of files takes most of their time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def material(corpus):
    return exchanges(corpus)


@dataclass
class Tip:
    """A branch as it is before it is merged: its tests, and what each is served there."""

    name: str
    world: World
    heard: dict[str, Heard]
    tapes: dict[str, Tape]
    shared: dict[int, str]

    @classmethod
    def of(cls, bench: Bench, name: str, world: World) -> Tip:
        """The branch *name*, which is checked out and must be green."""
        bench.commit(name)
        heard = bench.replay(world)
        assert not [test for test, served in heard.items() if served.refused]
        shared = {opening: bench.say_shared(opening) for opening in world.shared}
        assert all(shared.values())
        return cls(name, world, heard, bench.tapes(), shared)


@dataclass
class Tally:
    """What was looked at over many histories."""

    merges: int = 0
    served: int = 0
    rivals: int = 0
    ties: int = 0
    pruned: int = 0
    mended: int = 0
    recorded: int = 0
    trees: int = 0
    files: int = 0
    pruning: int = 0

    def __str__(self) -> str:
        return (
            f"{self.merges} merges: 0 conflicts, {self.trees} trees exact ({self.files} files), "
            f"0 misses; {self.recorded} answers recorded; {self.served} tests replayed, of them "
            f"{self.rivals} from the other branch's take, {self.ties} ties reported; "
            f"{self.pruned} files pruned in {self.pruning} of them, {self.mended} mended from git"
        )


def play(bench: Bench, history: History, tally: Tally) -> tuple[Tip, Tip, set[str]]:
    """Play *history* on `main` and `right`; gives both tips, and the tapes they began with."""
    world = World()
    bench.play(world, history.base, "b")
    bench.commit("Base")
    bench.git("tag", "base")
    before = set(bench.tapes())
    bench.git("checkout", "-q", "-b", "right")
    right = world.copy()
    bench.play(right, history.early, "r")
    bench.commit("Early")
    bench.git("checkout", "-q", "main")
    bench.play(world, history.left, "l")
    if history.prunes:
        gone = bench.prune(days=2 if history.known else UNKNOWN_DAYS)
        tally.pruned += gone
        tally.pruning += bool(gone)
    left = Tip.of(bench, "main", world)
    bench.git("checkout", "-q", "right")
    bench.play(right, history.late, "R")
    return left, Tip.of(bench, "right", right), before


def merge(bench: Bench, ours: str, theirs: str, name: str, *how: str) -> None:
    """Merge *theirs* into *ours* on a new branch *name*; git must not find a conflict."""
    bench.git("checkout", "-q", "-b", name, ours)
    merged = bench.try_git("merge", "-q", "--no-edit", *how, theirs)
    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert bench.git("status", "--porcelain") == ""


def union(base: Mapping, left: Mapping, right: Mapping) -> dict[str, str]:
    """The files of both sides, less those that a side deleted; none may differ between them."""
    names = left.keys() | right.keys()
    for name in names:
        assert len({side[name] for side in (base, left, right) if name in side}) == 1, name
    gone = (base.keys() - left.keys()) | (base.keys() - right.keys())
    return {name: left.get(name) or right[name] for name in names - gone}


def is_whole(bench: Bench, tally: Tally) -> None:
    """`verify` finds nothing but the ties that there are."""
    findings = list(verify(bench.root, checks()))
    wrong = [finding for finding in findings if finding.severity != "info"]
    assert [str(f) for f in wrong if f.code != "CAS040"] == []
    takes: dict[tuple[str, str], dict[int, int]] = {}
    for tape in bench.tapes().values():
        counts = takes.setdefault((tape.scope, tape.source), {})
        counts[tape.take] = counts.get(tape.take, 0) + 1
    tied = {scope for (scope, _), counts in takes.items() if counts[max(counts)] > 1}
    assert {test for f in wrong for test in f.tests} == tied
    tally.ties += len(tied)


def replays(bench: Bench, tips: Collection[Tip], before: set[str], tally: Tally) -> None:
    """Every test of every branch is served its own, or what a rival recorded for it."""
    for tip in tips:
        heard = bench.replay(tip.world)
        others = [other for other in tips if other is not tip]
        for name, served in heard.items():
            assert not served.refused, (tip.name, name)
            wanted = expected(tip, name, others, before)
            assert served.digests in wanted, (tip.name, name)
            tally.served += 1
            tally.rivals += served.digests != tip.heard[name].digests
        for opening, digest in tip.shared.items():
            merged = bench.say_shared(opening)
            picks = {other.shared[opening] for other in tips if opening in other.shared}
            assert merged, opening
            assert merged in picks | {digest} or not is_shared(bench, merged)
    assert bench.git("status", "--porcelain") == ""


def is_shared(bench: Bench, digest: str) -> bool:
    """Whether a shared entry names the answer *digest*."""
    return any(entry.digest == digest for entry in Store(bench.root).manifest.shared())


def expected(
    tip: Tip, name: str, others: Collection[Tip], before: set[str]
) -> list[tuple[str, ...]]:
    """What the test *name* of *tip* may be served after the merge: one list, seldom several.

    Several only where the test has no tape of its own: it was renamed and never recorded since.
    """
    source = tip.world.talks[name].source

    def rank(tape: Tape) -> tuple[int, str]:
        return -tape.take, tape.digest

    def fits(tape: Tape, scope: str | None) -> bool:
        return tape.source == source and scope in {None, tape.scope}

    own = [tape for tape in tip.tapes.values() if fits(tape, name)]
    new = [tape for o in others for p, tape in o.tapes.items() if p not in before]
    if not own:
        alike = [tape for tape in (*new, *tip.tapes.values()) if fits(tape, None)]
        return [answers_of(tape) for tape in alike]
    best = min([*own, *(tape for tape in new if fits(tape, name))], key=rank)
    return [answers_of(best)] if best not in own else [tip.heard[name].digests]


def answers_of(tape: Tape) -> tuple[str, ...]:
    return tuple(turn.digest for turn in tape.turns)


def check_pair(bench: Bench, history: History, tally: Tally) -> None:
    """Merge the history's branches both ways, and look at all there is to see."""
    left, right, before = play(bench, history, tally)
    tally.recorded += bench.live
    wanted = union(*(bench.files(name) for name in ("base", "main", "right")))
    merge(bench, "right", "main", "one")
    assert bench.files("one") == wanted
    merge(bench, "main", "right", "two")
    assert bench.git("rev-parse", "one^{tree}") == bench.git("rev-parse", "two^{tree}")
    tally.merges += 2
    tally.trees += 2
    tally.files += len(wanted)
    if history.prunes and not history.known:
        tally.mended += mend(bench)
    is_whole(bench, tally)
    replays(bench, (left, right), before, tally)


def mend(bench: Bench) -> int:
    """What a prune took that a branch it could not know of names again comes back from git."""
    lost = [f for f in verify(bench.root, checks(), level=1) if f.severity == "error"]
    assert {finding.code for finding in lost} <= NAMED_AND_GONE
    rounds = 0
    while lost:
        # A key record that comes back may name parts that must come back as well.
        assert all(done.restored for done in repair(bench.root, lost))
        lost = [f for f in verify(bench.root, checks(), level=1) if f.severity == "error"]
        rounds += 1
        assert rounds < 4
    if rounds:
        bench.commit("Mended")
    return bool(rounds)


def many(count: int, folder: Path, material, check: Callable) -> Tally:
    """Check *count* histories that hypothesis makes, each in a repository of its own."""
    tally = Tally()

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @given(histories())
    def each(history: History) -> None:
        shutil.rmtree(folder / "pair", ignore_errors=True)
        check(Bench(folder / "pair", material), history, tally)

    each()
    return tally


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(FAST, id="half a dozen pairs"),
        pytest.param(MANY, id="many pairs", marks=pytest.mark.slow),
    ],
)
def test_any_two_branches_merge_without_conflict_and_every_test_replays(
    tmp_path, material, capsys, count
):
    """Adds, captures, edits, renames, fixtures, functions, shared requests, and a prune on main."""
    tally = many(count, tmp_path, material, check_pair)
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.merges >= 2 * count


def test_fifty_branches_merge_one_after_another(tmp_path, material, capsys):
    """In any order, with a prune on main in between; every test so far replays at each tenth."""
    fifty(tmp_path, material, capsys, BRANCHES // 10, 1)


@pytest.mark.slow
def test_fifty_branches_of_many_steps_merge_one_after_another(tmp_path, material, capsys):
    """Fifty of them, the checks made at every tenth merge and at the end."""
    fifty(tmp_path, material, capsys, BRANCHES, 10)


def fifty(folder: Path, material, capsys, count: int, prunes_from: int) -> None:
    chance, tally = random.Random(5), Tally()
    bench, world = Bench(folder / "many", material, seed=5), World()
    bench.play(world, some_steps(chance, 6) + some_steps(chance, 6), "b")
    bench.commit("Base")
    bench.git("tag", "base")
    before, tips = set(bench.tapes()), []
    for number in range(count):
        bench.git("checkout", "-q", "-b", f"branch{number}", "base")
        own = world.copy()
        bench.play(own, some_steps(chance, 4), f"n{number}x")
        tips.append(Tip.of(bench, f"branch{number}", own))
    tally.recorded = bench.live
    chance.shuffle(tips)
    bench.git("checkout", "-q", "main")
    for number, tip in enumerate(tips, 1):
        sides = [bench.files(name) for name in ("base", "main", tip.name)]
        merged = bench.try_git("merge", "-q", "--no-ff", "--no-edit", tip.name)
        assert merged.returncode == 0, merged.stdout + merged.stderr
        assert bench.files("main") == union(*sides)
        tally.merges += 1
        tally.trees += 1
        tally.files += len(bench.files("main"))
        if number % 10 and number != count:
            continue
        if number >= prunes_from:
            gone = bench.prune()
            bench.commit("Prune")
            tally.pruned += gone
            tally.pruning += bool(gone)
        is_whole(bench, tally)
        assert [str(f) for f in compare(bench.root) if f.severity == "error"] == []
        replays(bench, tips[:number], before, tally)
    with capsys.disabled():
        print(f"\n{count} branches, one after another: {tally}")


def rebased(bench: Bench) -> None:
    bench.git("checkout", "-q", "-b", "done", "right")
    bench.git("rebase", "-q", "main")


def squashed(bench: Bench) -> None:
    bench.git("checkout", "-q", "-b", "done", "main")
    bench.git("merge", "-q", "--squash", "right")
    bench.commit("Squashed")


def picked(bench: Bench) -> None:
    bench.git("checkout", "-q", "-b", "done", "main")
    bench.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", "base..right")


@pytest.mark.parametrize("way", [rebased, squashed, picked])
def test_a_rebase_a_squash_and_cherry_picks_give_the_tree_of_a_merge(tmp_path, material, way):
    """Whatever way a branch's commits come in: the same files, and every test replays."""
    chance, tally = random.Random(way.__name__), Tally()
    for number in range(2):
        bench = Bench(tmp_path / str(number), material, seed=number)
        parts = [some_steps(chance, 4) for _ in range(5)]
        history = History(parts[0] + parts[1], parts[2], parts[3], parts[4], prunes=True)
        left, right, before = play(bench, history, tally)
        wanted = union(*(bench.files(name) for name in ("base", "main", "right")))
        way(bench)
        assert bench.files("done") == wanted
        assert bench.git("status", "--porcelain") == ""
        is_whole(bench, tally)
        replays(bench, (left, right), before, tally)


def two_sides(
    folder: Path, material, left: Callable, right: Callable, base: Callable = lambda b, w: None
) -> tuple[Bench, Tip, Tip]:
    """A repository in which each side did what its function does, both merged into ``one``."""
    bench, world = Bench(folder / "sides", material), World()
    base(bench, world)
    bench.commit("Base")
    bench.git("checkout", "-q", "-b", "right")
    other = world.copy()
    bench.git("checkout", "-q", "main")
    left(bench, world)
    ours = Tip.of(bench, "main", world)
    bench.git("checkout", "-q", "right")
    right(bench, other)
    theirs = Tip.of(bench, "right", other)
    merge(bench, "right", "main", "one")
    return bench, ours, theirs


def write(bench: Bench, world: World, talk: Talk, mode: str = "fallback") -> None:
    """Put a test into a branch, and record it."""
    world.talks[talk.name] = talk
    bench.run(world, mode, [talk])


def test_a_renamed_test_goes_on_from_its_own_answer_not_from_a_shared_one(tmp_path, material):
    """Its tape under the old name comes before what a script recorded."""
    bench, world = Bench(tmp_path / "renamed", material), World()
    bench.say_shared(0, "capture")
    for case in "ab":
        write(bench, world, Talk(f"tests/test_a.py::test_old[{case}]", "x", 0, 3), "capture")
    heard = bench.replay(world)
    for case in "ab":
        talk = world.talks.pop(f"tests/test_a.py::test_old[{case}]")
        name = f"tests/test_a.py::test_new[{case}]"
        world.talks[name] = Talk(name, talk.born, talk.opening, talk.turns)
    renamed = bench.replay(world)
    for case in "ab":
        assert (
            renamed[f"tests/test_a.py::test_new[{case}]"]
            == heard[f"tests/test_a.py::test_old[{case}]"]
        )


def test_a_wider_fixture_that_two_branches_recorded_ties_and_never_answers_wrongly(
    tmp_path, material
):
    """It has one value in a run, so the other branch's test misses, and says so; one run mends it.

    Choosing by the test that asks first would turn a test's colour with the order of the tests.
    """
    wider = FIXTURE.format("x")

    def adds(name: str) -> Callable[[Bench, World], None]:
        def side(bench: Bench, world: World) -> None:
            world.fixtures[wider] = Talk(wider, "x", 0)
            # Not the same requests in both: one test could live on the other's recordings.
            opening = 1 + "ab".index(name)
            write(bench, world, Talk(f"tests/test_{name}.py::t", name, opening, fixture=wider))

        return side

    bench, *tips = two_sides(tmp_path, material, adds("a"), adds("b"))
    is_whole(bench, tally := Tally())
    assert tally.ties == 1
    used = min((t for t in bench.tapes().values() if t.scope == wider), key=lambda t: t.digest)
    for tip in tips:
        [served] = bench.replay(tip.world).values()
        [own] = tip.heard.values()
        won = any(t.digest == used.digest for t in tip.tapes.values())
        assert served == (own if won else Heard((), refused=True))
        before = bench.live
        assert not bench.run(tip.world, "fallback", list(tip.world.talks.values()))[
            next(iter(tip.heard))
        ].refused
        assert bench.live - before == (0 if won else 1)
        assert not any(served.refused for served in bench.replay(tip.world).values())


def test_a_prune_spares_what_a_branch_that_was_just_begun_may_name_again(tmp_path, material):
    """The branch has no commit yet; later it goes back to a text whose take is superseded."""
    name = "tests/test_a.py::t"

    def base(bench: Bench, world: World) -> None:
        write(bench, world, Talk(name, "x", 0, 2))
        write(bench, world, Talk(name, "x", 0, 2), "capture")

    def prunes(bench: Bench, world: World) -> None:
        assert bench.prune() == 1

    def names_again(bench: Bench, world: World) -> None:
        superseded = next(t for t in bench.tapes().values() if t.take == 0)
        tape = Tape("tests/test_b.py::other", 0, "y", superseded.turns)
        Store(bench.root).add_tape(tape)

    bench, *_ = two_sides(tmp_path, material, prunes, names_again, base)
    is_whole(bench, Tally())


def test_what_a_prune_took_from_a_branch_it_could_not_know_comes_back_from_git(tmp_path, material):
    """The merge is clean, the test misses loudly, and no call is made to mend it."""
    name = "tests/test_a.py::t"
    old = Talk(name, "x", 0, 3)

    def base(bench: Bench, world: World) -> None:
        write(bench, world, old)

    def prunes(bench: Bench, world: World) -> None:
        write(bench, world, old, "capture")
        assert bench.prune(days=UNKNOWN_DAYS) > 1

    def edits(bench: Bench, world: World) -> None:
        write(bench, world, Talk(name, "x", 0, 3, version=1))

    bench, left, right = two_sides(tmp_path, material, prunes, edits, base)
    assert bench.replay(right.world)[name].refused
    before = bench.live
    assert mend(bench) == 1
    is_whole(bench, tally := Tally())
    replays(bench, (left, right), set(), tally)
    assert bench.live == before


def test_what_the_tool_writes_is_kept_byte_for_byte_by_git(tmp_path, material):
    """Even where git is told to convert line ends."""
    bench, world = Bench(tmp_path / "bytes", material), World()
    bench.git("config", "core.autocrlf", "true")
    bench.play(world, [Step("add", 0, 3), Step("cached", 1, 1), Step("shared")], "b")
    tip = Tip.of(bench, "main", world)
    bench.git("rm", "-rqf", "cache_store")
    bench.git("checkout", "-q", "HEAD", "--", "cache_store")
    assert [f.code for f in compare(bench.root) if f.severity != "info"] == []
    is_whole(bench, Tally())
    assert bench.replay(world) == tip.heard
    attributes = bench.git("check-attr", "-a", "cache_store/objects/ab/c.json")
    said = set(re.findall(r": (\S+: \S+)$", attributes, re.MULTILINE))
    assert said >= {"text: unset", "merge: unset", "delta: unset", "linguist-generated: set"}


def test_local_files_are_never_tracked(tmp_path, material):
    """The index, runs, temporary files and the trash stay out of git."""
    bench, world = Bench(tmp_path / "local", material), World()
    bench.play(world, [Step("add"), Step("capture"), Step("rename", 0, 3)], "b")
    bench.commit("Recorded")
    assert bench.prune() > 0
    bench.replay(world)
    assert (bench.root / ".local" / "index.sqlite3").exists()
    bench.commit("Pruned")
    names = bench.git("ls-files")
    assert ".local" not in names
    assert "swept" not in names
