"""`cas-llm export`: cassettes that vcrpy replays, and lines that say everything."""

import json
from pathlib import Path

import httpx
import pytest
import vcr
from support.cassettes import CHAT, Call, chat, completion, vcrpy, write

from cas_llm import cli
from cas_llm.cassettes.leaving import place_of

AUDIO = bytes(range(256))


@pytest.fixture
def run(tmp_path: Path, monkeypatch, capsys):
    """A store with two tests' recordings, and the command line in its project."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pyproject.toml", b"[tool.cas-llm]\n[tool.pytest.ini_options]\n")
    write(tmp_path / "tests/test_bot.py", b"def test_a(): pass\ndef test_b(): pass\n")
    speech = Call(
        {"input": "x", "model": "tts"},
        AUDIO,
        url=CHAT.replace("chat/completions", "audio/speech"),
        answer_headers={"content-type": "audio/mpeg"},
    )
    first = [chat("hi ☃", "one"), chat("hi ☃", "two"), speech]
    write(tmp_path / "tests/cassettes/test_bot/test_a.yaml", vcrpy(first))
    write(
        tmp_path / "tests/cassettes/test_bot/test_b.yaml",
        vcrpy([chat("hi ☃", "three", model="gpt-4o")]),
    )

    def run(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        said = capsys.readouterr()
        assert ended.value.code == code, said
        return said.out + said.err

    run("import", "tests/cassettes")
    return run


def test_vcrpy_replays_an_export(run, tmp_path):
    """Each test's calls in order and byte for byte, matched by body too, with nothing called."""
    assert run("export", "-o", "out") == "2 cassettes with 4 calls written to out\n"
    body = chat("hi ☃", "").body
    path = tmp_path / "out/tests/cassettes/test_bot/test_a.yaml"
    matched = ("method", "scheme", "host", "port", "path", "query", "body")
    with vcr.use_cassette(str(path), record_mode="none", match_on=matched) as cassette:
        answers = [httpx.post(CHAT, json=body).content for _ in range(2)]
        speech = httpx.post(
            CHAT.replace("chat/completions", "audio/speech"), json={"model": "tts", "input": "x"}
        )
        assert cassette.all_played
    assert answers == [completion("one"), completion("two")]
    assert speech.content == AUDIO


def test_an_export_comes_back_as_it_was(run, tmp_path):
    """Imported into an empty store it gives the same requests and answers to the same tests."""
    run("export", "-o", "out")
    told = json.loads(run("import", "out/tests/cassettes", "--json", "--store", "other"))
    assert (told["requests"], told["answers"], told["without_body"]) == (3, 4, 0)
    before, after = (
        sorted(p.name for p in (tmp_path / root / "requests").rglob("*.json"))
        for root in ("cache_store", "other")
    )
    assert before == after


def test_lines_tell_each_call(run, tmp_path):
    """Request, answer, test, ordinal and provenance; binary bodies in base64."""
    assert run("export", "--format", "jsonl", "-o", "all.jsonl") == (
        "1 file with 4 calls written to all.jsonl\n"
    )
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text("utf-8").splitlines()]
    first, second, speech, other = lines
    assert (first["test"], first["ordinal"], second["ordinal"]) == (
        "tests/test_bot.py::test_a",
        1,
        2,
    )
    assert first["key"] == second["key"]
    assert json.loads(first["request"]["body"]) == chat("hi ☃", "").body
    assert second["answer"]["body"].encode() == completion("two")
    assert "body_base64" in speech["answer"]
    assert other["provenance"]["recorded_at"] == "2026-03-02T09:30:00Z"


def test_tests_keys_and_models_choose(run, tmp_path):
    """A test, a prefix of a key, a model; what fits nothing is an error."""

    def calls(*words: str) -> int:
        run("export", "--format", "jsonl", "-o", "some.jsonl", "--force", *words)
        return len((tmp_path / "some.jsonl").read_text("utf-8").splitlines())

    assert calls("tests/test_bot.py::test_b") == 1
    assert calls("--model", "gpt-4o") == 1
    assert calls("--model", "gpt-4o-mini") == 2
    key = json.loads((tmp_path / "some.jsonl").read_text("utf-8").splitlines()[0])["key"]
    assert calls(key[:12]) == 2
    assert "no recording fits" in run("export", "-o", "x", "--model", "none", code=1)


def test_nothing_is_written_over_unless_told(run, tmp_path):
    """One file that is there keeps all from being written."""
    there = write(tmp_path / "out/tests/cassettes/test_bot/test_b.yaml", b"mine")
    assert "test_b.yaml: there already; write over with --force" in run(
        "export", "-o", "out", code=1
    )
    assert there.read_bytes() == b"mine"
    assert not there.with_name("test_a.yaml").exists()
    run("export", "-o", "out", "--force")
    assert there.read_bytes() != b"mine"


def test_wrong_usage_is_one_clear_error(run):
    """No folder, no file for JSON's report, an address that is none."""
    for words in (
        ("export",),
        ("export", "--format", "jsonl", "--json"),
        ("export", "-o", "x", "--host", "azure"),
    ):
        assert run(*words, code=2).rpartition("cas-llm: ")[2].count("\n") == 1


@pytest.mark.parametrize(
    ("scope", "place"),
    [
        ("tests/test_a.py::test_x[a/b:c]", "tests/cassettes/test_a/test_x[a-b-c].yaml"),
        ("test_a.py::TestA::TestB::test_x", "cassettes/test_a/TestB.test_x.yaml"),
        ("use::old/name", "cassettes/old-name.yaml"),
        ("", "cassettes/shared.yaml"),
    ],
)
def test_a_cassette_lies_where_pytest_recording_looks(scope, place):
    """Beside the module, under the innermost class's and the test's name."""
    assert str(place_of(scope)) == place


def test_tests_that_share_a_file_are_all_in_it(run, tmp_path):
    """Only the innermost class stands in a cassette's name, so that two may have the same one."""
    tests = "class A:\n    class C:\n        def test_it(self): pass\n"
    text = tests + tests.replace("A", "B")
    write(tmp_path / "tests/test_deep.py", text.encode())
    for number, outer in enumerate("AB"):
        name = f"cassettes/{outer}.yaml"
        write(tmp_path / name, vcrpy([chat(f"hi {number}", outer)]))
        run("import", name, "--map", f"{name}=tests/test_deep.py::{outer}::C::test_it")
    said = run("export", "tests/test_deep.py", "-o", "out")
    assert said == "1 cassette with 2 calls written to out\n"
    (cassette,) = (tmp_path / "out").rglob("*.yaml")
    assert cassette.read_text().count("method: POST") == 2


@pytest.mark.parametrize("module", ["../../out.py", "/etc/out.py", "a/../../out.py"])
def test_no_name_leads_out_of_the_folder(module):
    """A store is data, and may say what no pytest ever would."""
    place = place_of(f"{module}::test_it")
    assert not place.is_absolute()
    assert ".." not in place.parts
