"""The store's files and names under fire: read as what they are, or refused by an error of ours.

All fuzz tests together make 6,000 executions, under ``CAS_LLM_THOROUGH`` a million; each prints its
count.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from support.fuzzing import bent, fuzz
from support.json_texts import BYTES
from support.stores import asks, every_kind, files_of, recorded, says

from cas_llm import keys
from cas_llm.cli.verify import checks
from cas_llm.digest import digest_of
from cas_llm.errors import ObjectMissing, StoreError
from cas_llm.store import Store, answer, layout, tape
from cas_llm.store.manifest import parse_shared
from cas_llm.store.proof.verify import verify
from cas_llm.store.tape import Tape, Turn

HEX = "0123456789abcdef" * 4
# fmt: off
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**53, 2**64, 10**30, 1.5, 1e308, float("inf"), float("nan"), "",
    "x", "0", "1", "\ud800", "é", "\0", "..", "../../x", "a" * 300, HEX, HEX.upper(), [], {}, [[]],
    ["x"], [1], [None], {"a": 1}, [{}], {"key": HEX, "digest": HEX}, "cas-llm/tape/1", "cas-llm/tape/2",
    "cas-llm/answer/2", "compact", "indent-4", {"text": ["a"]}, {"base64": "AA=="}, {"part": HEX, "ext": "txt"},
    {"json": 1, "style": "compact", "sha256": HEX}, {"$cas:part": HEX, "type": "txt"}, {"$cas:int": "x"},
    {"$cas:part": 7, "type": []}, json.loads("[" * 500 + "]" * 500),
)
RESERVED = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(1, 10))}
SCOPES = (
    "tests/test_a.py::TestB::test_c[d-1]", "tests\\win\\test_a.py::t", "::", "a::b", "block", "../../etc/x::y",
    "/abs/x.py::t", "C:\\x.py::t", "con/aux.py::nul", "COM1.txt::lpt9[x]", "t.py::t[../..]", "t.py::.keep",
    ".git/hooks::x", "a/./b//c::d", "trailing. /dot.::x.", "é/ü.py::ß[😀]", "\ud800::\udfff", "a" * 300, "a/" * 200 + "b::c",
    "t::" + "p" * 300, "t::a.0.0123456789abcdef", "T::A", "t::a", "x\0y::z", "-rf::-x", "~::~", "$HOME::`x`", " ::\n",
)
# fmt: on
COMPONENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?\Z")


def _bend_document(data: bytes, rng: random.Random) -> bytes:
    """*data* with one value of it replaced, a member lost or a new one, or some bytes changed."""
    if rng.random() < 0.3:
        return bent(data, rng, BYTES)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return bent(data, rng, BYTES)
    for _ in range(rng.choice((1, 1, 2))):
        document = _bend_value(document, rng)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _bend_value(document: Any, rng: random.Random) -> Any:
    holders = [document]
    for item in holders:
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        holders += [child for child in inner if isinstance(child, dict | list) and child]
        if len(holders) > 60:
            break
    holder = rng.choice(holders)
    odd = deepcopy(rng.choice(ODD))
    if isinstance(holder, dict) and holder:
        name = rng.choice(list(holder))
        kind = rng.randrange(4)
        if kind == 0:
            del holder[name]
        elif kind == 1:
            holder[rng.choice(("key", "part", "json", "text", "chunks", "within", "marks"))] = odd
        else:
            holder[name] = odd
    elif isinstance(holder, list) and holder:
        holder[rng.randrange(len(holder))] = odd
    else:
        return odd
    return document


def _names_one_of(error: StoreError, *places: Path) -> None:
    assert error.path in places
    assert str(error.path) in str(error)
    assert "cas-llm" in str(error)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a file of every kind, to be copied and bent."""
    return every_kind(tmp_path_factory.mktemp("whole") / "cache_store")


def _contents(store: Store, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(store.root.glob(pattern)) if path.is_file()]


def test_any_bytes_are_a_tape_or_refused(whole: Store):
    """What is read as a tape has the types a tape has; all else is an error that names the file."""
    made = 0

    def check(data: bytes) -> None:
        nonlocal made
        path = Path(f"/store/t.0.{digest_of(data)[:16]}.json")
        try:
            found = tape.decode(data, path)
        except StoreError as error:
            _names_one_of(error, path)
            return
        made += 1
        assert isinstance(found.scope, str)
        assert isinstance(found.source, str)
        assert type(found.take) is int
        assert 0 <= found.take < 2**53
        assert found.data == data
        for turn in found.turns:
            assert all(type(line) is str for line in (*turn.ask, *turn.answer))
            names = [turn.key, turn.digest, *(name for pair in turn.within for name in pair)]
            assert all(re.fullmatch("[0-9a-f]{64}", name) for name in names)
        assert found.answers is not None
        assert found.inner is not None
        assert found.path(Path("/store")).is_relative_to("/store")
        again = Tape(found.scope, found.take, found.source, found.turns)
        assert tape.decode(again.data, again.path(Path("/store"))) == again

    tapes = st.sampled_from(_contents(whole, "manifest/tapes/**/*.json"))
    fuzz(check, tapes, _bend_document, share=0.09, what="bytes read as a tape")
    print(f"{made} of them tapes")
    assert made


def test_any_bytes_are_an_answer_or_refused(whole: Store):
    """What is read as an answer can be written again and read as the same; all else is refused."""
    parts = {path.name: path.read_bytes() for path in (whole.root / "objects").rglob("*.mp3")}
    made = 0

    def load(digest: str, ext: str) -> bytes:
        path = layout.object_path(Path("/store"), digest, ext)
        if path.name in parts:
            return parts[path.name]
        raise ObjectMissing(f"{path} is missing: cas-llm verify", digest=digest, path=path)

    def check(data: bytes) -> None:
        nonlocal made
        path = Path("/store/answer.json")
        try:
            found = answer.decode(data, load, path=path)
        except ObjectMissing:
            return
        except StoreError as error:
            _names_one_of(error, path)
            return
        made += 1
        assert type(found.response.status) is int
        assert type(found.response.body) is bytes
        assert type(found.ordinal) is int
        texts = (found.key, found.run, found.test, *found.ask, *found.answer, *found.marks)
        assert all(type(text) is str for text in texts)
        assert all(type(text) is str for pair in found.response.headers for text in pair)
        data, more = answer.encode(found)
        again = answer.decode(data, lambda digest, _: more[digest][1], path=path)
        assert again.response.body == found.response.body
        assert again.response.headers == found.response.headers

    answers = [data for data in _contents(whole, "objects/*/*.json") if b'"cas-llm/answer' in data]
    fuzz(check, st.sampled_from(answers), _bend_document, share=0.1, what="bytes read as an answer")
    print(f"{made} of them answers")
    assert made


def test_any_bytes_are_a_key_record_or_refused(whole: Store):
    """What is read as a key record proves its key and names parts by digests, or `ValueError`."""

    def check(data: bytes) -> None:
        try:
            record = keys.load_record(data)
            assert keys.rederive(data) == digest_of(data)
            parts = keys.parts_of(record)
        except ValueError:
            return
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in parts)
        assert all(re.fullmatch("[a-z0-9]{1,10}", ext) for ext in parts.values())

    def bend(data: bytes, rng: random.Random) -> bytes:
        data = _bend_document(data, rng)
        try:
            return keys.canonical(keys.parse(data)) if rng.random() < 0.8 else data
        except keys.NotCanonical:
            return data

    records = st.sampled_from(_contents(whole, "requests/*/*.json"))
    fuzz(check, records, bend, share=0.035, what="bytes read as a key record")


def test_any_name_is_a_shared_entry_exactly_when_it_is_written_so(whole: Store):
    """A name that is read as an entry is the one name of that entry."""
    known = [f"{p.parent.name}/{p.name}" for p in sorted(whole.root.glob("manifest/shared/*/*"))]
    tokens = (
        b"0",
        b"00",
        b".",
        b"a",
        b"A",
        b"9" * 30,
        b"/",
        b"\n",
        "٣".encode(),
        b" ",
        b"-1",
        b".keep",
    )

    def check(name: bytes) -> None:
        shard, _, rest = name.decode("utf-8", "replace").partition("/")
        entry = parse_shared(shard, rest)
        if entry is not None:
            written = f"{entry.key}.{entry.take}.{entry.run}.{entry.ordinal}.{entry.digest}"
            assert written == shard + rest
            assert re.fullmatch("[0-9a-f]{64}", entry.key)

    names = st.sampled_from(known).map(str.encode)
    fuzz(check, names, lambda n, rng: bent(n, rng, tokens), share=0.025, what="shared names")


def test_any_format_file_is_read_or_refused(tmp_path: Path):
    """The format file says this version, or opening the store is an error that names a file."""
    root = tmp_path / "cache_store"
    root.mkdir()
    tokens = (b"\n", b"\r\n", b"cas-llm/store/", b"1", b"2", "²".encode(), b"\xff", b"\0", b" ")

    def check(data: bytes) -> None:
        (root / "format").write_bytes(data)
        try:
            layout.read_format(root)
        except StoreError as error:
            _names_one_of(error, root, root / "format")
            return
        assert data.strip(b"\r\n") == layout.FORMAT.encode()

    formats = st.just(f"{layout.FORMAT}\n".encode())
    fuzz(check, formats, lambda d, rng: bent(d, rng, tokens), share=0.01, what="format files")


def test_any_test_id_has_a_portable_place_of_its_own():
    """Whatever the id: a path inside the store that every file system holds, and no two share one.

    Neither where case doesn't count, as the digest in the name covers the id.
    """
    places: dict[str, str] = {}
    bits = [text.encode("utf-8", "surrogatepass") for text in SCOPES]

    def check(data: bytes) -> None:
        scope = data.decode("utf-8", "surrogateescape")
        made = Tape(scope, 7, turns=(Turn(HEX, HEX),))
        path = made.path(Path("/s"))
        parts = path.relative_to(Path("/s", layout.TAPES)).parts
        assert len(parts) >= 1
        for part in parts:
            assert COMPONENT.match(part), part
            assert len(part) <= 120
            assert part.lower().partition(".")[0] not in RESERVED
        assert len("/".join(parts)) <= 230
        assert layout.TAPE_NAME.match(parts[-1])["stem"] == layout.tape_folder_and_stem(scope)[1]
        assert tape.decode(made.data, path).scope == scope, "the id inside is the truth"
        known = places.setdefault(str(path).casefold(), digest_of(made.data)[:16])
        assert known == digest_of(made.data)[:16]

    scopes = st.sampled_from(bits) | st.text(max_size=20).map(str.encode)
    fuzz(check, scopes, lambda s, rng: bent(s, rng, bits), share=0.025, what="test ids")


def _rename_to_digest(path: Path, data: bytes) -> Path:
    """The name that *data* has in the folder of *path*, so that only its contents can be wrong."""
    if path.parts[-4:-3] == ("manifest",) or "tapes" in path.parts:
        stem, take, _, _ = path.name.rsplit(".", 3)
        return path.with_name(f"{stem}.{take}.{digest_of(data)[:16]}.json")
    digest = digest_of(data)
    return path.parent.parent / digest[:2] / f"{digest[2:]}{path.suffix}"


def test_verify_tells_and_never_fails(whole: Store, tmp_path: Path):
    """Whatever bytes and names a store holds, `verify` ends with findings, at every level."""
    root = tmp_path / "cache_store"
    shutil.copytree(whole.root, root, ignore=shutil.ignore_patterns(".local"))
    places = [path.relative_to(root) for path in files_of(root)]

    def check(change: tuple[Path, bytes, bool, int]) -> None:
        place, data, renamed, level = change
        path = root / place
        before = path.read_bytes()
        target = _rename_to_digest(path, data) if renamed else path
        beside = target.exists() and target != path
        try:
            if not beside:
                path.unlink()
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(data)
            found = {finding.path for finding in verify(root, checks(), level=level, workers=1)}
            if level >= 2 and data != before and not renamed:
                assert place.as_posix() in found
        finally:
            if not beside:
                target.unlink()
            path.write_bytes(before)

    def bend(change: tuple[Path, bytes, bool, int], rng: random.Random) -> Any:
        place = rng.choice(places)
        data = _bend_document((root / place).read_bytes(), rng)
        renamed = len(place.parts) > 2 and place.suffix != "" and rng.random() < 0.7
        renamed = renamed and "shared" not in place.parts
        return place, data, renamed, rng.choice((0, 1, 2, 3, 3, 3, 3))

    start = st.just((Path("format"), f"{layout.FORMAT}\n".encode(), False, 3))
    fuzz(check, start, bend, share=0.01, what="damaged stores to verify")


def test_a_damaged_index_never_serves_another_answer(tmp_path: Path):
    """With any bytes for an index a look-up gives what the tapes say, or an error of ours."""
    store = every_kind(tmp_path / "cache_store")
    file = store.root / layout.LOCAL / "index.sqlite3"
    tapes = [store.manifest.load_tape(path) for path in store.manifest.tape_paths()]
    turn = tapes[0].turns[0]
    for folder in (store.root / layout.TAPES).rglob("*"):
        os.utime(folder, (1, 1))
    os.utime(store.root / layout.TAPES, (1, 1))
    store.index.tapes_with(turn.key)
    store.index.close()
    clean = file.read_bytes()

    def check(data: bytes) -> None:
        file.write_bytes(data)
        again = Store(store.root)
        try:
            for path in again.index.tapes_with(turn.key):
                found = again.manifest.load_tape(path)
                assert found.path(store.root) == path
        except StoreError:
            pass
        finally:
            again.index.close()

    def bend(_: bytes, rng: random.Random) -> bytes:
        data = bytearray(clean)
        for _ in range(rng.choice((1, 2, 8))):
            at = rng.randrange(len(data))
            data[at] ^= 1 << rng.randrange(8)
        cut = rng.randrange(len(data)) if rng.random() < 0.1 else len(data)
        return bytes(data[:cut])

    fuzz(check, st.just(b""), bend, share=0.005, what="damaged indexes")


def test_a_damaged_file_is_never_served(tmp_path: Path):
    """Any bytes in place of an answer or a part: the recorded body, or an error of ours."""
    store = Store(tmp_path / "cache_store")
    recording = recorded(asks("Say hello"), says("Hello!"))
    digest = store.save(recording)
    path = layout.object_path(store.root, digest)
    clean = path.read_bytes()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            found = store.load(digest)
        except StoreError as error:
            _names_one_of(error, path)
            return
        assert found.response == recording.answer.response

    fuzz(check, st.just(clean), _bend_document, share=0.01, what="damaged answers loaded")
