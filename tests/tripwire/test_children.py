"""Children of a replaying process: forks, spawned workers and Python programs."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cas_llm import child
from cas_llm.errors import LiveCallBlocked

PROVIDER = "api.openai.com"
ROOT = Path(child.__file__).parents[1]

CALL = f"""
import sys, time, urllib.request
begun = time.monotonic()
try:
    urllib.request.urlopen("https://{PROVIDER}/v1/models", timeout=5)
except Exception as problem:
    print(type(problem).__name__, problem)
    sys.exit(7 if time.monotonic() - begun < 1 else 8)
"""


def call_provider(host=PROVIDER):
    import urllib.request

    urllib.request.urlopen(f"http://{host}/v1/models", timeout=5)


@pytest.fixture
def session(monkeypatch, tmp_path):
    """``session(mode)`` puts a session in the environment of children that read the .pth file.

    The file is read by the site module as it is in site-packages; a sitecustomize on PYTHONPATH
    stands for the installation. The description lacks what the session's own join needs, so that
    the tripwire is alone.
    """
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "cas_llm.pth").write_bytes((ROOT / "cas_llm.pth").read_bytes())
    (tmp_path / "sitecustomize.py").write_text(
        f"import site\nsite.addsitedir({str(tmp_path / 'site')!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))

    def describe(mode, hosts=(PROVIDER,)):
        about = {"mode": mode, "store": str(tmp_path), "run": "00c0ffee", "hosts": hosts}
        monkeypatch.setenv("CAS_LLM_SESSION", json.dumps(about))

    return describe


def python(program):
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_a_python_child_of_a_replay_is_refused(session):
    """A program that knows nothing of cas-llm gets the explanation, at once."""
    session("replay")
    done = python(CALL)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("LiveCallBlocked cas-llm: replay: ")
    assert f" to {PROVIDER} refused in process " in done.stdout


def test_a_grandchild_is_refused(session):
    """The environment goes on to children of children."""
    session("replay")
    done = python(
        f"import subprocess, sys\nsys.exit(subprocess.call([sys.executable, '-c', {CALL!r}]))"
    )
    assert done.returncode == 7, done.stderr


def test_a_join_that_fails_is_one_line_and_the_child_lives(session):
    """What is broken is said once on standard error, and says what follows from it."""
    session("fallback")
    done = python("print('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert done.stderr.endswith(
        "a child couldn't join the session (KeyError: 'settings'); its calls are not recorded\n"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"hosts": 5}', '{"hosts": [1]}'])
def test_a_session_that_cannot_be_read_is_one_line(session, monkeypatch, text):
    """A broken variable doesn't end the child."""
    session("replay")
    monkeypatch.setenv("CAS_LLM_SESSION", text)
    done = python("print('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert "CAS_LLM_SESSION can't be read" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_session_the_file_does_nothing(session, monkeypatch):
    """A Python that belongs to no session imports nothing of cas-llm's tripwire."""
    monkeypatch.delenv("CAS_LLM_SESSION", raising=False)
    done = python("import sys; print([name for name in sys.modules if 'tripwire' in name])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_file_costs_no_more_than_a_look_at_the_environment():
    """The line stands in every start of Python: it must be one, and quick."""
    line = (ROOT / "cas_llm.pth").read_text()
    assert line.count("\n") == 1
    code = compile(line, "cas_llm.pth", "exec")
    begun = time.perf_counter()
    for _ in range(100):
        exec(code, {})
    assert time.perf_counter() - begun < 0.1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_worker_is_refused(refuse):
    """Patches survive a fork, and the refusal comes back through the pool."""
    refuse(PROVIDER)
    with (
        multiprocessing.get_context("fork").Pool(1) as pool,
        pytest.raises(LiveCallBlocked, match="refused") as caught,
    ):
        pool.apply(call_provider)
    assert caught.value.host == PROVIDER


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_that_starts_anew_is_refused(method, session):
    """A worker that isn't a fork gets its patches from the .pth file."""
    session("replay")
    done = python(
        "import multiprocessing, urllib.request\n"
        "if __name__ == '__main__':\n"
        f"    with multiprocessing.get_context({method!r}).Pool(1) as pool:\n"
        f"        pool.apply(urllib.request.urlopen, ('http://{PROVIDER}/',))\n"
    )
    assert "LiveCallBlocked: cas-llm: replay: " in done.stderr


def test_a_pattern_refuses_what_it_names_and_nothing_else():
    """Patterns may hold stars; the explanation names the way and the host."""
    guard = child.RefuseHosts(("api.openai.com", "*.openai.azure.com"))
    assert guard.judge("mine.openai.azure.com", 443, "connect").startswith(
        "cas-llm: replay: connect to mine.openai.azure.com refused"
    )
    assert guard.judge("127.0.0.1", 80, "connect") is None
    assert guard.judge("openai.com", 80, "connect") is None


def test_the_session_takes_the_guards_place(monkeypatch):
    """Once the session has joined, its own guard decides, and the first one is gone."""
    from cas_llm.tripwire import guards

    joined = []
    monkeypatch.setattr(child, "_join", joined.append)
    text = json.dumps({"mode": "replay", "hosts": [PROVIDER]})
    child.start(text)
    assert (joined, guards.guards) == ([text], ())
