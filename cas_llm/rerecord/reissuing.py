"""Sends leaves again, several at a time, and puts their answers in the place of the old ones.

An answer waits until all of its test that were chosen are there; then the test gets a new take. A
ledger tells what is begun and what is done, so that whoever is killed is gone on with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from cas_llm.rerecord.budget import Budget
from cas_llm.rerecord.landing import Landing
from cas_llm.rerecord.ledger import STORED, Ledger
from cas_llm.rerecord.sending import Job, Sender, Sent
from cas_llm.session.catalogue import Entry
from cas_llm.session.runtime import Runtime

OUT_OF_MONEY = "the budget is spent"
STOPPED = "interrupted"


@dataclass
class Progress:
    """What a re-issue has done: jobs that are stored, those that are not, new takes, money.

    `lost` are calls that an earlier process had begun, may have paid for, and that are made again.
    """

    stored: dict[str, Sent] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lost: list[Job] = field(default_factory=list)
    taken_over: int = 0
    calls: int = 0


class Stopping:
    """Says when no further call may begin, and cuts waits short."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def pause(self, seconds: float) -> bool:
        """Wait so long; whether to stop."""
        return self._event.wait(seconds)

    def stop(self) -> None:
        """Let no further call begin."""
        self._event.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to."""
        return self._event.is_set()


class Reissue:
    """One re-issue of *jobs*; *ledger* is open, and *stopping* is what *sender* waits by."""

    def __init__(
        self,
        jobs: Sequence[Job],
        sender: Sender,
        ledger: Ledger,
        budget: Budget,
        stopping: Stopping,
    ) -> None:
        self.landing = Landing(sender.runtime.store, jobs)
        self._jobs = {job.name: job for job in jobs}
        self._sender = sender
        self._ledger = ledger
        self._budget = budget
        self._stopping = stopping
        self.progress = Progress()

    @property
    def _runtime(self) -> Runtime:
        return self._sender.runtime

    def run(self, workers: int, tell: Callable[[int], None]) -> Progress:
        """Send what is left, *workers* at a time; new takes are written as soon as they are whole.

        *tell* is told how many are done.

        Interrupted, it begins no further call, waits for those under way, and raises again.
        """
        self._ledger.plan(self._jobs)
        self._take_over()
        left = [job for name, job in self._jobs.items() if name not in self.progress.stored]
        self.landing.land(self.progress.stored)
        try:
            with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="rerecord") as pool:
                self._send(left, lambda job: pool.submit(self._sender.send, job), workers, tell)
        finally:
            self._runtime.store.flush()
        return self.progress

    def _send(
        self,
        left: Sequence[Job],
        submit: Callable[[Job], Future[Sent]],
        workers: int,
        tell: Callable[[int], None],
    ) -> None:
        queue = list(reversed(left))
        under_way: dict[Future[Sent], Job] = {}
        try:
            while queue or under_way:
                while queue and len(under_way) < workers and self._begin(queue[-1]):
                    job = queue.pop()
                    under_way[submit(job)] = job
                if not under_way:
                    break
                # A limit, so that an interrupt is seen while nothing comes back.
                done, _ = wait(under_way, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    self._ended(under_way.pop(future), future.result())
                tell(len(self.progress.stored) + len(self.progress.failed))
        except KeyboardInterrupt:
            self._stopping.stop()
            wait(under_way)
            for future, job in under_way.items():
                self._ended(job, future.result())
            raise
        for job in queue:
            self.progress.failed[job.name] = OUT_OF_MONEY

    def _begin(self, job: Job) -> bool:
        if not self._budget.begin(job.expected):
            return False
        self._ledger.begin(job.name)
        return True

    def _ended(self, job: Job, sent: Sent) -> None:
        self._budget.end(job.expected, sent.cost, made=sent.made and bool(sent.digest))
        self.progress.calls += sent.attempts
        if sent.digest:
            self._ledger.store(job.name, sent.digest, sent.cost)
            self.progress.stored[job.name] = sent
            self.progress.failed.pop(job.name, None)
            self.landing.land(self.progress.stored, job)
        else:
            self._ledger.fail(job.name, sent.why)
            self.progress.failed[job.name] = STOPPED if self._stopping.stopped else sent.why

    # -- what an earlier process left ----------------------------------------------------------

    def _take_over(self) -> None:
        """Find what was paid for and waits, whether or not its line was written."""
        pending = self._runtime.store.pending
        for name, job in self._jobs.items():
            unit = self._ledger.units[name]
            if unit.state != STORED and name not in self._ledger.lost:
                continue
            known = unit.digest if unit.state == STORED else ""
            waiting = [
                one.digest
                for one in pending.of_scope(job.scope)
                if (one.key, one.ordinal) == (job.key, job.ordinal) and one.captured
            ]
            if known in waiting or (waiting and not known):
                digest = known or waiting[0]
                self._ledger.store(name, digest, unit.cost)
                self.progress.stored[name] = Sent(digest, 0.0)
                self.progress.taken_over += 1
            elif not known:
                self.progress.lost.append(job)


def unit_of(ledger: Ledger, entry: Entry) -> str:
    """What *ledger* calls *entry*: by the answer it had, where a new one is there already."""
    own = f"call:{entry.key}:"
    done = (unit for unit in ledger.done.values() if unit.digest == entry.digest)
    return next((unit.name for unit in done if unit.name.startswith(own)), named(entry))


def named(entry: Entry) -> str:
    """What a ledger calls *entry* before it is asked anew."""
    return f"call:{entry.key}:{entry.digest}"
