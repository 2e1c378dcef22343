"""Files that are no recording, and mean ill: each is one refusal, soon, and never the end of it."""

import gzip
import itertools
import os

import pytest
from support.cassettes import CHAT, chat, vcrpy, write

from cas_llm.cassettes import reading
from cas_llm.cassettes.exchange import BadCassette

CALL = """
interactions:
- request: {{method: POST, uri: "{uri}", parsed_body: {body}, headers: {{}}}}
  response: {{status: {status}, duration_ms: {took}, headers: {{}}, body: {{string: ""}}}}
"""


def call(*, uri: str = CHAT, body: str = "{}", status: str = "200", took: str = "1") -> str:
    return CALL.format(uri=uri, body=body, status=status, took=took)


def tenfold(levels: int) -> str:
    """A line a level, each of which names the one before ten times."""
    names = [f"n{number}" for number in range(levels + 1)]
    pairs = itertools.pairwise(names)
    lines = [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairs]
    return "\n".join(["n0: &n0 [x]", *lines])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (tenfold(9) + call(body="*n9"), "aliases make more than"),
        ("a: &a [*a]" + call(), "a value holds itself"),
        ("[" * 100_000, "levels deep"),
        ("- " * 50_000, "levels deep"),
        ("a: !!timestamp soon", "not YAML"),
        ("a: !!bool maybe", "not YAML"),
        ("a: !!python/object/new:_io.BytesIO {state: {a: 1}}", "not YAML"),
        ("a: !!python/object/apply:os.system [exit]", "no plain value"),
        (call(status=".inf"), "call 1 cannot be read"),
        (call(status="-5"), "a status of -5"),
        (call(uri="http://[::1"), "call 1 cannot be read"),
        (call(uri="http://host:999999/v1"), "call 1 cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_line(tmp_path, text, said):
    """No crash of the interpreter, no memory without end, no defect: the file is named as bad."""
    with pytest.raises(BadCassette, match=said) as refused:
        reading.read(write(tmp_path / "a.yaml", text.encode()))
    assert "\n" not in str(refused.value)


def test_an_alias_within_bounds_gives_what_it_names(tmp_path):
    """PyYAML writes one where a value stands twice, so that they are read."""
    text = "b: &b {model: m}" + call(body="[*b, *b]")
    (one,) = reading.read(write(tmp_path / "a.yaml", text.encode())).exchanges
    assert one.body == b'[{"model": "m"}, {"model": "m"}]'


@pytest.mark.parametrize("took", [".nan", "-.inf", "-1"])
def test_a_time_that_is_none_is_left_out(tmp_path, took):
    """It would not be JSON in the store."""
    (one,) = reading.read(write(tmp_path / "a.yaml", call(took=took).encode())).exchanges
    assert one.seconds is None


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    """A small file may hold gigabytes; no more than the bound is ever unpacked."""
    monkeypatch.setattr(reading, "_LARGEST", 1 << 20)
    with pytest.raises(BadCassette, match="more than 1 MB"):
        reading.read(write(tmp_path / "a.yaml.gz", gzip.compress(b"\n" * (2 << 20))))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_cassettes_is_not_waited_for(tmp_path):
    """Only files are read."""
    whole = write(tmp_path / "a.yaml", vcrpy([chat("Hi", "Hello")]))
    os.mkfifo(tmp_path / "b.yaml")
    assert reading.files_of([tmp_path]) == [whole]
