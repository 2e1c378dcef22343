"""What child processes do in tests: importable, so that a spawned worker finds it too."""

import json
import os
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


def ask(url, text, **headers):
    """What the provider at *url* says to *text*, or the status where it is an error."""
    import httpx

    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client() as client:
        response = client.post(f"{url}/chat/completions", json=body, headers=headers)
    if response.status_code != 200:
        return response.status_code
    return response.json()["choices"][0]["message"]["content"]


def ask_each(url, text):
    """Ask once, as one of several times that are to be told apart."""
    return ask(url, text, x_cas_llm_repeat="each")


def install(folder, monkeypatch):
    """Let Python children read the line of ``cas_llm.pth``, as where cas-llm is installed.

    A sitecustomize in *folder* stands for the installation; it keeps them on loopback, too.
    """
    folder.mkdir()
    line = (TREE / "cas_llm.pth").read_text()
    (folder / "sitecustomize.py").write_text(
        f"import loopback_only\nloopback_only.enforce()\nexec({line!r})\n"
    )
    tests = TREE / "tests"
    paths = (folder, TREE, tests / "support" / "offline", tests)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))


if __name__ == "__main__":
    print(json.dumps(ask(*sys.argv[1:])))
