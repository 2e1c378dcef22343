"""Histories of a store: what two people do on two branches, recorded through real sessions.

A `History` is plain data that hypothesis can draw and shrink. A `Bench` plays it in a real git
repository: each step is a run of its own, in this process, against a provider that answers with
real recorded exchanges where `CAS_LLM_CORPUS` names some, else with answers of its own. Every later
turn of a test quotes the answer before it, so that a wrong answer leads to a miss.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import strategies as st
from support.desk import JSON, URL, Desk, completion

from cas_llm import config
from cas_llm.cli.edit import body_change, edit_answer
from cas_llm.config import Rank
from cas_llm.digest import digest_of
from cas_llm.errors import CacheMiss
from cas_llm.functions import cached
from cas_llm.keys import load_record
from cas_llm.keys import parts_of as parts_of_record
from cas_llm.session import Kind, Runtime, Scope, Session
from cas_llm.session.bindings import Binding, current, enter, leave
from cas_llm.store import Store, Tape
from cas_llm.store.pruning import sweep
from cas_llm.wire import Request, Response

LARGEST = 12_000
QUOTED = 120
FIXTURE = "tests/conftest.py::persona_{}"
DAY = 24 * 3600.0

# -- what people do ------------------------------------------------------------------------------

KINDS = ("add", "capture", "edit", "rename", "fixture", "cached", "shared", "by hand")
USUAL = ("add", "capture", "capture", *KINDS)


@dataclass(frozen=True)
class Step:
    """One thing somebody does; the numbers choose among what there is then."""

    kind: str
    which: int = 0
    how: int = 0


@dataclass(frozen=True)
class History:
    """What is recorded before two branches part, and what then happens on each.

    `early` is done on the right branch before the left one prunes, `late` after it. `known` is
    whether the prune can know of the right branch: it is not older than 14 days.
    """

    base: tuple[Step, ...]
    left: tuple[Step, ...]
    early: tuple[Step, ...] = ()
    late: tuple[Step, ...] = ()
    prunes: bool = False
    known: bool = True


def steps(least: int, most: int, kinds: Sequence[str] = USUAL) -> st.SearchStrategy:
    """Some steps, one after another."""
    number = st.integers(0, 31)
    step = st.builds(Step, st.sampled_from(kinds), number, number)
    return st.lists(step, min_size=least, max_size=most).map(tuple)


def histories(most: int = 5) -> st.SearchStrategy[History]:
    """Histories of two branches of up to *most* steps each."""
    anew = steps(0, 2, ("capture", "by hand"))
    return st.builds(
        History,
        base=st.tuples(steps(3, most), anew).map(sum_of),
        left=st.tuples(steps(1, most), anew).map(sum_of),
        early=steps(0, 2),
        late=steps(1, most),
        prunes=st.integers(0, 3).map(bool),
        known=st.integers(0, 3).map(bool),
    )


def sum_of(several: Iterable[tuple[Step, ...]]) -> tuple[Step, ...]:
    """The steps of all, one after another."""
    return tuple(step for steps in several for step in steps)


def some_steps(chance: random.Random, most: int) -> tuple[Step, ...]:
    """Some steps that *chance* chooses."""
    count = chance.randint(1, most)
    return tuple(
        Step(chance.choice(USUAL), chance.randrange(32), chance.randrange(32)) for _ in range(count)
    )


# -- the tests that are recorded -----------------------------------------------------------------


@dataclass(frozen=True)
class Talk:
    """A test, or a wider fixture, as its author wrote it; `born` is what it was first called."""

    name: str
    born: str
    opening: int
    turns: int = 1
    version: int = 0
    fixture: str = ""
    cached: bool = False
    twice: bool = False

    @property
    def source(self) -> str:
        """The digest of its text, in which its name does not stand."""
        text = (self.born, self.opening, self.turns, self.version, self.fixture, self.cached)
        return digest_of(repr((*text, self.twice)).encode())


@dataclass(frozen=True)
class Heard:
    """What one test was served: the digests in order, and whether anything was refused."""

    digests: tuple[str, ...]
    refused: bool = False


@dataclass
class World:
    """A branch's tests, fixtures and shared requests."""

    talks: dict[str, Talk] = field(default_factory=dict)
    fixtures: dict[str, Talk] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)

    def copy(self) -> World:
        return World(dict(self.talks), dict(self.fixtures), set(self.shared))

    def choose(self, number: int) -> Talk | None:
        """One of the tests."""
        names = sorted(self.talks)
        return self.talks[names[number % len(names)]] if names else None


def exchanges(corpus: Sequence[Mapping]) -> list[tuple[Request, bytes, tuple]]:
    """Different requests, an answer to each: the corpus's shorter ones, else made up."""
    found: dict[tuple[str, bytes], tuple[Request, bytes, tuple]] = {}
    for row in corpus:
        asked, answered = row["request"], row["response"]
        body = (asked or {}).get("json")
        if row["status"] != 200 or not isinstance(body, dict) or len(json.dumps(row)) > LARGEST:
            continue
        text = json.dumps(answered["json"]) if "json" in answered else answered["text"]
        request = Request(row["method"].upper(), row["url"], JSON, json.dumps(body).encode())
        answered = request, text.encode(), tuple(row["headers"].items())
        found.setdefault((request.url, request.body), answered)
    for number in range(0 if found else 24):
        messages = [{"role": "system", "content": "Be brief.\n" * (number % 3 * 4)}]
        messages.append({"role": "user", "content": f"opening {number}"})
        body = json.dumps({"model": "m", "messages": messages}).encode()
        answer = json.dumps(completion(f"answer {number} " * 9)).encode()
        found[URL, body] = Request("POST", URL, JSON, body), answer, JSON
    return list(found.values())


# -- playing them --------------------------------------------------------------------------------

_asking: ContextVar[Desk] = ContextVar("asking")


@cached
def summary(topic: str) -> str:
    """A function whose result is recorded, and whose body asks a provider."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": topic}]}).encode()
    binding = current()
    response = _asking.get().ask(Request("POST", URL, JSON, body), binding.scope)
    return response.body.decode()[:QUOTED]


class Bench:
    """A repository in *folder* in which histories are played; its store is `root`."""

    def __init__(self, folder: Path, known: Sequence, seed: int = 0) -> None:
        self.folder = folder
        self.root = folder / "cache_store"
        self.exchanges = known
        self.chance = random.Random(seed)
        self.groups: dict[tuple[str, str], list[int]] = {}
        for number, (request, _, _) in enumerate(known):
            self.groups.setdefault(_family(request), []).append(number)
        self.live = 0
        self.count = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        Store(self.root).prepare()
        self.commit("Begin")

    def copied(self, folder: Path) -> Bench:
        """The same repository in *folder*, where what is done leaves this one as it is."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = copy.copy(self)
        other.folder, other.root = folder, folder / "cache_store"
        other.chance = copy.copy(self.chance)
        return other

    # -- git

    def git(self, *words: str) -> str:
        """What git prints; a failure fails the test."""
        done = self.try_git(*words)
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def try_git(self, *words: str) -> subprocess.CompletedProcess[str]:
        # Rename detection and directory renames are on, as they are by default.
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def commit(self, message: str) -> None:
        """Add everything and commit it."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def files(self, revision: str) -> dict[str, str]:
        """Path to blob id of all that *revision* holds."""
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", revision)
        rows = (line.partition("\t") for line in listed.split("\0") if line)
        return {name: meta.split()[2] for meta, _, name in rows}

    # -- steps

    def play(self, world: World, steps: Iterable[Step], who: str) -> None:
        """Do *steps* in *world*; *who* keeps names apart that two people give."""
        for step in steps:
            self.count += 1
            _STEPS[step.kind](self, world, step, f"{who}{self.count}")

    def add(self, world: World, step: Step, name: str, **more: object) -> None:
        """A new test, which may open as others do."""
        place = f"tests/test_{'abc'[step.how % 3]}.py::test_{name}"
        opening = step.which % min(len(self.exchanges), 5)
        twice = step.how % 5 == 4
        talk = Talk(place, name, opening, 1 + step.how % 4, twice=twice, **more)
        world.talks[place] = talk
        self.run(world, "capture" if step.how % 2 else "fallback", [talk])

    def fixture(self, world: World, step: Step, name: str) -> None:
        """A new test on a wider fixture, which may be new as well.

        One person records a fixture. What two record ties, and as it has one value in a run, the
        tests that quote the other one miss (see the test of that in `test_merges`). For the same
        reason its request is no test's: an edit of a test's answer does not change it.
        """
        names = sorted(world.fixtures)
        place = names[step.how % len(names)] if names else ""
        if step.which % 2 or not names:
            place = FIXTURE.format(name)
            opening = 8 + digest_number(name) % 8
            world.fixtures[place] = Talk(place, name, opening, 1 + step.how % 2)
        self.add(world, step, name, fixture=place)

    def cached(self, world: World, step: Step, name: str) -> None:
        """A new test that calls a cached function."""
        self.add(world, step, name, cached=True)

    def capture(self, world: World, step: Step, _name: str) -> None:
        """Some tests are asked anew."""
        names = sorted(world.talks)
        chosen = (
            {names[(step.which + n * 7) % len(names)] for n in range(1 + step.how % 3)}
            if (names)
            else set()
        )
        self.run(world, "capture", [world.talks[name] for name in sorted(chosen)])

    def edit(self, world: World, step: Step, name: str) -> None:
        """A test's text changes, and what it asks, or not; what is missing is recorded."""
        talk = world.choose(step.which)
        if talk is not None:
            new = replace(talk, version=digest_number(name), turns=talk.turns + step.how % 2)
            world.talks[talk.name] = new
            self.run(world, "fallback", [new])

    def rename(self, world: World, step: Step, name: str) -> None:
        """A test gets another name; it is recorded under it, or not yet."""
        talk = world.choose(step.which)
        if talk is not None:
            del world.talks[talk.name]
            place = f"tests/test_{'abcd'[step.how % 4]}.py::test_{name}_was_{talk.born}"
            new = world.talks[place] = replace(talk, name=place)
            if step.how % 3:
                before = self.live
                self.run(world, "fallback", [new])
                assert self.live == before, "a renamed test was asked anew"

    def shared(self, world: World, step: Step, _name: str) -> None:
        """A script asks something outside any test."""
        opening = step.which % min(len(self.exchanges), 5)
        world.shared.add(opening)
        self.say_shared(opening, "capture" if step.how % 2 else "fallback")

    def by_hand(self, world: World, step: Step, name: str) -> None:
        """Somebody edits a test's last answer, and records what goes on from it."""
        talk = world.choose(step.which)
        if talk is None:
            return
        self.run(world, "fallback", [talk])  # it may live on the tape it had under another name
        key, digest, number = self.uses(world, talk)[-1]
        store = Store(self.root)
        body = store.load(digest).response.body
        if body[:1] == b"{":
            change = body_change(json.dumps({**json.loads(body), "by_hand": name}).encode())
            edit_answer(store, key, change, test=talk.name, ordinal=number)
        store.close()
        self.run(world, "fallback", list(world.talks.values()))

    def prune(self, *, days: float = 2) -> int:
        """Commit, and take out what the rule lets go *days* from now; how many files went."""
        self.commit("Before the prune")
        found = sweep.plan(self.root, record_parts, now=time.time() + days * DAY)
        return len(sweep.sweep(found, record_parts).moved)

    # -- runs

    def run(
        self, world: World, mode: str, talks: Sequence[Talk], *, complete: bool = False
    ) -> dict[str, Heard]:
        """Run some tests as one run, in some order; what each was served, by its name."""
        desk = self._desk(mode)
        opened: dict[str, tuple[Scope, str]] = {}
        heard: dict[str, Heard] = {}
        order = list(talks)
        self.chance.shuffle(order)
        for talk in order:
            scope = scope_of(talk, Kind.TEST)
            heard[talk.name] = self._talk(desk, world, talk, scope, opened, complete=complete)
            if mode != "replay":
                assert not heard[talk.name].refused
                desk.passed(scope)
        for scope, _said in opened.values() if mode != "replay" else ():
            desk.passed(scope)
        self._close(desk)
        return heard

    def replay(self, world: World) -> dict[str, Heard]:
        """What each test is served with nothing live; the work tree stays clean."""
        before = self.live
        heard = self.run(world, "replay", list(world.talks.values()))
        assert self.live == before
        return heard

    def leave_waiting(self, talk: Talk) -> None:
        """Ask what *talk* does anew, in a test that then fails."""
        desk = self._desk("capture")
        self._turns(desk, talk, scope_of(talk, Kind.TEST), "")
        self._close(desk)

    def uses(self, world: World, talk: Talk) -> list[tuple[str, str, int]]:
        """Key, digest and ordinal of what *talk* itself is served, in order."""
        desk, scope = self._desk("replay"), scope_of(talk, Kind.TEST)
        self._talk(desk, world, talk, scope, {}, complete=False)
        self._close(desk)
        return [(use.key, use.digest, use.ordinal) for use in scope.in_order()]

    def say_shared(self, opening: int, mode: str = "replay") -> str:
        """Ask outside any test; the digest of the answer, or empty where it is refused."""
        desk, scope = self._desk(mode), Scope()
        desk.ask(self.exchanges[opening][0], scope)
        self._close(desk)
        return next((use.digest for use in scope.in_order()), "")

    def tapes(self) -> dict[str, Tape]:
        """All tapes of the work tree by path."""
        manifest = Store(self.root).manifest
        return {str(path): manifest.load_tape(path) for path in manifest.tape_paths()}

    def answer(self, request: Request) -> Response:
        """One of the answers that requests of this kind got."""
        self.live += 1
        group = self.groups.get(_family(request)) or list(range(len(self.exchanges)))
        _, body, headers = self.exchanges[self.chance.choice(group)]
        return Response(200, headers, body)

    def _talk(
        self,
        desk: Desk,
        world: World,
        talk: Talk,
        scope: Scope,
        opened: dict[str, tuple[Scope, str]],
        *,
        complete: bool,
    ) -> Heard:
        said, refused = "", False
        if talk.fixture:
            if talk.fixture not in opened:
                wider = world.fixtures[talk.fixture]
                # Only a run of all tests asks a wider fixture's requests anew.
                other = scope_of(wider, Kind.FIXTURE, locked=not complete)
                opened[talk.fixture] = (other, self._turns(desk, wider, other, "")[0])
            said = opened[talk.fixture][1]
        if talk.cached:
            said, refused = self._call(desk, talk, scope)
        if not refused:
            said, refused = self._turns(desk, talk, scope, said)
        return Heard(tuple(use.digest for use in scope.in_order()), refused)

    def _turns(self, desk: Desk, talk: Talk, scope: Scope, said: str) -> tuple[str, bool]:
        """Say each turn; gives the last answer's words, and whether one was refused."""
        for turn in range(talk.turns):
            request = self._request(talk.opening + turn, said)
            for _ in range(2 if talk.twice and turn == talk.turns - 1 else 1):
                response = desk.ask(request, scope)
                if response.status == 424:
                    return "", True
            said = response.body.decode("utf-8", "replace")[-QUOTED:] + digest_of(response.body)
        return said, False

    def _request(self, number: int, said: str) -> Request:
        request = self.exchanges[number % len(self.exchanges)][0]
        if not said:
            return request
        body = json.loads(request.body) | {"metadata": {"heard": said}}
        return replace(request, body=json.dumps(body).encode())

    @staticmethod
    def _call(desk: Desk, talk: Talk, scope: Scope) -> tuple[str, bool]:
        token, asking = enter(Binding(desk.session, scope)), _asking.set(desk)
        try:
            return summary(f"topic {talk.opening}"), False
        except CacheMiss:
            return "", True
        finally:
            _asking.reset(asking)
            leave(token)

    def _desk(self, mode: str) -> Desk:
        base = config.load(self.folder, {}).but("a test", store=str(self.root))
        settings = base.says(mode, Rank.USE, "a test")
        return Desk(Session(settings, Runtime(settings)), self.answer)

    @staticmethod
    def _close(desk: Desk) -> None:
        desk.runtime.store.close()
        desk.runtime.run.close()


_STEPS = {kind: getattr(Bench, kind.replace(" ", "_")) for kind in KINDS}


def scope_of(talk: Talk, kind: Kind, *, locked: bool = False) -> Scope:
    """A new opening of a test's or a fixture's scope."""
    scope = Scope(talk.name, kind, staged=True, locked=locked)
    # Read from the file the function stands in, where there is one.
    scope.__dict__["source"] = talk.source
    return scope


def record_parts(data: bytes) -> Mapping[str, str]:
    """The parts that a key record names."""
    return parts_of_record(load_record(data))


def digest_number(text: str) -> int:
    """A number for *text*, the same in every process."""
    return int(digest_of(text.encode())[:8], 16)


def _family(request: Request) -> tuple[str, str]:
    place = urlsplit(request.url)
    return place.netloc, place.path.rpartition("/")[2].rpartition(":")[2]
