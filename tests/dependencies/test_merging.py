"""What is known after a run, from what it wrote and what was known before."""

import time
from dataclasses import replace

import pytest

from cas_llm.dependencies import journal, runlog
from cas_llm.dependencies.blobs import id_of
from cas_llm.dependencies.fingerprint import Fingerprint
from cas_llm.dependencies.journal import Finished, Journal, Lines
from cas_llm.dependencies.merging import Facts, merged
from cas_llm.dependencies.runlog import RunLog, Test
from cas_llm.dependencies.witness import IMPORT, LIST, READ, START, Seen

USED = (("ab" * 32, "cd" * 32),)
FILES = {
    "app.py": "WORD = 1\n",
    "loader.py": "import_module(name)\n",
    "plug.py": "",
    "env.py": "import jinja2\n",
    "one.py": "import env\n",
    "two.py": "import env\n",
    "conftest.py": "",
    "tests/test_a.py": "import app\n",
    "tests/test_b.py": "import app, loader\n",
    "tests/test_c.py": "import one\n",
    "data.json": "{}",
}
A, B, C = "tests/test_a.py::test_it", "tests/test_b.py::test_it", "tests/test_c.py::test_it"


@pytest.fixture
def run(tmp_path):
    """A run that wrote what it is told, after what was known before."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(*names, before=None, seen=(), outcome="passed", facts=None, **more):
        done = [Finished(name, name.partition("::")[0], outcome, USED) for name in names]
        lines = Lines(1, tuple(done), seen=tuple(seen), roots=(".",), **more)
        given = {"top": tmp_path, "suite": ".", "algorithm": "sha1", "began": time.time() + 5}
        return merged(before, lines, Facts(**given | (facts or {})))

    run.top = tmp_path
    return run


def test_a_run_knows_its_tests_and_their_files(run):
    """Whatever they import, with the ids that git gives."""
    log = run(A, C)
    assert log.tests == {name: Test(name.partition("::")[0], "passed", USED) for name in (A, C)}
    assert log.files["tests/test_a.py"].imports == ("app.py", "conftest.py")
    assert log.files["app.py"].id == id_of(run.top / "app.py")
    assert {"env.py", "one.py"} <= log.files.keys()
    assert not {"two.py", "plug.py"} & log.files.keys()


def test_a_log_survives_the_disk(run):
    """What is read is what was written, odd names too."""
    log = run(A, B, seen=[Seen("app.py", READ, "data.json"), Seen("app.py", READ, "\udcff.txt")])
    again = runlog.decoded(runlog.encoded(log))
    assert runlog.encoded(again) == runlog.encoded(log)
    assert again.files == log.files


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format": "cas-llm/tests/9"}', b"\xff"])
def test_what_is_no_log_is_refused(data, tmp_path):
    """By one error, whatever it is."""
    with pytest.raises(ValueError):
        runlog.decoded(data)
    path = runlog.path_of(tmp_path, ".")
    path.parent.mkdir()
    path.write_bytes(data)
    assert runlog.read(tmp_path, ".") is None
    with pytest.raises(ValueError):
        list(runlog.read_all(tmp_path))


def test_what_was_seen_belongs_to_the_file_whose_code_asked(run):
    """Imports made at run time, files, folders and processes."""
    seen = [
        Seen("loader.py", IMPORT, "plug.py"),
        Seen("app.py", READ, "data.json"),
        Seen("app.py", READ, "absent.json"),
        Seen("app.py", LIST, "cards"),
        Seen("plug.py", START, "git"),
        Seen(f"::{A}", READ, "own.txt"),
        Seen("*", READ, "session.txt"),
    ]
    log = run(A, B, seen=seen)
    assert log.files["loader.py"].imports == ("plug.py",)
    assert log.files["app.py"].reads == ("absent.json", "data.json")
    assert log.files["app.py"].lists == ("cards",)
    assert log.files["plug.py"].starts == "git"
    assert log.tests[A].reads == ("own.txt",)
    assert log.everybody.reads == ("session.txt",)
    assert log.data["data.json"] == id_of(run.top / "data.json")
    assert log.data["absent.json"] == ""


def test_what_a_package_read_belongs_to_all_that_share_its_object(run):
    """`env.py` made what `one.py` read through, and what `two.py` would be served from."""
    log = run(C, seen=[Seen("one.py", READ, "page.html", ("jinja2",))], modules=("two.py",))
    assert log.files["one.py"].reads == log.files["env.py"].reads == ("page.html",)
    log = run(C, seen=[Seen("one.py", READ, "page.html", ("unknown",))])
    assert log.files["env.py"].reads == ("page.html",), "nobody says who made it"


def test_a_module_that_nobody_seems_to_import_is_everybodys(run):
    """A framework did, by a name that only it knows."""
    assert run(A, modules=("app.py", "plug.py")).everybody.imports == ("plug.py",)


def test_what_did_not_run_stays_as_it_was(run):
    """Also what its files were seen to read."""
    seen = [Seen("app.py", READ, "data.json"), Seen("loader.py", IMPORT, "plug.py")]
    before = run(A, B, seen=seen)
    after = run(A, before=before)
    assert after == before
    alone = run(A, B, before=before)
    assert alone.files["app.py"].reads == (), "all that need it ran, and none read it"


def test_an_edit_leaves_behind_who_did_not_run(run):
    """Of a module, and of data that somebody read again."""
    before = run(A, B, C, seen=[Seen("app.py", READ, "data.json")])
    (run.top / "data.json").write_text("[]")
    after = run(A, before=before, seen=[Seen("app.py", READ, "data.json")])
    assert {name: test.behind for name, test in after.tests.items()} == {
        A: (),
        B: ("data.json",),
        C: (),
    }
    again = run(B, before=after, seen=[Seen("app.py", READ, "data.json")])
    assert again.tests[B].behind == ()


def test_a_file_edited_during_the_run_has_no_known_text(run):
    """Nobody knows which text the tests ran with."""
    log = run(A, facts={"began": 0.0})
    assert log.files["app.py"].id not in {"", id_of(run.top / "app.py")}


def test_a_test_that_failed_is_not_known(run):
    """What it would have used is what it used before."""
    before = run(A)
    log = merged(
        before,
        Lines(1, (Finished(A, "tests/test_a.py", "failed"),), roots=(".",)),
        Facts(run.top, ".", "sha1", time.time() + 5),
    )
    assert log.tests[A].used == USED
    assert log.tests[A].opaque == "it failed when it last ran"
    assert run(A, before=log).tests[A].opaque == ""


def test_a_skipped_test_stays_as_it_was(run):
    """It is unknown only where it never ran."""
    before = run(A)
    assert run(A, before=before, outcome="skipped").tests == before.tests
    assert run(A, outcome="skipped").tests[A].opaque == "it was skipped when it last ran"


def test_a_test_that_is_gone_is_forgotten(run):
    """Told by its file, or by a run that looked for all tests."""
    before = run(A, B, C)
    (run.top / "tests" / "test_c.py").unlink()
    assert run(A, before=before).tests.keys() == {A, B}
    assert run(A, before=before, facts={"collected": frozenset({A})}).tests.keys() == {A}


def test_another_world_makes_what_did_not_run_opaque(run):
    """Other distributions, or other settings."""
    (run.top / "pytest.ini").write_text("[pytest]\n")
    facts = {"fingerprint": Fingerprint("3.11"), "configuration": ("pytest.ini",)}
    before = run(A, B, facts=facts)
    other = run(A, before=before, facts=facts | {"fingerprint": Fingerprint("3.12")})
    assert (other.tests[A].opaque, "3.12" in other.tests[B].opaque) == ("", True)
    (run.top / "pytest.ini").write_text("[pytest]\naddopts = -q\n")
    settings = run(A, before=before, facts=facts)
    assert settings.tests[B].opaque == "since it last ran, pytest.ini changed"


def test_tests_that_use_nothing_are_kept_by_name(run):
    """And come back as they were."""
    lines = Lines(1, plain={A: "tests/test_a.py"}, roots=(".",))
    log = merged(None, lines, Facts(run.top, ".", "sha1", time.time() + 5))
    assert log.tests == {A: Test("tests/test_a.py", "passed")}
    assert runlog.decoded(runlog.encoded(log)).tests == log.tests
    assert log.llm_tests() == {}
    assert replace(log, shared=USED).llm_tests() == log.tests
    assert run(A, before=log).tests[A].used == USED


def test_lines_of_several_processes_are_one_run(tmp_path):
    """What is cut off is left out; the last word on a test counts."""
    for worker, outcome in (("gw0", "failed"), ("gw1", "passed")):
        writer = Journal(tmp_path, worker, 7)
        writer.write(Finished(A, "a.py", outcome, USED), [Seen("", READ, "x")], (".",))
        writer.write_plain(f"{B}{worker}", "b.py")
        writer.close([Seen("*", LIST, "y")], (".", worker), modules=["m.py"], shared=USED)
    with (tmp_path / "gw2.jsonl").open("wb") as file:
        file.write(b'{"test": "whole", "file": "c.py", "outcome": "passed"}\n{"test": "cut')
    lines = journal.read(tmp_path)
    assert [(one.test, one.outcome) for one in lines.finished] == [
        (A, "passed"),
        ("whole", "passed"),
    ]
    assert lines.plain == {f"{B}gw0": "b.py", f"{B}gw1": "b.py"}
    assert set(lines.seen) == {Seen(f"::{A}", READ, "x"), Seen("*", LIST, "y")}
    assert (lines.pid, lines.modules, lines.shared) == (7, ("m.py",), USED)
    assert lines.roots == (".", "gw0", "gw1")


def test_a_journal_that_cannot_be_written_is_silent(tmp_path):
    """A test never fails for it."""
    (tmp_path / "file").write_text("")
    writer = Journal(tmp_path / "file" / "folder", "main", 1)
    writer.write(Finished(A, "a.py", "passed", USED), [], ())
    writer.close([], ())
    assert journal.read(tmp_path / "file" / "folder") == Lines(0)


def test_suites_have_logs_of_their_own(tmp_path):
    """By the folder that pytest calls its root."""
    for suite in (".", "one/app", "two/app"):
        path = runlog.path_of(tmp_path, suite)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(runlog.encoded(RunLog(suite)))
    assert {log.suite for log in runlog.read_all(tmp_path)} == {".", "one/app", "two/app"}
    assert list(runlog.read_all(tmp_path / "absent")) == []
