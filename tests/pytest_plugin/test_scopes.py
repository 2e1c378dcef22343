"""Whose a request is: tests of every kind, wider fixtures, threads, children, attempts."""

import os
from pathlib import Path

import pytest
from support.inner import CAPTURE, FALLBACK

import cas_llm


def owners(inner) -> dict[str, int]:
    """Every tape's scope with its number of turns."""
    return {tape["scope"]: len(tape["turns"]) for tape in inner.tapes()}


def replays(inner, *flags, plugins=(), **outcomes):
    """Nothing is live, and nothing is written, the second time."""
    calls, before = inner.provider.count, inner.hashes()
    inner.run(*flags, plugins=plugins, **outcomes)
    inner.run(FALLBACK, *flags, plugins=plugins, **outcomes)
    assert inner.provider.count == calls
    assert inner.hashes() == before


@pytest.mark.slow
def test_each_parameter_is_a_test_of_its_own(inner):
    """Ids that file systems would choke on, too."""
    inner.tests(
        """
        @pytest.mark.parametrize("text", ["plain", "a/b", "ünï", "x" * 300, "A", "a", "", "CON"])
        def test_it(text): ask("say " + text)
        """
    )
    inner.record(passed=8)
    assert len(owners(inner)) == 8
    replays(inner, passed=8)


@pytest.mark.slow
def test_tests_with_one_id_have_a_tape_each(inner):
    """The second of equal ids is counted as the second."""
    inner.tests("NUMBERS = iter('ab')\ndef test_it(): ask('say ' + next(NUMBERS))")
    flags = ("--keep-duplicates", "tests/test_it.py", "tests/test_it.py")
    inner.record(*flags, passed=2)
    assert set(owners(inner)) == {"tests/test_it.py::test_it", "tests/test_it.py::test_it#2"}
    replays(inner, *flags, passed=2)


FIXTURES = """
    import threading

    @pytest.fixture(scope="session")
    def helper():
        answers = []
        thread = threading.Thread(target=lambda: answers.append(ask("from a thread")))
        thread.start()
        thread.join()
        answers.append(ask("set-up"))
        yield answers
        ask("tear-down")

    @pytest.fixture(scope="module", params=["x", "y"])
    def letter(request): return ask("letter " + request.param)

    @pytest.fixture
    def own(): return ask("own")

    def test_one(helper, own): ask("one")
    def test_two(helper, letter): ask("two " + letter)
    def test_three(own): assert own
"""


def test_a_wider_fixture_is_a_scope_of_its_own(inner):
    """Set-up, tear-down and its threads; a function's fixture is the test's; a parameter is one."""
    inner.tests(FIXTURES).record(passed=4)
    assert owners(inner) == {
        "tests/test_it.py::helper": 3,
        "tests/test_it.py::letter[x]": 1,
        "tests/test_it.py::letter[y]": 1,
        "tests/test_it.py::test_one": 2,
        "tests/test_it.py::test_two[x]": 1,
        "tests/test_it.py::test_two[y]": 1,
        "tests/test_it.py::test_three": 1,
    }
    replays(inner, passed=4)
    calls = inner.provider.count
    inner.run("tests/test_it.py::test_two", passed=2)
    inner.run("tests/test_it.py::test_three", passed=1)
    assert inner.provider.count == calls


@pytest.mark.slow
def test_capturing_some_tests_keeps_what_a_wider_fixture_recorded(inner):
    """The tests left out quote the fixture's answer; a run of all tests asks it anew."""
    text = """
        @pytest.fixture(scope="session")
        def opening(): return ask("opening")

        def test_one(opening): assert ask("one after " + opening)
        def test_two(opening): assert ask("two after " + opening)
    """
    inner.tests(text).record(passed=2)
    inner.run(CAPTURE, "tests/test_it.py::test_one", passed=1)
    assert inner.provider.count == 4
    replays(inner, passed=2)
    inner.run(CAPTURE, "-k", "test_two", passed=1, deselected=1)
    assert inner.provider.count == 5
    replays(inner, passed=2)
    inner.run(CAPTURE, passed=2)
    assert inner.provider.count == 8
    replays(inner, passed=2)


def test_a_fixture_whose_users_all_failed_leaves_no_tape(inner):
    """Its answers wait; the first run in which a user passes writes them without a call."""
    text = "@pytest.fixture(scope='module')\ndef made(): return ask('made')\n"
    inner.tests(text + "def test_it(made): assert made == 'right'").record(failed=1)
    assert owners(inner) == {}
    inner.tests(text + "def test_it(made): assert made").record(passed=1)
    assert owners(inner) == {"tests/test_it.py::made": 1}
    assert inner.provider.count == 1


@pytest.mark.slow
def test_unittest_classes_are_scopes_like_any_other(inner):
    """Their set-up belongs to the test, setUpClass to the class, whichever module has its name."""
    text = """
        import unittest

        class TestCase(unittest.TestCase):
            @classmethod
            def setUpClass(cls): cls.answer = ask("class of " + __name__)
            def setUp(self): ask("set-up")
            def test_one(self): ask("one " + self.answer)
            def test_two(self): ask("two")
    """
    inner.tests(text, "tests/test_a.py").tests(text, "tests/test_b.py").record(passed=4)
    found = owners(inner)
    assert {name: n for name, n in found.items() if "setUpClass" not in name} == {
        f"tests/test_{module}.py::TestCase::test_{n}": 2 for module in "ab" for n in ("one", "two")
    }
    assert len([name for name in found if "setUpClass" in name]) == 2
    replays(inner, passed=4)


def test_async_tests_and_fixtures_are_scopes_too(inner):
    """pytest-asyncio: tests, wide async fixtures, tasks and to_thread."""
    inner.project.file("pytest.ini", "[pytest]\nasyncio_mode = auto\n")
    inner.tests(
        """
        import asyncio, pytest_asyncio

        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def wide():
            yield await asyncio.to_thread(ask, "wide")
            await asyncio.to_thread(ask, "wide end")

        async def test_one(wide):
            await asyncio.gather(*(asyncio.to_thread(ask, f"task {n}") for n in range(3)))

        async def test_two(wide):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(ask, "two"))
        """
    )
    inner.run(FALLBACK, plugins=("pytest_asyncio.plugin",), passed=2)
    assert owners(inner) == {
        "tests/test_it.py::wide": 2,
        "tests/test_it.py::test_one": 3,
        "tests/test_it.py::test_two": 1,
    }
    replays(inner, plugins=("pytest_asyncio.plugin",), passed=2)


@pytest.mark.slow
def test_anyio_tests_are_scopes_on_either_back_end(inner):
    """asyncio and trio, each a test of its own."""
    inner.tests(
        """
        import anyio.to_thread

        @pytest.mark.anyio
        async def test_it(anyio_backend_name):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.to_thread.run_sync, ask, "on " + anyio_backend_name)
        """
    )
    plugins = ("anyio.pytest_plugin",)
    inner.run(FALLBACK, plugins=plugins, passed=2)
    assert set(owners(inner)) == {f"tests/test_it.py::test_it[{b}]" for b in ("asyncio", "trio")}
    replays(inner, plugins=plugins, passed=2)


def test_only_the_passing_attempt_of_a_rerun_is_taped(inner):
    """The failed attempt's answers are no part of the tape."""
    inner.tests(
        """
        ATTEMPTS = iter([1, 2])

        def test_flaky():
            attempt = next(ATTEMPTS)
            ask(f"attempt {attempt}")
            ask("the same")
            assert attempt == 2
        """
    )
    plugins = ("pytest_rerunfailures",)
    inner.run(CAPTURE, "--reruns=1", plugins=plugins, passed=1, rerun=1)
    (tape,) = inner.tapes()
    assert [turn["ask"][-1] for turn in tape["turns"]] == ["attempt 2", "the same"]
    assert inner.provider.count == 4
    inner.tests("def test_flaky():\n    ask('attempt 2')\n    ask('the same')").run(passed=1)


def test_an_expected_failure_keeps_its_recordings_and_a_real_one_does_not(inner):
    """xfail passes as expected; a failed test's answers wait."""
    inner.tests(
        """
        @pytest.mark.xfail
        def test_xfails():
            ask("x")
            raise AssertionError

        def test_fails():
            ask("y")
            raise AssertionError
        """
    )
    inner.record(xfailed=1, failed=1)
    assert list(owners(inner)) == ["tests/test_it.py::test_xfails"]
    inner.run("tests/test_it.py::test_xfails", xfailed=1)


def test_a_test_that_fails_in_its_tear_down_has_not_passed(inner):
    """The verdict is that of set-up, call and tear-down."""
    inner.tests(
        """
        @pytest.fixture
        def breaks():
            yield
            raise RuntimeError("late")

        def test_it(breaks): ask("hi")
        """
    )
    inner.record(passed=1, error=1)
    assert owners(inner) == {}


def test_a_named_block_in_a_test_has_a_tape_of_its_own(inner):
    """An unnamed one's requests are the test's."""
    inner.tests(
        """
        import cas_llm as llm

        def test_it():
            with llm.use(name="block"): ask("in a named block")
            with llm.use(): ask("in a block")
            ask("in the test")
        """
    )
    inner.record(passed=1)
    assert owners(inner) == {"use::block": 1, "tests/test_it.py::test_it": 2}
    replays(inner, passed=1)


@pytest.fixture
def children(inner, tmp_path):
    """The project's Python children read cas_llm.pth, as where cas-llm is installed."""
    site = tmp_path / "site"
    site.mkdir()
    root = Path(cas_llm.__file__).parents[1]
    (site / "cas_llm.pth").write_bytes((root / "cas_llm.pth").read_bytes())
    offline = Path(__file__).parents[1] / "support" / "offline" / "sitecustomize.py"
    (tmp_path / "sitecustomize.py").write_text(
        f"import site, sys\nexec(open({str(offline)!r}).read())\nsite.addsitedir({str(site)!r})\n"
    )
    path = os.pathsep.join([str(tmp_path), inner.project.environment["PYTHONPATH"]])
    inner.project.env(PYTHONPATH=path)
    return inner


CHILD = """
    import subprocess, sys, multiprocessing, pathlib
    HERE = str(pathlib.Path(__file__).parent)

    def test_program():
        code = "import sys; sys.path.insert(0, sys.argv[1]); import llm; print(llm.ask('child'))"
        done = subprocess.run([sys.executable, "-c", code, HERE], capture_output=True, text=True)
        assert "child" in done.stdout, done.stderr

    def test_fork():
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert "forked" in pool.apply(ask, ("forked",))
        ask("parent")
"""


@pytest.mark.slow
def test_a_childs_requests_are_on_the_tape_of_the_test_that_started_it(children):
    """Programs and forks alike; what they miss fails the test."""
    children.tests(CHILD)
    refused = children.run(failed=2)
    assert '"child"' in refused.stdout
    children.record(passed=2)
    assert owners(children) == {
        "tests/test_it.py::test_program": 1,
        "tests/test_it.py::test_fork": 2,
    }
    replays(children, passed=2)
