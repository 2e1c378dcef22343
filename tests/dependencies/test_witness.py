"""What a process reads, lists, imports and starts is seen, and whose code asked for it."""

import contextlib
import importlib.util
import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from cas_llm.dependencies.witness import IMPORT, LIST, READ, START, Seen, Witness

ASKS = """
import os, pathlib, sqlite3, subprocess, sys

def read(path): return pathlib.Path(path).read_bytes()
def write(path): pathlib.Path(path).write_bytes(b"")
def ls(path): return os.listdir(path)
def walk(path): return list(os.walk(path))
def sql(path): sqlite3.connect(path).close()
def start(*words): subprocess.run(words, check=False)
"""


@pytest.fixture
def top(tmp_path, monkeypatch):
    """A project with one module, which asks for what it is told."""
    (tmp_path / "asks.py").write_text(ASKS)
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "b.txt").write_text("b")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asks(top):
    """The module, imported before anybody looks."""
    return load(top / "asks.py")


@pytest.fixture
def witness(top, asks):
    found = Witness(top, (top / "store",))
    found.start()
    yield found
    found.stop()


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reads_belong_to_the_code_that_asks(witness, asks, top):
    """By any way to name the file, and whether it is there or not."""
    asks.read(top / "a.txt")
    asks.read("a.txt")
    with pytest.raises(FileNotFoundError):
        asks.read(b"absent.txt".decode())
    asks.sql("base.db")
    assert set(witness.take()) == {
        Seen("asks.py", READ, "a.txt"),
        Seen("asks.py", READ, "absent.txt"),
        Seen("asks.py", READ, "base.db"),
    }
    assert witness.take() == []


def test_listings_are_seen(witness, asks):
    """Of the current folder and of all below."""
    asks.ls(".")
    asks.ls(None)
    asks.walk(".")
    found = witness.take()
    assert {seen.target for seen in found} == {".", "deep"}
    assert {(seen.owner, seen.kind) for seen in found} == {("asks.py", LIST)}


def test_what_is_written_is_not_read(witness, asks):
    """Nor is a file of the store, one elsewhere, or a database in memory."""
    asks.write("new.txt")
    asks.read("store/b.txt")
    asks.read(os.devnull)
    asks.sql(":memory:")
    with contextlib.closing(sqlite3.connect(":memory:")):
        pass
    assert witness.take() == []


def test_without_the_projects_code_it_is_the_contexts(witness, top):
    """The running test's, or everybody's."""
    (top / "a.txt").read_bytes()
    witness.context = ""
    os.listdir(top)
    assert [seen[:3] for seen in witness.take()] == [("*", READ, "a.txt"), ("", LIST, ".")]


def test_imports_at_run_time_are_seen(witness, top):
    """With the module that asks for them; what pytest collects has none."""
    (top / "plug.py").write_text("X = 1\n")
    (top / "user.py").write_text(
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('plug', 'plug.py')\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
    )
    load(top / "user.py")
    assert Seen("user.py", IMPORT, "plug.py") in witness.take()


def test_processes_are_seen(witness, asks):
    """But for those that only ask what machine this is."""
    asks.start(sys.executable, "-c", "pass")
    asks.start("uname")
    found = [seen for seen in witness.take() if seen.kind == START]
    assert found == [Seen("asks.py", START, os.path.basename(sys.executable))]
    assert witness.has_started


def test_threads_are_seen(witness, asks):
    """Each by its own stack."""
    thread = threading.Thread(target=asks.read, args=("a.txt",))
    thread.start()
    thread.join()
    assert witness.take() == [Seen("asks.py", READ, "a.txt")]


def test_a_run_within_a_run_gives_the_sight_back(witness, asks, top):
    """As where a test runs pytest in its own process."""
    inner = Witness(top)
    inner.start()
    asks.read("a.txt")
    inner.stop()
    assert witness.take() == []
    asks.read("a.txt")
    assert len(witness.take()) == len(inner.take()) == 1


def test_a_witness_that_stopped_sees_nothing(witness, asks):
    """Though its hook stays in the process."""
    witness.stop()
    asks.read("a.txt")
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    assert witness.take() == []
