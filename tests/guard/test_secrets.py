"""`cas-llm-secrets`: known formats block, guesses warn, and our own files are no guesses."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from support.commits import Repository
from support.stores import asks, recorded, says, tape_of

from cas_llm.guard.guesses import guesses_in
from cas_llm.guard.secrets import BASELINE, judge
from cas_llm.store import Store
from cas_llm.store.proof.census import Finding

# Put together at run time: a scanner would take them for real ones.
TOKEN = "ghp_" + "Zx81Kq0vB3nM5tR7yW2pL9sD4fG6hJ8cX0aQ"
ALIKE = "Zk9Q2x" + "VbN7mT4rLp0Ws8YhJd3KfGc5Aq1Ev6Ru"


def staged(repository: Repository) -> list[Finding]:
    repository.git("add", "-A")
    found = judge(repository.staged())
    assert not any(TOKEN in str(one) or ALIKE in str(one) for one in found)
    return found


def add(repository: Repository, ask: str, answer: str) -> None:
    """A recording that was written past every look before."""
    store = Store(repository.root)
    one = recorded(asks(ask), says(answer))
    for name, data in one.files()[1].items():
        repository.write(f"cache_store/{name}", data)
    store.add_tape(tape_of(one, scope="tests/test_a.py::test_a"))
    store.close()


def test_a_store_with_every_kind_of_file_holds_no_secret(repository: Repository) -> None:
    """Digests, ids, media and provenance are no secrets; looked at as a whole."""
    assert judge(repository.staged({})) == []
    assert judge(repository.staged()) == []


def test_a_secret_of_a_known_format_blocks(repository: Repository) -> None:
    """In the request, the answer and the tape; the value is never shown."""
    add(repository, f"Use {TOKEN} please", f"I used {TOKEN}")
    found = staged(repository)
    assert {(one.code, one.severity) for one in found} == {("CAS033", "error")}
    assert {one.path.split("/")[1] for one in found} == {"requests", "objects", "manifest"}
    assert any("$.body.messages[1].content" in one.what for one in found)
    assert "revoke it first" in found[0].why


def test_what_the_environment_says_is_secret_blocks(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key without a format of its own, which the redaction would have taken out."""
    add(repository, f"Say {ALIKE}", "No")
    monkeypatch.setenv("MY_API_KEY", ALIKE)
    found = [one for one in staged(repository) if one.severity == "error"]
    assert {one.path.split("/")[1] for one in found} == {"requests", "objects", "manifest"}


@pytest.mark.parametrize(
    "text", [f'the value is "{ALIKE}"', f"password = '{ALIKE}'", f'{{"db_password": "{ALIKE}"}}']
)
def test_what_only_looks_like_a_secret_is_a_warning(repository: Repository, text: str) -> None:
    """With the place, and the command that accepts it; tapes, which repeat it, are not told of."""
    add(repository, text, "Fine")
    found = staged(repository)
    assert {(one.code, one.severity) for one in found} == {("CAS090", "warning")}
    assert {one.path.split("/")[1] for one in found} <= {"requests", "objects"}
    assert BASELINE in found[0].command


def test_an_accepted_value_is_no_finding(repository: Repository) -> None:
    """By its hash in the staged baseline; a token that is not in there still blocks."""
    add(repository, f'the value is "{ALIKE}", the token {TOKEN}', "Fine")
    hashes = [hashlib.sha1(text.encode()).hexdigest() for text in (ALIKE, TOKEN)]
    baseline = {"results": {"x.json": [{"hashed_secret": one} for one in hashes]}}
    repository.write(BASELINE, json.dumps(baseline))
    assert staged(repository) == []
    baseline["results"]["x.json"].pop()
    repository.write(BASELINE, json.dumps(baseline))
    assert {one.code for one in staged(repository)} == {"CAS033"}
    repository.write(BASELINE, "not JSON")
    assert {one.code for one in staged(repository)} == {"CAS033"}


def test_a_name_may_hold_a_secret(repository: Repository) -> None:
    """Of a tape, whose name is the test's with its parameters; it is not printed again."""
    one = recorded(asks("Say hello"), says("Hello!"))
    store = Store(repository.root)
    store.add_tape(tape_of(one, scope=f"tests/test_a.py::test_a[{TOKEN}]"))
    store.close()
    found = [one for one in staged(repository) if one.code == "CAS091"]
    assert [one.severity for one in found] == ["error"]
    assert TOKEN[:20] not in found[0].path


def test_what_is_random_by_nature_is_no_guess() -> None:
    """Ids, digests, signatures and media of every family."""
    digest = hashlib.sha256(b"x").hexdigest()
    said = {
        "id": ALIKE,
        "call_id": ALIKE,
        "signature": ALIKE,
        "thoughtSignature": ALIKE,
        "encrypted_content": ALIKE,
        "text": [f'"{digest}"', f'"{digest[:32]}"', '"chatcmpl-Zk9Q2xVbN7mT4rLp0Ws8YhJd3K"'],
        "source": {"type": "base64", "data": ALIKE * 3},
        "image_url": {"url": f"data:image/png;base64,{ALIKE * 9}"},
        "redacted": 'password = "[cas-llm:password:1]"',
    }
    assert list(guesses_in(json.dumps(said).encode())) == []


@pytest.mark.slow
def test_the_corpus_blocks_nothing(corpus: list[dict], tmp_path: Path) -> None:
    """Of 448 real exchanges none is refused; few are warned of."""
    from cas_llm.wire import Request, Response

    if not corpus:
        print("0: corpus absent")
        return
    made = Repository.made(tmp_path / "project")
    store = Store(made.root)
    for row in corpus:
        body = json.dumps((row["request"] or {}).get("json")).encode()
        json_type = (("content-type", "application/json"),)
        request = Request(row["method"].upper(), row["url"], json_type, body)
        held = row["response"]
        text = json.dumps(held["json"]) if "json" in held else held.get("text", "")
        answer = Response(row["status"], tuple(row["headers"].items()), text.encode())
        store.save(recorded(request, answer))
    store.close()
    found = staged(made)
    counts = Counter((one.code, one.severity) for one in found)
    files = Counter(one.path for one in found)
    print(f"{sum(counts.values())}: warnings in {len(files)} files of {len(made.staged().changes)}")
    assert set(counts) <= {("CAS090", "warning")}
