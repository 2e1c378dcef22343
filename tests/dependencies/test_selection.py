"""What a change selects by a log, and every reason to doubt it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.dependencies.blobs import blob_id
from cas_llm.dependencies.fingerprint import Fingerprint
from cas_llm.dependencies.runlog import File, RunLog, Test
from cas_llm.dependencies.selection import Selection, Tree, affected

USED = (("ab" * 32, "cd" * 32),)
TEXTS = {
    "app/__init__.py": b"",
    "app/bot.py": b"from app import words\n",
    "app/words.py": b"WORD = 1\n",
    "app/loader.py": b"import_module(name)\n",
    "tests/conftest.py": b"",
    "tests/test_bot.py": b"from app import bot\n",
    "tests/test_words.py": b"import app.words, app.extra\n",
    "tests/test_plain.py": b"",
    "pyproject.toml": b"[tool.cas-llm]\n",
    "data/a.json": b"{}",
}
IDS = {path: blob_id(text) for path, text in TEXTS.items()}


def module(path, *imports, **more):
    return File(IDS[path], imports, **more)


LOG = RunLog(
    ".",
    roots=(".",),
    configuration={"pyproject.toml": IDS["pyproject.toml"]},
    plugins=("app/loader.py",),
    files={
        "app/__init__.py": module("app/__init__.py"),
        "app/bot.py": module("app/bot.py", "app/__init__.py", "app/words.py"),
        "app/words.py": module("app/words.py", reads=("data/a.json", "data/absent.json")),
        "app/loader.py": module("app/loader.py", dynamic=True),
        "tests/conftest.py": module("tests/conftest.py"),
        "tests/test_bot.py": module("tests/test_bot.py", "tests/conftest.py", "app/bot.py"),
        "tests/test_words.py": module(
            "tests/test_words.py", "app/words.py", names=("app", "app.words", "app.extra")
        ),
        "tests/test_plain.py": module("tests/test_plain.py"),
    },
    data={"data/a.json": IDS["data/a.json"], "data/absent.json": ""},
    tests={
        "tests/test_bot.py::test_a": Test("tests/test_bot.py", "passed", USED),
        "tests/test_words.py::test_b": Test("tests/test_words.py", "passed", USED),
        "tests/test_plain.py::test_c": Test("tests/test_plain.py", "passed"),
        "tests/test_plain.py::test_d": Test(
            "tests/test_plain.py", "passed", USED, lists=("cards",)
        ),
    },
)
A, B, C, D = LOG.tests


def tree(**edits):
    texts = TEXTS | {name.replace("__", "/"): text for name, text in edits.items()}
    return Tree({path: blob_id(text) for path, text in texts.items()}, texts.get)


def test_nothing_selects_nothing():
    """And leaves no doubt."""
    found = affected(LOG, {}, Fingerprint(), tree())
    assert found == affected(LOG, {})
    assert found == Selection()


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("app/words.py", {A, B}),
        ("app/bot.py", {A}),
        ("app/__init__.py", {A}),
        ("data/a.json", {A, B}),
        ("data/absent.json", {A, B}),
        ("app/extra.py", {B}),
        ("app/extra/__init__.py", {B}),
        ("cards/new.txt", {D}),
        ("cards/deeper/new.txt", {D}),
        ("tests/test_plain.py", {D}),
        ("README.md", set()),
        ("data/other.json", set()),
        (".venv/lib/app/words.py", set()),
    ],
)
def test_what_depends_on_a_file_is_selected(path, tests):
    """On what is imported, read, looked for in vain or listed; the rest is not."""
    assert affected(LOG, {path: b"new\n"}).tests.keys() == tests


@pytest.mark.parametrize("path", [path for path in TEXTS if path.startswith("app/")])
def test_a_deletion_selects_like_an_edit(path):
    """And says so."""
    gone, edited = affected(LOG, {path: None}), affected(LOG, {path: b"x = 1\n"})
    assert gone.tests.keys() == edited.tests.keys()
    assert all(why.endswith("deleted") for why in gone.tests.values())


def test_a_new_import_counts_at_once():
    """Of a module nobody knows, too, and through it."""
    changed = {
        "tests/test_plain.py": b"import fresh\n",
        "fresh.py": b"from app import bot\n",
        "app/words.py": b"WORD = 2\n",
    }
    assert affected(LOG, {p: changed[p] for p in changed if p != "tests/test_plain.py"}).tests == {
        A: "tests/test_bot.py imports app/bot.py, which imports app/words.py, changed",
        B: "tests/test_words.py imports app/words.py, changed",
    }
    assert affected(LOG, changed).others.keys() == {C}


def test_tests_without_requests_are_told_apart():
    """Unless an import made requests: then each may."""
    found = affected(LOG, {"tests/test_plain.py": b"\n"})
    assert found.others == {C: "tests/test_plain.py, changed"}
    found = affected(replace(LOG, shared=USED), {"tests/test_plain.py": b"\n"})
    assert found.tests.keys() == {C, D}


def test_what_everybody_depends_on_selects_all():
    """As a plugin that reads a file when the session starts."""
    log = replace(LOG, everybody=File("", reads=("data/session.txt",)))
    found = affected(log, {"data/session.txt": b""})
    assert found.tests.keys() | found.others.keys() == LOG.tests.keys()
    assert found.tests[A] == "every test depends on data/session.txt, added"


def test_an_opaque_test_is_affected_by_any_change():
    """By none if nothing changes."""
    tests = LOG.tests | {D: replace(LOG.tests[D], opaque="it failed when it last ran")}
    log = replace(LOG, tests=tests)
    assert affected(log, {}).tests == {}
    assert affected(log, {"README.md": b""}).tests == {
        D: f"{D} is affected by any change: it failed when it last ran"
    }


def test_a_module_that_starts_a_process_makes_its_users_opaque():
    """Whatever it starts may read anything."""
    files = LOG.files | {"app/words.py": replace(LOG.files["app/words.py"], starts="git")}
    found = affected(replace(LOG, files=files), {"README.md": b""})
    assert found.tests.keys() == {A, B}
    assert "app/words.py starts git" in found.tests[A]


def test_an_earlier_edit_is_told_apart():
    """Of a module or of data: nobody ran the tests since."""
    edited = tree(**{"app__bot.py": b"x = 1\n"})
    found = affected(LOG, {"README.md": b""}, tree=edited)
    assert (found.tests, found.behind.keys()) == ({}, {A})
    assert found.behind[A] == f"app/bot.py was edited after {A} last ran"
    read = affected(LOG, {}, tree=tree(**{"data__a.json": b"[]"}))
    assert read.behind.keys() == {A, B}


def test_an_edited_module_is_read_as_it_is_now():
    """Also where it was edited before this change."""
    edited = tree(**{"tests__test_plain.py": b"from app import bot\n"})
    found = affected(LOG, {"app/bot.py": b"x = 1\n"}, tree=edited)
    assert found.tests.keys() == {A, D}


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"tests/conftest.py": b"x = 1\n"}, "tests/conftest.py changed: it may change any test"),
        ({"tests/deep/conftest.py": b""}, "tests/deep/conftest.py added: it may change any test"),
        ({"tests/conftest.py": None}, "tests/conftest.py deleted: it may change any test"),
        ({"app/loader.py": b"\n"}, "app/loader.py changed: it may change any test"),
        ({"pyproject.toml": b"\n"}, "pyproject.toml changed after the tests last ran"),
        ({"pytest.ini": b"[pytest]\n"}, "pytest.ini changed after the tests last ran"),
        ({"tests/test_new.py": b""}, "tests/test_new.py never ran"),
        (
            {"app/bot.py": b"import_module(name)\n"},
            "app/bot.py changed: it imports by names made at run time",
        ),
        ({"app/bot.py": b"def (\n"}, "app/bot.py changed: it imports by names made at run time"),
    ],
)
def test_what_may_change_any_test_is_a_doubt(changed, doubt):
    """One reason in one line each."""
    assert affected(LOG, changed).doubts == (doubt,)


def test_what_ran_with_these_very_settings_is_no_doubt():
    """The run that wrote the log had the new text already."""
    assert affected(LOG, {"pyproject.toml": TEXTS["pyproject.toml"]}).doubts == ()


def test_another_world_is_a_doubt():
    """All that differs, in one line; settings that were edited before as well."""
    found = affected(LOG, {}, Fingerprint(python="cpython 3.99"))
    assert len(found.doubts) == 1
    assert "cpython 3.99" in found.doubts[0]
    edited = tree(**{"pyproject.toml": b"[tool.other]\n"})
    assert affected(LOG, {}, tree=edited).doubts == (
        "pyproject.toml changed after the tests last ran",
    )


def test_no_log_is_a_doubt():
    """And names the command that makes one."""
    (doubt,) = affected(None, {}).doubts
    assert "pytest" in doubt


PATHS = [*TEXTS, "app/extra.py", "cards/x.txt", "tests/test_new.py", "fresh.py", "README.md"]
CHANGED = st.sampled_from([None, b"", b"from app import bot\n", b"import fresh, app.extra\n"])
CHANGES = st.dictionaries(st.sampled_from(PATHS), CHANGED, max_size=4)


@given(CHANGES, CHANGES)
@settings(max_examples=150, deadline=None)
def test_more_changes_never_select_less(one, other):
    """Nor leave fewer doubts."""
    small, large = affected(LOG, one), affected(LOG, {**other, **one})
    assert small.tests.keys() <= large.tests.keys()
    assert small.others.keys() <= large.others.keys()
    assert small.files.keys() <= large.files.keys()
    assert len(small.doubts) <= len(large.doubts)
