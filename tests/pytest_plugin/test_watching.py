"""What the plugin notes of each test, and what a change of any of its sources selects."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.inner import FALLBACK, Inner
from support.projects import Project
from support.provider import ScriptedProvider

from cas_llm.dependencies import fingerprint, journal, runlog
from cas_llm.dependencies.selection import affected

CONFTEST = """
import pytest
from llm import ask

@pytest.fixture
def say():
    return ask
"""
FILES = {
    "pyproject.toml": '[tool.cas-llm]\n[tool.pytest.ini_options]\npythonpath = ["src", "."]\n',
    "docs/guide.md": "How to.\n",
    "src/shop/__init__.py": "",
    "src/shop/prompts.py": "GREETING = 'hello'\n",
    "src/shop/bot.py": "from shop.prompts import GREETING\n",
    "src/shop/greeting.txt": "good day\n",
    "src/shop/letters.py": """
        from functools import lru_cache
        from pathlib import Path

        @lru_cache
        def letter(name):
            return Path(__file__).with_name(name).read_text()
        """,
    "src/shop/menu.json": '["soup"]\n',
    "src/shop/menu.py": """
        import json
        from pathlib import Path
        with open(Path(__file__).with_name("menu.json")) as file:
            MENU = json.load(file)
        """,
    "src/shop/later.py": "WORD = 'later'\n",
    "src/shop/lazy.py": "def word():\n    from . import later\n    return later.WORD\n",
    "src/shop/plug_red.py": "WORD = 'red'\n",
    "src/shop/plug_blue.py": "WORD = 'blue'\n",
    "src/shop/loader.py": """
        import importlib

        def load(name):
            return importlib.import_module("shop.plug_" + name).WORD
        """,
    "src/shop/cards/one.card": "a card\n",
    "src/shop/cards.py": "import paste\nfrom pathlib import Path\n"
    'FOLDER = paste.Folder(Path(__file__).with_name("cards"))\n',
    "src/shop/red_card.py": "from shop.cards import FOLDER\ndef card(): return FOLDER.get('one')\n",
    "src/shop/blue_card.py": "from shop.cards import FOLDER\ndef card(): return FOLDER.get('one')\n",
    "company/tools/words.py": "WORD = 'tools'\n",
    "stories/one.txt": "once\n",
    "stories/more/two.txt": "twice\n",
    "tests/conftest.py": CONFTEST,
    "tests/test_code.py": "from shop import bot\ndef test_it(say): say(bot.GREETING)\n",
    "tests/test_plain.py": "from shop import bot\ndef test_it(): assert bot.GREETING\n",
    "tests/test_letter.py": "from shop.letters import letter\n"
    "def test_one(say): say(letter('greeting.txt'))\n"
    "def test_two(say): say(letter('greeting.txt') * 2)\n",
    "tests/test_menu.py": "import shop.menu\ndef test_it(say): say(shop.menu.MENU[0])\n",
    "tests/test_lazy.py": "from shop import lazy\ndef test_it(say): say(lazy.word())\n",
    "tests/test_loader.py": "from shop.loader import load\ndef test_it(say): say(load('red'))\n",
    "tests/test_red.py": "from shop.red_card import card\ndef test_it(say): say(card())\n",
    "tests/test_blue.py": "from shop.blue_card import card\ndef test_it(say): say(card() * 2)\n",
    "tests/test_words.py": "from company.tools import words\ndef test_it(say): say(words.WORD)\n",
    "tests/test_stories.py": """
        from pathlib import Path
        def test_it(say):
            say("".join(p.read_text() for p in sorted(Path("stories").rglob("*.txt"))))
        """,
    "tests/test_many.py": """
        import pytest
        from company import numbers

        @pytest.mark.parametrize("number", numbers.ALL)
        def test_it(say, number):
            say(str(number))
        """,
    "company/numbers.py": "ALL = [1, 2]\n",
    "tests/test_child.py": """
        import subprocess, sys
        def test_it(say):
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            say("child")
        """,
    "tests/people/conftest.py": """
        import pathlib, pytest
        from llm import ask

        @pytest.fixture(scope="session")
        def people():
            return ask(pathlib.Path("tests/people/names.txt").read_text())
        """,
    "tests/people/names.txt": "Ada\n",
    "tests/people/test_people.py": "def test_one(people): assert people\n"
    "def test_two(people): assert people\n",
}
PASTE = """
class Folder:
    def __init__(self, place):
        self.place, self.found = place, {}

    def get(self, name):
        if name not in self.found:
            self.found[name] = (self.place / (name + ".card")).read_text()
        return self.found[name]
"""
ASKING = {
    *("code", "letter", "menu", "lazy", "loader", "red", "blue", "words", "stories", "many"),
    *("child", "people"),
}
CHANGES = {
    "src/shop/prompts.py": {"code"},
    "src/shop/bot.py": {"code"},
    "src/shop/greeting.txt": {"letter"},
    "src/shop/menu.json": {"menu"},
    "src/shop/menu.py": {"menu"},
    "src/shop/later.py": {"lazy"},
    "src/shop/plug_red.py": {"loader"},
    "src/shop/plug_blue.py": set(),
    "src/shop/cards/one.card": {"red", "blue"},
    "src/shop/cards.py": {"red", "blue"},
    "company/tools/words.py": {"words"},
    "company/numbers.py": {"many"},
    "stories/one.txt": {"stories"},
    "tests/people/names.txt": {"people"},
    "tests/people/conftest.py": {"people"},
    "tests/conftest.py": ASKING,
    "tests/llm.py": ASKING,
    "tests/test_words.py": {"words"},
    "docs/guide.md": set(),
    "README.md": set(),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A project with a test for each way to depend on a file, recorded once."""
    with ScriptedProvider() as provider:
        inner = Inner(Project(tmp_path_factory.mktemp("shop")), provider)
        for name, text in FILES.items():
            inner.project.file(name, text)
        library = inner.project.home / "site-packages"
        (library / "paste").mkdir(parents=True)
        (library / "paste" / "__init__.py").write_text(PASTE)
        search = inner.project.environment["PYTHONPATH"]
        inner.project.env(PYTHONPATH=os.pathsep.join((search, str(library))))
        inner.record("tests", passed=16)
        yield inner


@pytest.fixture(scope="module")
def log(shop):
    """What is known after the first run."""
    return known(shop)


def known(inner):
    found = runlog.read(inner.project.path / "cache_store" / ".local", ".")
    assert found is not None
    return found


def words(selected):
    """Which test files *selected* tests lie in, less what each file's name begins and ends with."""
    return {name.partition("::")[0].rpartition("test_")[2].removesuffix(".py") for name in selected}


def test_tests_that_ask_an_llm_are_known(log):
    """By their own requests and those of the wider fixtures they ask for."""
    assert words(log.llm_tests()) == ASKING
    assert words(log.tests) == ASKING | {"plain"}
    people = log.tests["tests/people/test_people.py::test_two"]
    assert len(people.used) == 1
    assert not people.tapes, "what was recorded anew was on no tape yet"


def test_a_later_run_knows_the_tapes(shop, log):
    """Those that served, as the scope's own tape did."""
    shop.run("tests/test_code.py", passed=1)
    after = known(shop)
    assert len(after.tests["tests/test_code.py::test_it"].tapes) == 1
    assert after.tests.keys() == log.tests.keys()
    assert after.files == log.files


@pytest.mark.parametrize(("path", "expected"), CHANGES.items(), ids=list(CHANGES))
def test_a_change_selects_what_depends_on_it(log, path, expected):
    """And nothing else but the test whose child process may read anything."""
    found = affected(log, {path: b"# another text\n"})
    assert words(found.tests) == expected | {"child"}
    for name, why in found.tests.items():
        assert path in why or "test_child" in name


def test_a_deletion_is_a_change(log):
    """Of a module and of a file that is read."""
    assert words(affected(log, {"src/shop/later.py": None}).tests) == {"lazy", "child"}
    assert words(affected(log, {"stories/more/two.txt": None}).tests) == {"stories", "child"}


@pytest.mark.parametrize("path", ["stories/new.txt", "stories/more/new.txt", "stories/a/b/c.txt"])
def test_a_new_file_in_a_listed_folder_selects_who_lists_it(log, path):
    """Also where the folder is new."""
    assert words(affected(log, {path: b"new"}).tests) == {"stories", "child"}


def test_a_test_that_asks_nothing_is_told_apart(log):
    """It may begin to ask with the change."""
    found = affected(log, {"src/shop/prompts.py": b"GREETING = 'x'\n"})
    assert words(found.others) == {"plain"}
    assert found.doubts == ()


def test_why_is_a_chain_that_a_person_can_read(log):
    """From the test to what changed."""
    found = affected(log, {"src/shop/prompts.py": b"x = 1\n", "src/shop/menu.json": b"[]"})
    assert found.tests["tests/test_code.py::test_it"] == (
        "tests/test_code.py imports src/shop/bot.py, which imports src/shop/prompts.py, changed"
    )
    assert found.tests["tests/test_menu.py::test_it"] == (
        "tests/test_menu.py imports src/shop/menu.py, which reads src/shop/menu.json, changed"
    )
    assert "starts" in found.tests["tests/test_child.py::test_it"]


def test_an_edited_module_is_read_anew(log):
    """What it imports now counts, and what it imported, too."""
    edited = {"src/shop/bot.py": b"from shop.later import WORD as GREETING\n"}
    found = affected(log, {**edited, "src/shop/later.py": b"WORD = 1\n"})
    assert words(found.tests) == {"code", "lazy", "child"}


def test_the_world_is_as_it_was(shop, log):
    """A fingerprint of the same Python and environment does not differ; another variable does."""
    variables = {name: shop.project.environment[name] for name in ("OPENAI_BASE_URL",)}
    now = fingerprint.take(variables)
    differing = [d for d in log.fingerprint.differences(now) if "paste" not in d]
    assert differing == []
    other = fingerprint.take({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    assert list(log.fingerprint.differences(other)) == ["OPENAI_BASE_URL differs now"]


@pytest.mark.slow
def test_workers_know_together_what_one_process_knows(shop, log):
    """Whoever ran a test, its files are its files."""
    shop.run("-n", "2", "tests", plugins=("xdist",), passed=16)
    after = known(shop)
    assert after.tests.keys() == log.tests.keys()
    assert after.llm_tests().keys() == log.llm_tests().keys()
    for path, expected in CHANGES.items():
        found = affected(after, {path: b"# another text\n"})
        assert words(found.tests) == expected | {"child"}, path
    assert not list((shop.project.path / "cache_store/.local/runs").glob("*.tests"))


def test_a_killed_run_leaves_what_it_knew(inner, tmp_path):
    """Every test that ended, however the run did."""
    flag = tmp_path / "slow"
    inner.tests(
        f"""
        import time, pathlib
        def test_quick(): ask("quick")
        def test_slow():
            if not pathlib.Path({str(flag)!r}).exists():
                pathlib.Path({str(flag)!r}).touch()
                time.sleep(60)
        """
    )
    inner.record("-k", "quick", passed=1, deselected=1)
    line = [sys.executable, "-m", "pytest", "-p", "cas_llm.pytest_plugin"]
    process = subprocess.Popen(
        line,
        cwd=inner.project.path,
        env=inner.project.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not flag.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (left,) = journal.left(inner.project.path / "cache_store" / ".local")
    assert left.pid == process.pid
    assert [(one.test, one.outcome) for one in left.finished] == [
        ("tests/test_it.py::test_quick", "passed")
    ]
    assert len(left.finished[0].used) == len(left.finished[0].tapes) == 1


def test_a_miss_is_noted(inner):
    """With its key, and the test as one that asks."""
    inner.tests("def test_a(): ask('a')\n").record(passed=1)
    inner.tests("def test_a(): ask('b')\n").run(failed=1)
    test = known(inner).tests["tests/test_it.py::test_a"]
    assert (test.outcome, len(test.missed)) == ("failed", 1)
    assert "failed" in test.opaque


@pytest.mark.slow
def test_nothing_is_kept_where_nothing_replays(inner):
    """In DISABLED every test would look like one that asks nothing."""
    inner.tests("def test_a(): ask('a')\n").record(passed=1)
    before = known(inner)
    inner.run("--cas-llm=disabled", passed=1)
    assert known(inner) == before


@pytest.mark.slow
def test_a_log_that_cannot_be_written_fails_no_test(inner):
    """What it would hold is unknown then, and the lines of the run go all the same."""
    place = inner.project.path / "cache_store" / ".local"
    inner.tests("def test_a(): ask('a')\n").record(passed=1)
    (place / "tests" / "all.json").unlink()
    (place / "tests").rmdir()
    (place / "tests").write_text("a file where the folder should be")
    inner.run(passed=1)
    assert runlog.read(place, ".") is None
    assert list((place / "runs").iterdir()) == []


@pytest.mark.slow
def test_a_part_of_the_tests_leaves_the_others_as_they_were(inner):
    """But for those that depend on a file which was edited since."""
    inner.project.file("app.py", "WORD = 'a'\n").file("other.py", "WORD = 'b'\n")
    head = "import sys; sys.path.insert(0, '.')\n"
    inner.tests(f"{head}import app\ndef test_a(): ask(app.WORD)\n", "tests/test_a.py")
    inner.tests(f"{head}import app\ndef test_b(): ask(app.WORD)\n", "tests/test_b.py")
    inner.tests(f"{head}import other\ndef test_c(): ask(other.WORD)\n", "tests/test_c.py")
    inner.record(passed=3)
    inner.project.file("app.py", "WORD = 'z'\n")
    inner.run(FALLBACK, "tests/test_a.py", passed=1)
    log = known(inner)
    assert {name: test.behind for name, test in log.tests.items()} == {
        "tests/test_a.py::test_a": (),
        "tests/test_b.py::test_b": ("app.py",),
        "tests/test_c.py::test_c": (),
    }
    found = affected(log, {"README.md": b""})
    assert words(found.behind) == {"b"}
    assert found.tests == {}
