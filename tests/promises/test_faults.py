"""The disk is full, broken, read-only, or the process is out of handles: one clear error, no more.

At each call of a file function in turn the file system says no. The program then still gets every
answer that was paid for; what could not be kept is told in one message that says what, where, why
and what to do; nothing is half written and no handle stays open; and once the trouble is over the
same work ends as if nothing had been.
"""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs POSIX file functions", allow_module_level=True)

import resource

from support.crash_work import WORKS, Bench, Found, Work, examine, laid_out
from support.desk import chat, said
from support.extent import extent
from support.faults import FAULTS, Calls, Refusing, open_handles, quick_folder
from support.forks import Tell, fork
from support.inner import Inner, summary_of

from cas_llm.errors import CasLLMError

NAMES = ("test", "script", "promotion", "capture", "edit", "accept")
NEXT = re.compile(r"CAS_LLM_MODE=|cas-llm (verify|pending|init)|permissions|pytest |upgrade|choose")
"""What a message ends with: the next thing to do."""


@dataclasses.dataclass
class Watching(Bench):
    """A bench whose program looks at each answer: a call that was made was also answered."""

    told: list[str] = dataclasses.field(default_factory=list)

    def ask(self, desk, text, scope, *, number=1):
        paid, problems = self.upstream.count, len(scope.problems)
        response = desk.ask(chat(text), scope)
        self.told += [f"{p.kind}: {p.detail}" for p in scope.problems[problems:]]
        if self.upstream.count > paid:
            assert response.status == 200, "a paid answer was not handed on"
            assert said(response) == f"{self.label}{self.upstream.count}: {text[:10]}"
        if response.status != 200:
            assert response.status == 424
            assert len(scope.problems) == problems + 1, "a refusal that is told once"
            return ""
        if len(scope.problems) == problems:
            self.acknowledge(f"{number} {text}", said(response))
        return said(response)


class Trial:
    """Does one work again and again on copies, each time with another fault."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work = work
        self._folder = folder
        self._template = folder / work.name
        laid_out(work, self._template, durable=True)

    def calls(self, fault: str) -> int:
        """How many calls of the undisturbed work the fault can hit."""
        number, concerns = FAULTS[fault]
        counting = Refusing(number, concerns, 0)
        self.attempt(counting, "undisturbed")
        return counting.seen

    def attempt(self, answer, where: str) -> list[str]:
        """Do the work under *answer*, then without; what the user was told."""
        folder = self._folder / "at-work"
        shutil.copytree(self._template, folder)
        root = folder / "cache_store"
        given: dict[str, str] = {}
        bench = Watching(root, durable=True)

        def acknowledge(what: str, value: str) -> None:
            # A test that was told of trouble has not passed.
            if what != "passed" or not bench.told:
                given[what] = value

        bench.acknowledge = acknowledge
        try:
            with Calls(answer, folder):
                try:
                    self.work.do(bench)
                except CasLLMError as error:
                    bench.told.append(str(error))
                try:
                    bench.close()
                except CasLLMError as error:
                    bench.told.append(str(error))
        except BaseException as error:
            error.add_note(f"{self.work.name}: {where}")
            raise
        bench.close()
        gc.collect()
        left = [handle for handle in open_handles() if str(folder) in handle]
        assert not left, f"{self.work.name}: {where}: {left} stayed open"
        for text in bench.told:
            assert NEXT.search(text), f"{self.work.name}: {where}: {text!r} names nothing to do"
        found = examine(self.work, root, given, durable=True)
        assert found.well, f"{self.work.name}: {where}: {found}"
        shutil.rmtree(folder)
        return bench.told


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    # Handles are looked for after a collection, which need not go through all of pytest.
    gc.freeze()
    with quick_folder(tmp_path) as folder:
        yield folder
    gc.unfreeze()


def try_all(trial: Trial, fault: str, some: int = 0) -> Counter[str]:
    """Let *fault* hit each call in turn, or *some* of them, once and from there on."""
    number, concerns = FAULTS[fault]
    seen: Counter[str] = Counter()
    calls = trial.calls(fault)
    every = max(1, calls // some) if some else 1
    for step in range(1 + every // 2, calls + 1, every):
        for lasting in (False, True):
            refusing = Refusing(number, concerns, step, lasting=lasting)
            where = f"{fault} at call {step}" + (" and after" if lasting else "")
            told = trial.attempt(refusing, where)
            seen["faults"] += 1
            seen["told"] += bool(told)
            if refusing.told is not None and refusing.told.name == "fsync":
                assert told, f"{where}: {refusing.told.path} was never synced, and nobody told"
    return seen


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_at_any_call_is_one_clear_error_in_a_sample(place, fault):
    """Some calls of recording a test; the slow test takes more of every work, or each."""
    seen = try_all(Trial(WORKS["test"], place), fault, some=3)
    print(f"{fault}: {seen['faults']} faults, {seen['told']} of them told, 0 answers lost")
    assert seen["told"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("name", NAMES)
def test_a_fault_at_any_call_is_one_clear_error(place, name, fault):
    """At many calls, or each: what was paid for is handed on, and the work ends afterwards."""
    seen = try_all(Trial(WORKS[name], place), fault, some=extent(8, 0))
    print(f"{name}, {fault}: {seen['faults']} faults, {seen['told']} told, 0 answers lost")


def always(name: str, number: int):
    """Refuse every call of *name*."""

    def answer(call):
        if call.name == name:
            raise OSError(number, os.strerror(number), call.path)
        return call.run()

    return answer


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_a_file_system_without_links_is_recorded_to(place, number):
    """Renaming takes the place of linking, and nothing is told."""
    assert Trial(WORKS["test"], place).attempt(always("link", number), "no links") == []


def test_a_file_system_without_locks_is_recorded_to(place):
    """Nothing is tidied away then, so nothing needs the lock."""
    assert Trial(WORKS["script"], place).attempt(always("flock", errno.ENOLCK), "no locks") == []


def test_a_temporary_folder_on_another_device_is_one_clear_error(place):
    """Neither linked nor renamed: told once for each answer, and each is handed on."""

    def answer(call):
        if call.name in {"link", "rename"}:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), call.path)
        return call.run()

    told = Trial(WORKS["script"], place).attempt(answer, "another device")
    assert told
    assert all("cannot write" in text for text in told)


def test_short_writes_are_written_on(place):
    """A file system that takes a few bytes at a time gets all of them."""

    def answer(call):
        if call.name == "write":
            handle, data = call.args
            return call.real(handle, bytes(data)[: max(1, len(data) // 3)])
        return call.run()

    assert Trial(WORKS["test"], place).attempt(answer, "short writes") == []


def test_signals_interrupt_nothing(place):
    """A program that is interrupted all the time records all the same."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        assert Trial(WORKS["test"], place).attempt(lambda call: call.run(), "signals") == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _limited(place: Path, kind: int, limit: int) -> list[str]:
    """Record a test in a child that the kernel grants only so much; what the child told."""
    root = laid_out(WORKS["test"], place / f"{kind}-{limit}", durable=True)

    def body(tell: Tell) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
        bench = Watching(root, durable=True)
        try:
            WORKS["test"].do(bench)
        except CasLLMError as error:
            bench.told.append(str(error))
        tell(bench.told)

    code, told = fork(body).join()
    assert code == 0, f"limit {limit}"
    found = examine(WORKS["test"], root, {}, durable=True)
    assert found.well, found
    return told[0][0]


def test_the_kernels_own_limits_are_clear_errors(place):
    """No handle beyond a few, no file beyond some bytes: by the real kernel, SQLite included."""
    highest = max(int(text.split()[0]) for text in open_handles())
    told = [_limited(place, resource.RLIMIT_NOFILE, highest + more) for more in (1, 3, 4, 5, 6, 8)]
    told += [_limited(place, resource.RLIMIT_FSIZE, size) for size in (0, 10, 1000, 5000)]
    assert any(told)
    assert all(NEXT.search(text) for texts in told for text in texts)


TESTS = """
def test_one():
    assert ask("one")

def test_two():
    assert 1 + 1 == 2
"""
REFUSES = """
import errno, os

real = os.{call}

def refuse(*args, **kwargs):
    if "cas" in str(args[-1]) or isinstance(args[0], int):
        raise OSError(errno.{number}, os.strerror(errno.{number}))
    return real(*args, **kwargs)

os.{call} = refuse
"""


def test_a_full_disk_fails_the_test_that_records_and_no_other(project, provider):
    """The program had its answer; the test says what to do, and pytest goes on."""
    inner = Inner(project, provider).tests(TESTS)
    project.file("tests/conftest.py", REFUSES.format(call="link", number="ENOSPC"))
    result = inner.record(passed=1, failed=1)
    assert "cannot write" in result.stdout
    assert "Make room" in result.stdout
    assert "INTERNALERROR" not in result.text
    assert "Traceback" not in result.text
    project.file("tests/conftest.py", "")
    inner.record(passed=2)
    inner.run(passed=2)


def test_a_disk_that_breaks_at_the_end_turns_the_run_red(project, provider):
    """What may not outlive a stop of the machine is told in the summary."""
    inner = Inner(project, provider).tests(TESTS)
    project.file("tests/conftest.py", REFUSES.format(call="fsync", number="EIO"))
    inner.record()
    project.file("cache_store/format", "cas-llm/store/1\n")
    result = inner.record()
    assert result.code == 1, str(result)
    assert "cannot sync" in summary_of(result) + result.stdout
    assert "INTERNALERROR" not in result.text


def test_the_message_of_a_full_disk_says_what_where_why_and_next(place):
    """Once, in one sentence each."""
    told = Trial(WORKS["script"], place).attempt(
        Refusing(errno.ENOSPC, FAULTS["full disk"][1], 25, lasting=True), "full disk"
    )
    assert told
    for text in told:
        assert "cannot write" in text
        assert str(place) in text
        assert os.strerror(errno.ENOSPC) in text
        assert "CAS_LLM_MODE=replay" in text


def test_a_fault_left_unfound_would_be_seen():
    """The examination itself is no rubber stamp: a lost answer makes it say so."""
    assert not Found(lost=["x"]).well
