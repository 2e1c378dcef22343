"""Builds the wheel and uses it as a stranger would: clean environment, outside the tree.

A project misses with the explanation, records from a scripted provider, and replays with nobody
listening. Run by ``make wheel-test``; needs nothing but the standard library and pip.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
TEST = """
import os
from openai import OpenAI

def test_greets():
    client = OpenAI(base_url=os.environ["PROVIDER_URL"], api_key="none")
    asked = [{"role": "user", "content": "Say hello to Ada"}]
    answer = client.chat.completions.create(model="scripted", messages=asked)
    assert "Ada" in answer.choices[0].message.content
"""
# The discard port: nobody listens, so only a recording can answer.
NOBODY = "http://127.0.0.1:9/v1"


def say(text: str) -> None:
    print(f"wheel: {text}", flush=True)


class Stranger:
    """Somebody with a virtual environment and a project in *folder*, who has only the wheel."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        left_out = ("CAS_LLM_", "PYTHON", "VIRTUAL_ENV", "GIT_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        who = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
        who |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
        self.env = kept | who | {"PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *argv: str, code: int = 0, url: str = NOBODY) -> str:
        """Run one command in the project; another exit code than *code* ends the program."""
        program = self.bin / argv[0]
        done = subprocess.run(
            [str(program) if program.exists() else argv[0], *argv[1:]],
            cwd=self.project,
            env=self.env | {"PROVIDER_URL": url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != code:
            sys.exit(f"wheel: {' '.join(argv)}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout


def expect(text: str, *parts: str) -> None:
    """End the program unless *text* holds every one of *parts*."""
    for part in parts:
        if part not in text:
            sys.exit(f"wheel: {part!r} is not in:\n{text}")


def build(folder: Path) -> Path:
    """The wheel of this tree."""
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(TREE)], check=True)
    return next(folder.glob("cas_llm-*.whl"))


def install(stranger: Stranger, wheel: Path) -> None:
    """Install the wheel, and prove that it is the wheel which is used."""
    pip = ("python", "-m", "pip", "-qq", "--disable-pip-version-check")
    stranger.run(*pip, "install", str(wheel), "pytest")
    where = stranger.run("python", "-c", "import cas_llm; print(cas_llm.__file__)").strip()
    if not Path(where).is_relative_to(stranger.bin.parent):
        sys.exit(f"wheel: cas_llm came from {where}, not from the wheel")
    for top in ("hooks", "tests", "support", "benchmarks"):
        stranger.run("python", "-c", f"import {top}", code=1)
    say(stranger.run("cas-llm", "--version").strip())


def use(stranger: Stranger) -> None:
    """Miss, record, replay."""
    from support.provider import ScriptedProvider

    (stranger.project / "test_bot.py").write_text(TEST)
    stranger.run("git", "init", "-q")
    stranger.run("cas-llm", "init")
    pytest = ("python", "-m", "pytest", "-p", "no:cacheprovider")
    expect(stranger.run(*pytest, code=1), "not recorded", "--cas-llm=fallback", "1 failed")
    say("a miss explains itself")
    with ScriptedProvider() as provider:
        expect(stranger.run(*pytest, "--cas-llm=fallback", url=provider.url), "1 passed")
        if provider.count != 1:
            sys.exit(f"wheel: recording made {provider.count} calls, not 1")
    stranger.run("git", "add", "-A")
    stranger.run("git", "commit", "-qm", "First test")
    expect(stranger.run(*pytest), "1 passed")
    if left := stranger.run("git", "status", "--short"):
        sys.exit(f"wheel: replay left the work tree dirty:\n{left}")
    say("a recording replays, and the work tree stays clean")


def main() -> None:
    sys.path.insert(0, str(TREE / "tests"))
    with tempfile.TemporaryDirectory(prefix="cas-llm-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        say(f"built {wheel.name}")
        stranger = Stranger(folder)
        install(stranger, wheel)
        use(stranger)


if __name__ == "__main__":
    main()
