"""Children of a session record and replay through their parent's run."""

import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import children

import cas_llm

ROOT = Path(cas_llm.__file__).parents[1]
TESTS = Path(children.__file__).parents[1]

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """Children read the .pth file's line, as they do where cas-llm is installed."""
    children.install(tmp_path / "site", monkeypatch)


def by_subprocess(calls):
    """Each call in a Python program of its own, all at once."""

    def one(call):
        function, args = call
        code = (
            f"import json; from support.children import *; print(json.dumps({function}(*{args})))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, calls))


def by_pool(method):
    """Each call in a worker of its own."""

    def run(calls):
        with multiprocessing.get_context(method).Pool(len(calls), maxtasksperchild=1) as pool:
            pending = [
                pool.apply_async(getattr(children, function), args) for function, args in calls
            ]
            return [result.get(60) for result in pending]

    return run


ways = pytest.mark.parametrize(
    "run",
    [by_subprocess, by_pool("fork"), by_pool("spawn")],
    ids=["subprocess", "fork", "spawn"],
)


def tape_of(store, scope):
    """The only tape of *scope*."""
    found = [
        json.loads(path.read_text()) for path in (store / "manifest" / "tapes").rglob("*.json")
    ]
    (tape,) = [tape for tape in found if tape["scope"] == scope]
    return tape


@ways
def test_a_childs_call_is_recorded_and_replayed(run, store, provider):
    """Without a name: in the shared part of the store, for whoever asks next."""
    calls = [("ask", (provider.url, text)) for text in ("a", "b")]
    with cas_llm.use("fallback", store=store):
        recorded = run(calls)
    assert provider.count == 2
    with cas_llm.use("replay", store=store):
        assert run(calls) == recorded
        assert [children.ask(*args) for _, args in calls] == recorded
    assert provider.count == 2


@ways
def test_the_tape_of_a_block_holds_its_childrens_calls(run, store, provider):
    """The process that opened the block writes one tape; the children's answers are not lost."""
    calls = [("ask", (provider.url, text)) for text in ("a", "b")]
    with cas_llm.use("fallback", name="family", store=store):
        recorded = [children.ask(provider.url, "first"), *run(calls)]
        assert not (store / "manifest").exists()
    tape = tape_of(store, "use::family")
    assert tape["turns"][0]["ask"] == ["first"]
    assert sorted(turn["ask"][0] for turn in tape["turns"]) == ["a", "b", "first"]
    with cas_llm.use("replay", name="family", store=store):
        assert [children.ask(provider.url, "first"), *run(calls)] == recorded
    assert provider.count == 3


@pytest.mark.slow
@ways
def test_a_request_repeated_in_four_children_has_four_ordinals(run, store, provider):
    """Each child's is one of the four, and on replay four distinct answers come back."""
    calls = [("ask_each", (provider.url, "again"))] * 4
    with cas_llm.use("fallback", name="family", store=store):
        recorded = run(calls)
    assert (len(set(recorded)), provider.count) == (4, 4)
    assert len(tape_of(store, "use::family")["turns"]) == 4
    with cas_llm.use("replay", name="family", store=store):
        assert sorted(run(calls)) == sorted(recorded)
        with cas_llm.expect_miss() as missed:
            assert run(calls[:1]) == [424]
    assert "exhausted" in missed[0].kind
    assert provider.count == 4


@pytest.mark.slow
@ways
def test_capture_in_children_numbers_repetitions(run, store, provider):
    """In CAPTURE inside a named block `each` is the default, in children as in the parent."""
    calls = [("ask", (provider.url, "again"))] * 3
    with cas_llm.use("capture", name="family", store=store):
        recorded = [children.ask(provider.url, "again"), *run(calls)]
    assert len(set(recorded)) == 4
    with cas_llm.use("replay", name="family", store=store):
        assert sorted([children.ask(provider.url, "again"), *run(calls)]) == sorted(recorded)
    assert provider.count == 4


@ways
def test_equal_misses_of_children_make_one_call(run, store, provider):
    """Single-flight holds across the processes of a run."""
    calls = [("ask", (provider.url, "one"))] * 4
    with cas_llm.use("fallback", store=store):
        assert len(set(run(calls))) == 1
    assert provider.count == 1


@ways
def test_a_childs_miss_is_the_blocks(run, store, provider):
    """It says which process it was in, and leaving the block raises it."""
    with (
        pytest.raises(cas_llm.CacheMiss, match=r"in child process \d+") as ended,
        cas_llm.use("replay", name="family", store=store),
    ):
        assert run([("ask", (provider.url, "new"))]) == [424]
    assert ended.value.misses[0].kind == "not recorded"
    assert ended.value.misses[0].ask == "new"
    assert provider.count == 0


def test_a_child_of_a_child_belongs_to_the_run(store, provider):
    """The environment goes on, and so does the scope."""
    inner = f"from support.children import *; print(ask({provider.url!r}, 'deep'))"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    with cas_llm.use("fallback", name="family", store=store):
        subprocess.run([sys.executable, "-c", outer], check=True, capture_output=True)
    assert tape_of(store, "use::family")["turns"][0]["ask"] == ["deep"]


def test_a_child_that_switches_on_for_itself_stays_in_the_run(store, provider):
    """Its own unnamed block is the parent's scope with its own settings."""
    code = (
        "import cas_llm\nfrom support.children import *\n"
        f"with cas_llm.use('replay'):\n    print(ask({provider.url!r}, 'known'))\n"
    )
    with cas_llm.use("fallback", store=store):
        first = children.ask(provider.url, "known")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert done.stdout.strip() == first, done.stderr
    assert provider.count == 1


def test_the_runs_folder_is_gone_afterwards(store, provider):
    """A program leaves nothing of its run behind, whatever its children did."""
    code = (
        "import cas_llm, subprocess, sys\nfrom support.children import *\n"
        f"with cas_llm.use('fallback', store={str(store)!r}):\n"
        f"    ask({provider.url!r}, 'a')\n"
        "    subprocess.run([sys.executable, '-m', 'support.children', "
        f"{provider.url!r}, 'b'], check=True)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert provider.count == 2
    runs = store / ".local" / "runs"
    assert not runs.exists() or not list(runs.iterdir())
