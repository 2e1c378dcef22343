"""The power fails: what was acknowledged under `durable` is there; nothing torn is ever served.

The calls of a piece of work are recorded, and from them the states made in which a disk may be
when the machine stopped at any moment of it: unsynced bytes dropped, cut short or zeroed, unsynced
entries missing, as strictly as POSIX allows and as journaling file systems do it. Each state is
laid out and examined like what a killed process leaves (`test_crash`).
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs fork", allow_module_level=True)

from support.crash_work import ASKS, TEST, WORKS, Bench, Found, examine, laid_out, look
from support.desk import a_test, chat, said
from support.disks import ORDERED, STRICT, TORN, Recorded, lay_out
from support.faults import Calls, quick_folder

from cas_llm.cli.verify import checks, mend
from cas_llm.digest import digest_of
from cas_llm.errors import CasLLMError
from cas_llm.session import Scope
from cas_llm.store.proof.verify import verify

MANNERS = (STRICT, ORDERED, TORN)
NAMES = ("test", "promotion", "script", "repeats", "capture", "edit", "mend", "accept")


@pytest.fixture
def place(tmp_path):
    with quick_folder(tmp_path) as folder:
        yield folder


def record(name: str, place: Path, *, durable: bool) -> Recorded:
    """The history of the files while the work *name* was done once."""
    root = laid_out(WORKS[name], place / "project", durable=True)
    disk = Recorded(root.parent)
    bench = Bench(root, durable=durable, acknowledge=disk.acknowledge)
    with Calls(disk, root.parent):
        WORKS[name].do(bench)
        bench.close()
    shutil.rmtree(root.parent)
    return disk


def states(disk: Recorded, place: Path, count: int, manner: str, seed: str):
    """*count* states of the disk after stops spread over the whole history, laid out one by one."""
    chance = random.Random(f"{seed} {manner}")
    for number in range(count):
        moment = disk.moment * (number + 1) // count
        folder = place / f"{manner}-{number}"
        lay_out(disk.state(moment, manner, chance), folder)
        yield moment, folder / "cache_store"
        shutil.rmtree(folder)


def durable_states(name: str, place: Path, count: int) -> int:
    """Examine *count* states after *name* was done under `durable`; all must be well."""
    disk = record(name, place, durable=True)
    for manner in MANNERS:
        for moment, root in states(disk, place, count, manner, name):
            found = examine(WORKS[name], root, disk.given_by(moment), durable=True)
            assert found.well, f"{name}, stopped at {moment} of {disk.moment}, {manner}: {found}"
    return count * len(MANNERS)


def test_what_was_acknowledged_under_durable_is_whole_in_a_sample_of_states(place):
    """Recording a test, a script and an edit; the slow test takes all works and more states."""
    checked = sum(durable_states(name, place, 8) for name in ("test", "script", "edit"))
    print(f"{checked} states: 0 torn, 0 dangling, 0 acknowledged lost")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_was_acknowledged_under_durable_is_whole_in_every_state(place, name):
    """Nothing torn, nothing dangling, nothing acknowledged lost; the work done again ends."""
    checked = durable_states(name, place, 50)
    print(f"{name}: {checked} states: 0 torn, 0 dangling, 0 acknowledged lost")


def truth(name: str) -> dict[str, set[str]]:
    """What the provider or a person ever said to each ask of the work *name*."""
    if name == "edit":
        return {"hi": {"t1: hi", "edited by hand"}}
    said_to = {text: set() for text in ASKS}
    for number, text in enumerate(ASKS, 1):
        said_to[text] = {f"{label}{number}: {text[:10]}" for label in "atb"}
        said_to[text] |= {f"b{n}: {text[:10]}" for n in range(1, 9)}
    return said_to


def batch_states(name: str, place: Path, count: int) -> Counter[str]:
    """Examine *count* states after *name* was done under the default policy."""
    disk = record(name, place, durable=False)
    seen: Counter[str] = Counter()
    for manner in MANNERS:
        for moment, root in states(disk, place, count, manner, name):
            seen["states"] += 1
            where = f"{name}, stopped at {moment} of {disk.moment}, {manner}"
            serves_only_what_was_said(root, name, seen, where)
            verify_sees_all(root, seen, where)
            goes_on(root, name, where)
    return seen


def serves_only_what_was_said(root: Path, name: str, seen: Counter[str], where: str) -> None:
    """Every ask is answered as it was recorded, or refused aloud."""
    bench = Bench(root, "b", durable=False)
    desk = bench.desk("replay")
    scope = Scope() if name == "script" else a_test(TEST)
    for text, known in truth(name).items():
        response = desk.ask(chat(text), scope)
        if response.status == 200:
            seen["served"] += 1
            assert said(response) in known, where
        else:
            seen["refused"] += 1
            assert response.status == 424, where
    bench.close()


def verify_sees_all(root: Path, seen: Counter[str], where: str) -> None:
    """Each torn file under a final name is one that `verify` names."""
    if not root.is_dir():
        return
    named = {finding.path for finding in verify(root, checks(), level=2)}
    for path in (*root.glob("objects/??/*"), *root.glob("requests/??/*")):
        if digest_of(path.read_bytes()) != path.parent.name + path.name.partition(".")[0]:
            seen["torn files, all seen by verify"] += 1
            assert path.relative_to(root).as_posix() in named, where


def goes_on(root: Path, name: str, where: str) -> None:
    """After `verify --repair` and a new recording all is whole, and replays."""
    if root.is_dir() and any(root.iterdir()):

        def again():
            return list(verify(root, checks(), level=2))

        mend(root, again(), again)
    bench = Bench(root, "b", durable=False)
    scope = Scope if name == "script" else lambda: a_test(TEST)
    desk, opened = bench.desk("capture"), scope()
    heard = [bench.ask(desk, text, opened) for text in truth(name)]
    if name != "script":
        desk.passed(opened)
    desk, opened = bench.desk("replay"), scope()
    assert [bench.ask(desk, text, opened) for text in truth(name)] == heard, where
    bench.close()


def test_without_durable_nothing_torn_is_served_in_a_sample_of_states(place):
    """A wrong byte is a refusal that names the file, and `verify` sees it."""
    seen = sum((batch_states(name, place, 8) for name in ("test", "script")), Counter())
    print(", ".join(f"{name}: {number}" for name, number in sorted(seen.items())))
    assert seen["torn files, all seen by verify"] > 0
    assert seen["served"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test", "promotion", "script", "capture", "edit"])
def test_without_durable_nothing_torn_is_served_in_any_state(place, name):
    """Recorded answers or refusals, in every state; and recording again mends it."""
    seen = batch_states(name, place, 40)
    print(f"{name}: " + ", ".join(f"{what}: {number}" for what, number in sorted(seen.items())))
    assert seen["served"] > 0


def test_once_flushed_the_default_policy_has_lost_nothing(place):
    """After the pass at the end of a run every state holds all of it."""
    disk = record("test", place, durable=False)
    for manner in MANNERS:
        chance = random.Random(manner)
        for number in range(10):
            folder = place / f"{number}"
            lay_out(disk.state(disk.moment, manner, chance), folder)
            found = examine(
                WORKS["test"],
                folder / "cache_store",
                disk.given_by(disk.moment),
                durable=False,
            )
            assert found.well, found
            shutil.rmtree(folder)


def test_a_waiting_answer_that_lost_a_part_is_asked_for_anew(tmp_path):
    """It is never promoted as it is, and costs one call, not a test that stays red."""
    root = tmp_path / "cache_store"
    bench = Bench(root, "a", durable=False)
    desk = bench.desk()
    bench.ask(desk, ASKS[1], a_test(TEST))
    store = desk.runtime.store
    (part,) = store.pending.root.glob("*/objects/??/*.txt")
    os.truncate(part, 10)
    (waiting,) = store.pending.all()
    with pytest.raises(CasLLMError, match="pending drop"):
        store.promote(waiting.digest)
    again = Bench(root, "b", durable=False)
    desk, scope = again.desk(), a_test(TEST)
    assert again.ask(desk, ASKS[1], scope).startswith("b1")
    desk.passed(scope)
    found = Found()
    look(root, found, whole=True)
    assert found.well, found
    bench.close()
    again.close()
