"""Branches don't conflict, and a clean merge replays: real git merges of real recordings.

Pairs of branches are made by chance from a fixed seed. Each branch records in a run of its own;
the merge must be clean, and every test must then find its own answers with nothing live.
"""

import random
from pathlib import Path

import httpx
import pytest
from support.inner import FALLBACK, Inner
from support.projects import Project

import cas_llm
from cas_llm.session.runtime import forget
from cas_llm.store import Store, pick

FAST, MANY = 20, 200
COUNTS = [
    pytest.param(FAST, id="20 pairs"),
    pytest.param(MANY, id="200 pairs", marks=pytest.mark.slow),
]
OPENINGS = ("Say hello", "Plan a trip", "Name a colour")


class Repository:
    """A git repository whose recordings are made in this process, one run after the other."""

    def __init__(self, folder: Path, provider, chance: random.Random) -> None:
        self.project = Project(folder)
        self.store = self.project.path / "cache_store"
        self.url = f"{provider.url}/chat/completions"
        self.client = httpx.Client(verify=False)
        self.chance = chance
        self.plans: dict[str, tuple[str, ...]] = {}
        self.project.file("README.md", "A project\n").commit("Begin")

    def plan(self, name: str, opening: str, turns: int = 2) -> str:
        """A test that says *opening*, then goes on in words of its own."""
        self.plans[name] = (opening, *(f"{name} says {n}" for n in range(1, turns)))
        return name

    def run(self, mode: str, *names: str) -> int:
        """Run the tests *names* as one run; returns how many calls were live."""
        runtime, order = None, list(names)
        self.chance.shuffle(order)
        before = 0
        for name in order:
            with cas_llm.use(mode, name=name, store=self.store) as session:
                runtime = session.runtime
                self._talk(self.plans[name])
        if runtime is None:
            return before
        live = runtime.log.sums.live
        runtime.store.close()
        runtime.run.close()
        forget(runtime)
        return live

    def branch(self, name: str, mode: str, *tests: str) -> None:
        """Record *tests* on a branch off main."""
        self.project.git("checkout", "-q", "-b", name, "main")
        self.run(mode, *tests)
        self.project.commit(name)

    def merge(self, *names: str) -> None:
        """Merge branches into main; git must not find a conflict."""
        self.project.git("checkout", "-q", "main")
        for name in names:
            merged = self.project.run("git", "merge", "-q", "--no-edit", name)
            assert merged.code == 0, merged
            self.project.git("branch", "-q", "-D", name)

    def replays(self) -> None:
        """Every test ever planned is served its own answers; nothing is live, nothing written."""
        assert self.run("replay", *self.plans) == 0
        assert self.project.status == ""

    def _talk(self, texts: tuple[str, ...]) -> None:
        messages = []
        for text in texts:
            messages.append({"role": "user", "content": text})
            reply = self.client.post(self.url, json={"model": "m", "messages": messages})
            assert reply.status_code == 200, reply.json()["error"]["message"]
            answer = reply.json()["choices"][0]["message"]["content"]
            messages.append({"role": "assistant", "content": answer})


def is_clean(project: Project) -> None:
    """`cas-llm verify` finds nothing wrong, down to what each tape says; ties are no fault."""
    verified = project.cas_llm("verify")
    assert verified.code == 0, verified


@pytest.fixture
def repository(tmp_path, provider):
    made = Repository(tmp_path, provider, random.Random(7))
    with made.client:
        yield made


@pytest.mark.parametrize("pairs", COUNTS)
def test_branches_that_each_add_a_test_with_one_first_turn_replay_after_the_merge(
    repository, pairs, capsys
):
    """Each test goes on from the answer it was itself recorded with."""
    for number in range(pairs):
        opening = repository.chance.choice(OPENINGS)
        turns = repository.chance.randint(2, 3)
        left = repository.plan(f"left {number}", opening, turns)
        right = repository.plan(f"right {number}", opening, turns)
        repository.branch("one", "fallback" if number % 2 else "capture", left)
        repository.branch("two", "capture", right)
        repository.merge(*repository.chance.sample(["one", "two"], 2))
        if pairs == FAST or number % 20 == 19:
            repository.replays()
    is_clean(repository.project)
    with capsys.disabled():
        print(f"\n{pairs} of {pairs} pairs merged: 0 conflicts, 0 misses")


@pytest.mark.parametrize("pairs", COUNTS)
def test_a_test_captured_anew_on_both_branches_replays_after_the_merge(repository, pairs):
    """Two takes of one test tie; the pick is one of them, whole, and it is said."""
    names = [repository.plan(f"test {n}", repository.chance.choice(OPENINGS), 3) for n in range(4)]
    repository.run("capture", *names)
    repository.project.commit("Recorded")
    for number in range(pairs):
        both = repository.chance.choice(names)
        repository.branch("one", "capture", both, *repository.chance.sample(names, 1))
        repository.branch("two", "capture", both)
        repository.merge(*repository.chance.sample(["one", "two"], 2))
        tapes = Store(repository.store).manifest.tapes_of(f"use::{both}")
        assert pick.ties(tapes), number
        if pairs == FAST or number % 20 == 19:
            repository.replays()
    is_clean(repository.project)


@pytest.mark.parametrize("pairs", COUNTS)
def test_capturing_one_of_two_tests_that_share_a_turn_leaves_the_other_alone(repository, pairs):
    """The other test keeps the answer it goes on from."""
    for number in range(pairs):
        opening = repository.chance.choice(OPENINGS)
        left = repository.plan(f"left {number}", opening)
        right = repository.plan(f"right {number}", opening)
        repository.run("capture", left, right)
        repository.project.commit("Both")
        repository.branch("one", "capture", left)
        repository.branch("two", "capture", repository.chance.choice(list(repository.plans)))
        repository.merge("one", "two")
        if pairs == FAST or number % 20 == 19:
            repository.replays()
    is_clean(repository.project)


CONFTEST = """
    import os, random, pytest
    from llm import chat

    @pytest.fixture(scope="session")
    def persona():
        return chat("Invent a person", "Give them a job")

    def pytest_collection_modifyitems(items):
        random.Random(os.environ.get("SEED", "1")).shuffle(items)
"""
MEMBER = """
    def test_{name}_asks_alone():
        chat("Say hello", "{name} says more")

    @pytest.mark.parametrize("n", range(3))
    def test_{name}_asks_the_person(persona, n):
        ask(f"{name} {{n}}: speak as " + persona)
"""
MANY_RUNS = """
    import os, sys, pytest

    for seed in range(1, {pairs} + 1):
        os.environ["SEED"] = str(seed)
        spread = ["-p", "xdist", "-n", "2"] if seed % 10 == 0 else []
        flags = ["-q", "-p", "no:cacheprovider", "-p", "cas_llm.pytest_plugin"]
        code = pytest.main([*flags, *spread])
        assert code == 0, (seed, code)
    print("replayed", seed, "orders")
"""


@pytest.mark.parametrize("pairs", COUNTS)
def test_a_session_fixture_replays_in_any_order_and_on_any_worker(project, provider, pairs):
    """Whichever test sets it up: two branches' tests build on one recorded session fixture."""
    inner = Inner(project, provider).tests(MEMBER.format(name="base"), "tests/test_base.py")
    project.file("tests/conftest.py", CONFTEST).file(".gitignore", "__pycache__\n")
    inner.record(passed=4)
    assert provider.count == 2 + 2 + 3
    project.commit("Base")
    for branch, seed in (("one", "3"), ("two", "4")):
        project.git("checkout", "-q", "-b", branch, "main")
        inner.tests(MEMBER.format(name=branch), f"tests/test_{branch}.py")
        inner.run(FALLBACK, "-n", "2", plugins=("xdist",), env={"SEED": seed}, passed=8)
        project.commit(branch)
    project.git("checkout", "-q", "main")
    for branch in ("one", "two"):
        assert project.run("git", "merge", "-q", "--no-edit", branch).code == 0
    calls = provider.count
    done = project.python(MANY_RUNS.format(pairs=pairs), timeout=600)
    assert f"replayed {pairs} orders" in done.stdout, done
    assert (provider.count, project.status) == (calls, "")
    is_clean(project)
