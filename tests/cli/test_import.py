"""`cas-llm import`: what is brought, what is told, and that each test gets its own."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.cassettes import (
    CHAT,
    Call,
    chat,
    completion,
    gzipped,
    parsed,
    vcrpy,
    vcrpy_json,
    write,
)
from support.playing import Player

from cas_llm import cli
from cas_llm.errors import SecretFound
from cas_llm.store import Store
from cas_llm.wire import Request

KEY = "sk-" + "proj-" + "aB3dE6gH9jK2mN5pQ8sT" * 3
HUB = "https://hub.example/models"


class Suite:
    """A project with cassettes, worked on in this process."""

    def __init__(self, root: Path, capsys) -> None:
        self.root, self.capsys = root, capsys
        write(root / "pyproject.toml", b"[tool.cas-llm]\n[tool.pytest.ini_options]\n")

    def tests(self, *names: str) -> None:
        text = "\n".join(f"def {name}(): pass\n" for name in names)
        write(self.root / "tests/test_bot.py", text.encode())

    def cassette(self, name: str, calls: Sequence[Call], how=vcrpy, ending: str = "yaml") -> Path:
        return write(self.root / f"tests/cassettes/test_bot/{name}.{ending}", how(calls))

    def run(self, *words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["import", *words])
        said = self.capsys.readouterr()
        assert ended.value.code == code, said
        return said.out + said.err

    def told(self, *words: str, code: int = 0) -> dict:
        return json.loads(
            self.run("tests/cassettes", "--json", *words, code=code).partition("\ncas-llm")[0]
        )

    @property
    def player(self) -> Player:
        return Player(self.root, self.root / "cache_store")

    def says(self, player: Player, test: str, call: Call) -> bytes:
        headers = (("content-type", "application/json"),)
        request = Request(call.method, call.url, headers, call.sent)
        return player.play(f"tests/test_bot.py::{test}", request).body

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.root.rglob("*"))


@pytest.fixture
def suite(tmp_path: Path, monkeypatch, capsys) -> Suite:
    monkeypatch.chdir(tmp_path)
    return Suite(tmp_path, capsys)


def test_each_test_gets_its_own_answers_in_order(suite):
    """One request, different answers in different cassettes, repeated within one."""
    suite.tests("test_a", "test_b")
    suite.cassette("test_a", [chat("hi", "one"), chat("hi", "two"), chat("hi", "one")])
    suite.cassette("test_b", [chat("hi", "three")], gzipped, "yaml.gz")
    assert suite.told()["several_answers"] == {"within_a_test": 1, "across_tests": 0}
    player, hi = suite.player, chat("hi", "")
    answers = [suite.says(player, "test_a", hi) for _ in range(3)]
    assert answers == [completion(text) for text in ("one", "two", "one")]
    assert suite.says(player, "test_b", hi) == completion("three")
    assert b"exhausted" in suite.says(player, "test_a", hi)


def test_what_is_left_out_is_counted_and_told(suite):
    """Other hosts, errors, missing bodies and secrets, each with its number and the way out."""
    suite.tests("test_a", "test_b")
    others = [Call(None, b"{}", url=HUB, method="GET")] * 2
    error = Call({"model": "m", "messages": []}, b"{}", status=429)
    suite.cassette("test_a", [*others, error, Call(None, b"{}"), chat("ok", "fine")])
    suite.cassette("test_b", [chat(f"my key is {KEY}", "noted"), chat("leak", f"yes: {KEY}")])
    assert suite.run("tests/cassettes", "--dry-run").splitlines() == [
        "2 files  7 calls -> 3 requests, 3 answers",
        "  2 of the calls to 1 host that isn't an LLM stay in the cassettes; hosts=[...] takes them over",
        "    hub.example 2",
        "  1 answer >= 400 skipped (--keep-errors)   2 secrets replaced   1 without a body",
        "2 tapes would be written",
    ]  # fmt: skip
    suite.run("tests/cassettes")
    held = suite.player.held("tests/test_bot.py::test_b")
    assert KEY.encode() not in b"".join(answer.response.body for answer in held)
    stored = b"".join(
        p.read_bytes() for p in suite.root.joinpath("cache_store").rglob("*") if p.is_file()
    )
    assert KEY.encode() not in stored
    assert len(suite.player.held("tests/test_bot.py::test_a")) == 1


def test_a_dry_run_writes_nothing_at_all(suite):
    """Not even a folder."""
    suite.tests("test_a")
    suite.cassette("test_a", [chat("hi", "one")])
    before = suite.files()
    assert suite.told("--dry-run")["new_tapes"] == ["tests/test_bot.py::test_a"]
    assert suite.files() == before


def test_importing_again_adds_nothing(suite, monkeypatch):
    """The second time says so, also after an upgrade of cas-llm."""
    suite.tests("test_a")
    suite.cassette("test_a", [chat("hi", "one"), chat("hi", "two")])
    suite.run("tests/cassettes")
    before = suite.files()
    monkeypatch.setattr("cas_llm.session.keeping._version", lambda: "9.9")
    told = suite.told()
    assert (told["new_tapes"], told["already_there"]) == ([], ["tests/test_bot.py::test_a"])
    assert suite.files() == before


def test_newer_recordings_are_left_unless_told(suite):
    """A test that has others keeps them; --again writes a take above them."""
    suite.tests("test_a")
    suite.cassette("test_a", [chat("hi", "one")])
    suite.run("tests/cassettes")
    suite.cassette("test_a", [chat("hi", "two")])
    assert "1 with other recordings already" in suite.run("tests/cassettes")
    assert suite.says(suite.player, "test_a", chat("hi", "")) == completion("one")
    assert suite.told("--again")["new_tapes"] == ["tests/test_bot.py::test_a"]
    assert suite.says(suite.player, "test_a", chat("hi", "")) == completion("two")


def test_all_of_a_cassette_is_brought_or_none(suite, monkeypatch):
    """What the last look for secrets refuses takes its cassette along, and is named."""
    suite.tests("test_a", "test_b")
    suite.cassette("test_a", [chat("hi", "one"), chat("forbidden", "x")])
    suite.cassette("test_b", [chat("hi", "two")])

    def scan(data: bytes, **_: object) -> None:
        if b"forbidden" in data:
            raise SecretFound("a key of some format", path="$", kind="some")

    monkeypatch.setattr("cas_llm.session.keeping.scan_for_secrets", scan)
    told = suite.told(code=1)
    assert told["new_tapes"] == ["tests/test_bot.py::test_b"]
    assert [one["refused"] for one in told["files"]] == ["a key of some format", None]
    assert told["answers"] == 1


def test_a_cassette_without_a_test_serves_whoever_asks(suite):
    """It is kept as a block's tape under the file's name, and told."""
    suite.tests("test_a")
    suite.cassette("../stray", [chat("hi", "one")])
    said = suite.run("tests/cassettes")
    assert "  1 without a test that was found: kept under the file's name" in said
    assert "    tests/cassettes/stray.yaml\n" in said
    assert suite.says(suite.player, "test_a", chat("hi", "")) == completion("one")
    mapped = "tests/cassettes/*.yaml=tests/test_bot.py::test_a"
    assert suite.told("--map", mapped)["new_tapes"] == ["tests/test_bot.py::test_a"]


def test_strangers_and_damage_are_named_and_left_alone(suite):
    """A file that is no cassette is fine; one that cannot be read ends with 1, the rest is brought."""
    suite.tests("test_a")
    suite.cassette("test_a", [chat("hi", "one")], vcrpy_json, "json")
    suite.cassette("settings", [], lambda _: b"a: 1\n")
    suite.cassette("broken", [], lambda _: b"interactions: [")
    said = suite.run("tests/cassettes", code=1)
    assert "1 no cassette: left alone\n    tests/cassettes/test_bot/settings.yaml" in said
    assert "broken.yaml: cannot be read: it is not YAML" in said
    assert "1 tape written" in said


def test_anthropics_version_comes_back(suite):
    """Serializers take the header out, and the SDK's request has it in its key."""
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
    }
    url = "https://api.anthropic.com/v1/messages"
    suite.tests("test_a", "test_b")
    answer = json.dumps(
        {"type": "message", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}
    )
    call = Call(body, answer.encode(), url=url, headers={"anthropic-version": "2023-06-01"})
    suite.cassette("test_a", [call], parsed)
    suite.cassette("test_b", [call])
    told = suite.told()
    assert (told["requests"], told["answers"]) == (1, 2)


@pytest.mark.parametrize("words", [(), ("gone",), ("tests", "--map", "x")])
def test_wrong_usage_is_one_clear_error(suite, words):
    """No place, a place that is not there, a mapping that is none."""
    suite.tests("test_a")
    said = suite.run(*words, code=1 if words == ("gone",) else 2)
    assert said.startswith("cas-llm: ")
    assert said.count("\n") == 1


def test_check_without_an_import_says_so(suite):
    """There is nothing to check, and the command that changes that is named."""
    assert "cas-llm init" in suite.run("--check", code=1)
    Store(suite.root / "cache_store").prepare()
    assert "nothing here was imported" in suite.run("--check", code=1)


def test_check_waits_for_a_run_and_keeps_what_is_needed(suite):
    """Before pytest ran nothing replays; after it the files can go but those with other hosts."""
    from cas_llm.session import usage

    suite.tests("test_a", "test_b", "test_c")
    suite.cassette("test_a", [chat("hi", "one")])
    suite.cassette("test_b", [chat("hi", "two"), Call(None, b"{}", url=HUB, method="GET")])
    suite.cassette("test_c", [chat("hi", "three")])
    suite.run("tests/cassettes")
    said = suite.run("--check", code=1)
    assert said.startswith("0 of 3 replay. No cassette can go yet, 3 files still needed.\n")
    assert "3 tests have not passed in replay yet" in said
    assert 'vcr = "replace"' in said
    store = Store(suite.root / "cache_store")
    tests = [f"tests/test_bot.py::test_{letter}" for letter in "abc"]
    had = {name: [tape.digest for tape in store.manifest.tapes_of(name)] for name in tests}
    scopes = {name: {"tapes": tapes, "had": tapes} for name, tapes in had.items()}
    usage.note(store, scopes, usage.Extent())
    assert suite.run("--check") == (
        "3 of 3 replay. tests/cassettes/test_bot can go, 1 file with other hosts stays.\n"
        "  tests/cassettes/test_bot/test_b.yaml   other hosts: hub.example\n"
    )
    told = json.loads(suite.run("--check", "--json"))
    assert told["can_go"] == [f"tests/cassettes/test_bot/test_{one}.yaml" for one in "ac"]


def test_check_names_each_cassette_that_can_go_and_says_when_none_is_left(suite):
    """While a test waits its folder has to stay; at the end the other tool itself can go."""
    from cas_llm.session import usage

    suite.tests("test_a", "test_b")
    suite.cassette("test_a", [chat("hi", "one")])
    suite.cassette("test_b", [chat("hi", "two")])
    assert 'Next: vcr = "replace" in [tool.cas-llm]' in suite.run("tests/cassettes")
    (suite.root / "pyproject.toml").write_text('[tool.cas-llm]\nvcr = "replace"\n')
    store = Store(suite.root / "cache_store")
    for letter, code in (("a", 1), ("b", 0)):
        name = f"tests/test_bot.py::test_{letter}"
        had = [tape.digest for tape in store.manifest.tapes_of(name)]
        usage.note(store, {name: {"tapes": had, "had": had}}, usage.Extent())
        said = suite.run("--check", code=code)
        if letter == "a":
            assert said.startswith(
                "1 of 2 replay. 1 cassette can go, 1 file still needed.\n"
                "  tests/cassettes/test_bot/test_a.yaml\n"
            )
            assert "replace" not in said
    shutil.rmtree(suite.root / "tests/cassettes")
    assert suite.run("--check") == (
        "2 of 2 replay. No cassette is left.\n"
        '  take out, all at once: the other tool, its markers, vcr = "replace"\n'
    )


def test_a_stream_stays_a_stream(suite):
    """Events are kept byte for byte, in one piece as the cassette has them."""
    events = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'
    kind = {"content-type": "text/event-stream; charset=utf-8"}
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    suite.tests("test_a")
    suite.cassette("test_a", [Call(body, events, url=CHAT, answer_headers=kind)])
    suite.run("tests/cassettes")
    (answer,) = suite.player.held("tests/test_bot.py::test_a")
    assert answer.response.body == events
    assert [chunk.length for chunk in answer.response.chunks] == [len(events)]
    assert answer.answer == ("Hi",)
    assert answer.provenance["recorded_at"] == "2026-03-02T09:30:00Z"
