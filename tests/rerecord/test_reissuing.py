"""Leaves are sent again through the pipeline of every call, and land test by test."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.leaves import fill, in_use, question, said
from support.stores import asks, recorded, streams, tape_of

from cas_llm import config
from cas_llm.rerecord import reissuing
from cas_llm.rerecord.budget import Budget
from cas_llm.rerecord.definitions import Definitions
from cas_llm.rerecord.jobs import Ways, jobs_of
from cas_llm.rerecord.leaves import Leaves
from cas_llm.rerecord.ledger import Ledger
from cas_llm.rerecord.patience import Patience
from cas_llm.rerecord.selecting import Wanted, chosen
from cas_llm.rerecord.sending import Broken, Job, Sender, Unwritable
from cas_llm.session.catalogue import catalogue, parse_time
from cas_llm.session.runtime import Runtime
from cas_llm.store import Store
from cas_llm.wire import Headers, Request

_JSON = (("content-type", "application/json"),)
NOW = parse_time("2026-11-21")


@dataclass
class Arrived:
    """A response of the stand-in for HTTP."""

    status: int
    headers: Headers
    body: list[bytes]

    def pieces(self) -> Iterator[bytes]:
        yield from self.body


class Killed(BaseException):
    """The process dies here."""


class Bench:
    """A store of leaves, and a server that is a function from a request to what it does."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root / "cache_store"
        fill(self.root, count)
        self.seen: list[str] = []
        self.waits: list[float] = []
        self.numbers = itertools.count(1)
        self.answer: Any = lambda _request: None

    def run(self, *, limit: float = 5.0, attempts: int = 4, jobs: int = 1) -> reissuing.Progress:
        """Re-issue all that is left."""
        settings = config.load(self.root.parent, {}, command_line={"store": str(self.root)})
        runtime = Runtime(settings)
        try:
            with Ledger(self.root) as ledger:
                sender = Sender(settings, runtime, self.post, Patience(attempts), self.pause)
                stopping = reissuing.Stopping()
                budget = Budget(limit)
                work = reissuing.Reissue(
                    self.jobs(ledger, runtime.store), sender, ledger, budget, stopping
                )
                return work.run(jobs, lambda _done: None)
        finally:
            runtime.store.close()
            runtime.run.close()

    def jobs(self, ledger: Ledger, store: Store) -> list[Job]:
        """What is left to send."""
        held = catalogue(store)
        assert NOW is not None
        picked = chosen(held, Wanted(everything=True), NOW)
        picked = [one for one in picked if reissuing.unit_of(ledger, one.entry) not in ledger.done]
        key = {"OPENAI_API_KEY": "-".join(["sk", "z" * 8])}
        jobs, left = jobs_of(
            picked, store, Leaves(store, held), Ways(key, {}), Definitions(self.root.parent)
        )
        assert left == []
        return jobs

    def pause(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False

    @contextlib.contextmanager
    def post(self, request: Request, _timeout: float) -> Iterator[Arrived]:
        self.seen.append(json.loads(request.body)["messages"][0]["content"])
        found = self.answer(request)
        if found is None:
            found = Arrived(200, _JSON, [json.dumps(said(f"new {next(self.numbers)}")).encode()])
        yield found


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Six leaves."""
    return Bench(tmp_path, 6)


def test_each_leaf_has_a_new_take_and_nothing_waits(bench: Bench) -> None:
    """One call each; the tests' new takes name the new answers, the old ones stay in the store."""
    progress = bench.run(jobs=3)
    assert (len(progress.stored), progress.calls, progress.failed) == (6, 6, {})
    assert all(text.startswith("new ") for text in in_use(bench.root).values())
    assert Store(bench.root).pending.all() == []
    assert sum(1 for _ in (bench.root / "objects").rglob("*.json")) == 12


def test_a_server_that_refuses_is_asked_again_as_it_says(bench: Bench) -> None:
    """Too many requests and a broken connection are waited out; a wrong key is not."""
    answers = iter(
        [
            Arrived(429, (("retry-after", "3"),), [b"{}"]),
            Arrived(503, (), [b"{}"]),
            None,
            Arrived(401, (), [b'{"error": "bad key"}']),
        ]
    )
    bench.answer = lambda _request: next(answers, None)
    progress = bench.run()
    assert progress.calls == 3 + 1 + 4
    assert [3 <= wait <= 3.3 for wait in bench.waits] == [True, False]
    (why,) = progress.failed.values()
    assert why == 'the server says 401: {"error": "bad key"}'
    assert len(progress.stored) == 5


def test_a_call_without_an_answer_is_given_up_after_some_attempts(bench: Bench) -> None:
    """The reason is told for each recording, with how often it was asked; the others go on."""

    def broken(request: Request) -> None:
        if b"Question 2" in request.body:
            raise Broken("no answer within 9 s")

    bench.answer = broken
    progress = bench.run(attempts=3)
    assert list(progress.failed.values()) == ["no answer within 9 s (asked 3 times)"]
    assert len(progress.stored) == 5
    assert bench.seen.count("Question 2") == 3


def test_whoever_goes_on_pays_for_one_call_again_and_names_it(bench: Bench) -> None:
    """Killed with a call under way, the next one makes just this one again."""

    def dies(request: Request) -> None:
        if b"Question 3" in request.body:
            raise Killed

    bench.answer = dies
    with pytest.raises(Killed):
        bench.run()
    bench.answer = lambda _request: None
    progress = bench.run()
    assert [job.request for job in progress.lost] != []
    assert [json.loads(job.request.body)["messages"][0]["content"] for job in progress.lost] == [
        "Question 3"
    ]
    assert sorted(bench.seen) == sorted([*(f"Question {n}" for n in range(6)), "Question 3"])
    assert all(text.startswith("new ") for text in in_use(bench.root).values())


def test_an_answer_whose_line_was_not_written_is_not_paid_for_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the answer and its line, the next one finds the answer waiting."""

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "store", dies)
        with pytest.raises(Killed):
            bench.run()
    progress = bench.run()
    assert (progress.taken_over, progress.lost) == (1, [])
    assert sorted(bench.seen) == [f"Question {n}" for n in range(6)]


def test_a_budget_ends_it_and_the_next_one_goes_on(bench: Bench) -> None:
    """No call begins once the money is spent; what is left is told, and is done later."""
    one = 0.00075
    progress = bench.run(limit=one * 2.5, jobs=2)
    assert len(progress.stored) == 3
    assert set(progress.failed.values()) == {reissuing.OUT_OF_MONEY}
    assert len(bench.run().stored) == 3
    assert len(bench.seen) == 6


def test_a_secret_in_an_answer_is_not_written(bench: Bench) -> None:
    """The pipeline's look for secrets holds here, too: a refused answer leaves the old one."""
    secret = "-".join(["sk", "proj", "A1b2" * 12])
    document = json.dumps(said(f"take {secret}")).encode()
    bench.answer = lambda _request: Arrived(200, _JSON, [document])
    bench.run()
    for folder, _, names in os.walk(bench.root):
        for name in names:
            assert secret.encode() not in Path(folder, name).read_bytes()


def test_a_request_that_would_be_another_is_not_sent(bench: Bench) -> None:
    """Where a server's address makes another key, nothing goes out, and the difference is told."""
    settings = config.load(bench.root.parent, {}, command_line={"store": str(bench.root)})
    runtime = Runtime(settings)
    sender = Sender(settings, runtime, bench.post, Patience(), bench.pause)
    with Ledger(bench.root) as ledger:
        (job, *_) = bench.jobs(ledger, runtime.store)
    elsewhere = question(0, "http://127.0.0.1:9")
    moved = Job(job.key, job.digest, elsewhere, job.scope, 1)
    sent = sender.send(moved)
    assert sent.why == (
        "sent from here it would be another request: api, 'openai' -> 'openai@loopback'"
    )
    assert (sent.made, bench.seen) == (False, [])
    runtime.run.close()


def test_a_key_that_a_server_tells_is_kept_nowhere(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says is shown and kept without it, even where it would be cut off within."""
    key = "-".join(["sk", "proj", "Zq9w" * 8])
    monkeypatch.setenv("OPENAI_API_KEY", key)
    text = f"{'no ' * 45}{key}".encode()
    bench.answer = lambda _request: Arrived(401, (), [text])
    failed = bench.run().failed
    assert len(failed) == 6
    assert not [why for why in failed.values() if "Zq9w" in why]
    assert b"Zq9w" not in Ledger(bench.root).path.read_bytes()


def test_what_cannot_be_sent_is_not_tried_again(bench: Bench) -> None:
    """An address or a header that is none will be none a minute later."""

    def refuse(_request: Request) -> None:
        raise Unwritable("it is none")

    bench.answer = refuse
    assert set(bench.run().failed.values()) == {"it is none"}
    assert (len(bench.seen), bench.waits) == (6, [])


def test_a_stream_stays_a_stream(bench: Bench) -> None:
    """What was asked for as events is asked for so again, and kept in the pieces it came in."""
    old = recorded(asks("Stream it", stream=True), streams("old"))
    store = Store(bench.root)
    store.save(old)
    store.add_tape(tape_of(old, scope="tests/test_s.py::test_s"))
    store.close()
    wanted, asked = streams("new and longer"), []

    def answer(request: Request) -> Arrived | None:
        if not json.loads(request.body).get("stream"):
            return None
        asked.append(dict(request.headers)["accept"])
        starts = itertools.accumulate((chunk.length for chunk in wanted.chunks), initial=0)
        pieces = [wanted.body[a:b] for a, b in itertools.pairwise(starts)]
        return Arrived(200, wanted.headers, pieces)

    bench.answer = answer
    assert bench.run().failed == {}
    assert asked == ["text/event-stream"]
    store = Store(bench.root)
    newest = max(store.manifest.tapes_of("tests/test_s.py::test_s"), key=lambda tape: tape.take)
    kept = store.load(newest.turns[0].digest).response
    assert (kept.body, kept.headers) == (wanted.body, wanted.headers)
    assert [chunk.length for chunk in kept.chunks] == [chunk.length for chunk in wanted.chunks]
