"""A clean merge replays under pytest: a session fixture that two branches' tests build on.

What single tests recorded is merged in `test_merges`, by the hundred and in one process.
"""

import pytest
from support.extent import extent
from support.inner import FALLBACK, Inner
from support.projects import Project

COUNTS = [
    pytest.param(3, id="a few orders"),
    pytest.param(extent(30, 200), id="many orders", marks=pytest.mark.slow),
]


def is_clean(project: Project) -> None:
    """`cas-llm verify` finds nothing wrong, down to what each tape says; ties are no fault."""
    verified = project.cas_llm("verify")
    assert verified.code == 0, verified


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

    for seed in range(1, {orders} + 1):
        os.environ["SEED"] = str(seed)
        spread = ["-p", "xdist", "-n", "2"] if seed % 10 == 0 else []
        flags = ["-q", "-p", "no:cacheprovider", "-p", "cas_llm.pytest_plugin"]
        code = pytest.main([*flags, *spread])
        assert code == 0, (seed, code)
    print("replayed", seed, "orders")
"""


@pytest.mark.parametrize("orders", COUNTS)
def test_a_session_fixture_replays_in_any_order_and_on_any_worker(project, provider, orders):
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
    done = project.python(MANY_RUNS.format(orders=orders), timeout=600)
    assert f"replayed {orders} orders" in done.stdout, done
    assert (provider.count, project.status) == (calls, "")
    is_clean(project)
