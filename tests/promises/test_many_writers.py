"""Sixteen processes record into one store at once: nothing is lost, torn, or served to another.

Each is a run of its own. They record requests of their own and requests they share, for tests of
their own and for tests of one name, and without a test; every answer a program was given is in the
store afterwards, in the place where it is looked for.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs fork", allow_module_level=True)

from support.crash_work import Bench, Found, look
from support.desk import a_test, chat, key_of, said
from support.extent import extent
from support.faults import quick_folder
from support.forks import Tell, fork

from cas_llm.session import Scope
from cas_llm.store import Store

WRITERS = 16
SLOW = extent(60, 1000)
"""How many captures each writer makes in the slow test."""


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    with quick_folder(tmp_path) as folder:
        yield folder


def work_of(writer: int, number: int) -> tuple[str, str]:
    """What a writer asks as its *number*-th capture: the text, and the test, if any."""
    mine, ours = f"writer {writer}, ask {number}", f"everybody's ask {number}"
    return (
        (mine, ""),
        (ours, ""),
        (mine, f"tests/test_{writer}.py::test_{number}"),
        (ours, f"tests/test_ours.py::test_{number}"),
    )[number % 4]


def write(root: Path, writer: int, captures: int, tell: Tell) -> None:
    """Record *captures* answers, and tell each that the program was given."""
    bench = Bench(root, f"w{writer} ", durable=False)
    desk = bench.desk()
    for number in range(captures):
        text, test = work_of(writer, number)
        scope = a_test(test) if test else Scope()
        response = desk.ask(chat(text), scope)
        assert response.status == 200, response.body
        if test:
            desk.passed(scope)
        tell(text, test, said(response))
    bench.close()


def write_all(root: Path, captures: int) -> list[tuple[str, str, str]]:
    """Let all writers record at once; all that their programs were given."""
    children = [
        fork(lambda tell, writer=writer: write(root, writer, captures, tell))
        for writer in range(WRITERS)
    ]
    given = []
    for child in children:
        code, told = child.join(3600)
        assert code == 0, "a writer ended early"
        given += [tuple(line) for line in told]
    return given


def recorded(store: Store) -> Counter[tuple[str, str, str]]:
    """Every (key, test, answer) that the store's tapes and shared entries name."""
    found: Counter[tuple[str, str, str]] = Counter()
    for path in store.manifest.tape_paths():
        tape = store.manifest.load_tape(path)
        for turn in tape.turns:
            found[turn.key, tape.scope, said(store.load(turn.digest).response)] += 1
    for entry in store.manifest.shared():
        found[entry.key, "", said(store.load(entry.digest).response)] += 1
    return found


def check(root: Path, captures: int) -> None:
    """Let all write, and look for what each was given."""
    began = time.perf_counter()
    given = write_all(root, captures)
    seconds = time.perf_counter() - began
    assert len(given) == WRITERS * captures
    bench = Bench(root, "nobody", durable=False)
    desk = bench.desk("replay")
    store = desk.runtime.store
    held = recorded(store)
    anywhere = {(key, answer) for key, _, answer in held}
    keys = {text: key_of(desk, chat(text)) for text, _, _ in given}
    lost = [one for one in given if (keys[one[0]], one[2]) not in anywhere]
    # A scope of its own is a place of its own; what others recorded first may be served to it.
    astray = [
        (text, test, answer)
        for text, test, answer in given
        if test and (keys[text], test, answer) not in held
    ]
    wrong = 0
    for text, test, answer in given:
        if text.startswith("writer"):
            wrong += desk.says(chat(text), a_test(test) if test else Scope()) != answer
    found = Found()
    look(root, found, whole=True)
    waiting = store.pending.all()
    bench.close()
    print(
        f"{WRITERS} processes x {captures} captures in {seconds:.0f} s: {len(held)} recordings, "
        f"{len(lost)} lost, {len(astray)} not on their test's tape, {wrong} replayed wrongly, "
        f"{len(found.torn)} torn, {len(found.dangling)} dangling"
    )
    assert (lost, astray, wrong, waiting) == ([], [], 0, [])
    assert found.well, found


def test_sixteen_processes_at_once_lose_nothing(place):
    """A few captures each; the slow test makes 60, under CAS_LLM_THOROUGH 1,000."""
    check(place / "cache_store", 8)


@pytest.mark.slow
def test_sixteen_processes_with_many_captures_lose_nothing(place):
    """The same with more: no listing, lock or index is outgrown."""
    check(place / "cache_store", SLOW)
