"""The guard in projects that are set up in other ways than most."""

from __future__ import annotations

import sys

import pytest
from support.deeds import Person, found, recorded, write
from support.guarded import TABLE

pytestmark = pytest.mark.slow

ONE = "tests/test_one.py"


def test_each_project_of_a_monorepo_is_judged_by_its_own_store(new: Person) -> None:
    """One at the top and one below: an edit in each is missed in each, with its own paths."""
    for folder in ("", "packages/one"):
        write(new, folder, "from llm import ask\n\ndef test_it():\n    assert ask('Ada')\n")
        recorded(new, "tests", folder=folder)
    assert (new.project.path / "packages/one/cache_store/format").is_file()
    for folder in ("", "packages/one/"):
        new.edit(f"{folder}tests/test_it.py", "Ada", "Bob")
    new.add(".")
    said = new.guarded.hook("replayable").stdout.splitlines()
    starts = {line.partition(" ")[0] for line in said if not line.startswith(" ")}
    assert starts == {"tests/test_it.py:", "packages/one/tests/test_it.py:"}
    assert found(new) == ["CAS070", "CAS070"]
    assert found(new, "verify") == []


OUTSIDE = (
    "[tool.cas-llm]\nstore = '../recordings of all'\n[tool.pytest.ini_options]\npythonpath='.'\n"
)


def outside(new: Person) -> None:
    write(new, "app", "from llm import ask\n\ndef test_it():\n    assert ask('Ada')\n")
    new.project.file("app/pyproject.toml", OUTSIDE)
    recorded(new, "tests", folder="app")
    assert (new.project.path / "recordings of all/format").is_file()


def test_a_store_outside_the_project_belongs_to_it(new: Person) -> None:
    """A change of that store alone runs the project's tests; commands name it, blanks quoted."""
    outside(new)
    tape = next((new.project.path / "recordings of all/manifest/tapes").rglob("*.json"))
    new.project.git("rm", "-q", str(tape))
    assert found(new) == ["CAS070"]
    assert "git add ':/recordings of all'" in new.guarded.hook("replayable").stdout


def test_a_store_outside_the_project_is_found_by_who_asks(new: Person) -> None:
    """`--all-files`: its project is not above it."""
    outside(new)
    tape = next((new.project.path / "recordings of all/manifest/tapes").rglob("*.json"))
    new.edit("app/tests/test_it.py", "Ada", "Bob").add(".")
    new.project.commit("An edit")
    result = new.project.run(
        sys.executable, "-m", "cas_llm.hook", "replayable", env={"PRE_COMMIT": "1"}
    )
    assert "app/tests/test_it.py: CAS070" in result.stdout, result
    assert tape.exists()


def test_a_push_of_a_module_beside_the_projects_reaches_their_tests(new: Person) -> None:
    """libs/ lies in no project; a project's tests import it."""
    new.project.file("libs/words.py", "PROMPT = 'Greet Ada'\n")
    write(
        new,
        "app",
        "from words import PROMPT\nfrom llm import ask\n\ndef test_it():\n    assert ask(PROMPT)\n",
    )
    new.project.file("app/pyproject.toml", f"{TABLE[:-1]}\n".replace("'.'", "'. ../libs'"))
    recorded(new, "tests", folder="app")
    recorded(new, "tests", folder="app")
    base = new.project.git("rev-parse", "HEAD").strip()
    new.edit("libs/words.py", "Ada", "Bob").add(".")
    new.project.commit("A prompt")
    assert found(new, PRE_COMMIT_FROM_REF=base, PRE_COMMIT_TO_REF="HEAD") == ["CAS070"]


def elsewhere(new: Person) -> None:
    write(new, "", "from llm import ask\n\ndef test_it():\n    assert ask('Ada')\n")
    new.project.file("pyproject.toml", "[tool.cas-llm]\n")
    new.project.file("tests/pytest.ini", "[pytest]\npythonpath = .\n")
    recorded(new, "tests")
    recorded(new, "tests")
    assert next(new.project.path.rglob("manifest/tapes/test_it.py/test_it.*.json"))


def test_ids_that_start_below_the_project_are_found(new: Person) -> None:
    """tests/pytest.ini makes pytest call tests/test_it.py test_it.py."""
    elsewhere(new)
    tape = next((new.project.path / "cache_store/manifest/tapes").rglob("*.json"))
    new.project.git("rm", "-q", str(tape))
    assert found(new) == ["CAS070"]


def test_ids_that_start_below_the_project_are_stale_with_their_test(new: Person) -> None:
    """The test is deleted, and its tape is not."""
    elsewhere(new)
    new.project.git("rm", "-q", "tests/test_it.py")
    assert found(new, "stale") == ["CAS081"]


ADDED = {
    "an early end": "-x --exitfirst --maxfail=1 --stepwise --lf",
    "workers": "-p xdist -n 2",
    "reports": "--junitxml=report.xml --cas-llm-report=report.json --basetemp=temporary",
    "strict": "--strict-config --strict-markers -W error -v -s --tb=no",
    "nothing is run": "--collect-only",
    "nothing is run either": "--setup-plan",
    "a choice": "-p no:cacheprovider -k thanks",
    "reruns": "-p pytest_rerunfailures --reruns 2",
    "another mode and store": "--cas-llm=fallback --cas-llm-store=other",
}


@pytest.mark.parametrize("options", ADDED.values(), ids=ADDED)
def test_a_projects_own_options_change_no_verdict(ada: Person, options: str) -> None:
    """Both tests are edited, both are missed, and nothing is written for it."""
    ada.project.file("pyproject.toml", f'{TABLE}addopts = "{options}"\n')
    ada.edit(ONE, "Thank Ada", "Thank Bob").edit("tests/test_two.py", "Wave at Ada", "Wave")
    ada.add(".")
    assert found(ada) == ["CAS070", "CAS070"]


def test_recorded_tests_are_run_whatever_the_options_leave_out(ada: Person) -> None:
    """`-m "not slow"` in addopts: what was recorded once is to be replayed."""
    ada.project.file("pyproject.toml", f"{TABLE}addopts = \"-m 'not slow'\"\nmarkers = ['slow']\n")
    text = ada.project.read(ONE).replace("def test_thanks", "@pytest.mark.slow\ndef test_thanks")
    ada.project.file(ONE, f"import pytest\n{text}".replace("Thank Ada", "Thank Bob"))
    ada.add(".")
    assert found(ada) == ["CAS070"]


def test_who_was_never_recorded_and_is_left_out_is_said_to_be_not_checked(ada: Person) -> None:
    """`-m "not live"` in addopts: nobody replays such a test."""
    ada.project.file("pyproject.toml", f"{TABLE}addopts = \"-m 'not live'\"\nmarkers = ['live']\n")
    ada.project.file(
        "tests/test_live.py",
        """
        import pytest
        from llm import ask

        @pytest.mark.live
        def test_live():
            assert ask("Live")
        """,
    )
    ada.add(".")
    assert found(ada) == ["CAS073"]
    said = ada.guarded.hook("replayable").stdout
    assert (
        "not checked: tests/test_live.py::test_live: the project's own options leave it out" in said
    )


MADE = {
    "unittest": """
        import unittest
        from llm import ask

        class Greets(unittest.TestCase):
            def test_it(self):
                assert ask("Ada")
        """,
    "a class": """
        from llm import ask

        class TestGreets:
            class TestInner:
                def test_it(self):
                    assert ask("Ada")
        """,
    "odd parameters": """
        import pytest
        from llm import ask

        @pytest.mark.parametrize("word", ["a/b", "a::b", "a b", "[x]", "ü", "a\\nb"])
        def test_it(word):
            assert ask(f"Ada {word}")
        """,
    "a wider fixture": """
        import pytest
        from llm import ask

        @pytest.fixture(scope="module")
        def greeting():
            return ask("Ada")

        def test_it(greeting):
            assert greeting
        """,
    "a named block": """
        import cas_llm
        from llm import ask

        def test_it():
            with cas_llm.use(name="greeting"):
                assert ask("Ada")
        """,
    "a cached function": """
        import cas_llm

        @cas_llm.cached
        def greet(name):
            return f"Hello {name}"

        def test_it():
            assert greet("Ada")
        """,
    "generated": """
        from llm import ask

        def test_it(word):
            assert ask(f"Ada {word}")
        """,
    "async": """
        import asyncio
        from llm import ask

        def test_it():
            assert asyncio.run(asyncio.to_thread(ask, "Ada"))
        """,
}


GENERATING = """
def pytest_generate_tests(metafunc):
    marked = metafunc.definition.get_closest_marker("parametrize")
    if "word" in metafunc.fixturenames and not marked:
        metafunc.parametrize("word", ["one", "two"])
"""


@pytest.mark.parametrize("pattern", ["", "manifest/*/**/*", "objects/*/*.json"])
def test_every_kind_of_test_is_found_by_its_text_and_by_its_recordings(
    new: Person, pattern: str
) -> None:
    """Its prompt is edited, its tapes go, or its answers go: each keeps it from replaying."""
    files = {f"tests/test_{number}.py": text for number, text in enumerate(MADE.values())}
    for name, text in files.items():
        write(new, "", text.replace("Ada", f"Ada in {name}"), name)
    new.project.file("tests/conftest.py", GENERATING)
    recorded(new, "tests")
    recorded(new, "tests")
    for name in () if pattern else files:
        new.edit(name, "Ada", "Bob").add(name)
    for path in list((new.project.path / "cache_store").glob(pattern)) if pattern else ():
        if path.is_file():
            path.unlink()
    new.add(".")
    lines = new.guarded.hook("replayable").stdout.splitlines()
    assert {line.partition(":")[0] for line in lines if " CAS070 error: " in line} == set(files)


def test_a_test_in_a_folder_with_brackets_is_run(new: Person) -> None:
    """A bracket begins a parameter's id only in a test's name."""
    write(
        new, "", "from llm import ask\n\ndef test_it():\n    assert ask('Ada')\n", "t[x]/test_it.py"
    )
    recorded(new)
    new.edit("t[x]/test_it.py", "Ada", "Bob").add(".")
    assert found(new) == ["CAS070"]
    new.project.git("rm", "-q", "-f", "t[x]/test_it.py")
    assert found(new, "stale") == ["CAS081"]
