"""`verify` sees whatever is not as it was recorded, and `repair` puts it back."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from cas_llm import keys
from cas_llm.cli.verify import checks, lines_of
from cas_llm.digest import digest_of
from cas_llm.errors import StoreError
from cas_llm.providers import identify
from cas_llm.store import Answer, Recording, Shared, Store, Tape, layout
from cas_llm.store.proof import tracked
from cas_llm.store.proof.repair import repair
from cas_llm.store.proof.verify import Finding, Subset, verify
from cas_llm.store.tape import Turn
from cas_llm.wire import Request, Response

TEST = "tests/test_bot.py::test_greets"
RUN = "0a1b2c3d"


def recording(ask: str, said: str, run: str = RUN) -> Recording:
    """A chat with a system prompt long enough to be a part of its own."""
    import json

    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief.\n" * 12},
            {"role": "user", "content": ask},
        ],
    }
    request = Request(
        "POST",
        "https://api.openai.com/v1/chat/completions",
        (("content-type", "application/json"),),
        json.dumps(body).encode(),
    )
    record = keys.key_record(request, identify(request, {}).name)
    message = {"choices": [{"message": {"role": "assistant", "content": said}}], "model": "m"}
    response = Response(200, (("content-type", "application/json"),), json.dumps(message).encode())
    parts = {digest: (part.ext, part.data) for digest, part in record.parts.items()}
    provenance = {"recorder": checks().recorder}
    bare = Answer(record.key, response, run, provenance=provenance)
    shown = lines_of(record.data, bare, lambda digest, _: parts[digest][1])
    whole = Answer(record.key, response, run, ask=shown[0], answer=shown[1], provenance=provenance)
    return Recording(record.data, whole, parts)


def tape_of(*recordings: Recording, scope: str = TEST, source: str = "") -> Tape:
    turns = tuple(
        Turn(r.answer.key, r.files()[0], r.answer.ask, r.answer.answer) for r in recordings
    )
    return Tape(scope, 0, source, turns)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a tape of one turn and a shared entry, both with a part."""
    made = Store(tmp_path / "repo" / "cache_store")
    told, shared = recording("Say hello", "Hello!"), recording("Say bye", "Bye!")
    made.save(told)
    made.add_tape(tape_of(told))
    made.add_shared(Shared(shared.answer.key, 0, RUN, 1, made.save(shared)))
    return made


@pytest.fixture
def committed(store: Store, project) -> Store:
    """The same store, committed to git."""
    target = project.path / "cache_store"
    shutil.copytree(store.root, target, ignore=shutil.ignore_patterns(".local"))
    project.commit()
    return Store(target)


def found(store: Store, level: int = 3, **options: object) -> list[Finding]:
    return list(verify(store.root, checks(), level=level, **options))


def codes(store: Store, level: int = 3) -> set[str]:
    return {finding.code for finding in found(store, level)}


def files(store: Store) -> list[Path]:
    return sorted(
        path
        for path in store.root.rglob("*")
        if path.is_file() and ".local" not in path.relative_to(store.root).parts
    )


def one(store: Store, pattern: str) -> Path:
    return min(store.root.glob(pattern))


def answer_of_the_tape(store: Store) -> Path:
    tape = store.manifest.load_tape(next(store.manifest.tape_paths()))
    return layout.object_path(store.root, tape.turns[0].digest)


def test_a_store_as_recorded_has_no_finding(store: Store) -> None:
    """What was recorded and not touched is proved, at every level."""
    for level in range(4):
        assert found(store, level) == []


def test_any_flipped_byte_of_any_file_is_seen(store: Store) -> None:
    """No byte of any file can change without a finding that names the file."""
    for path in files(store):
        whole = path.read_bytes()
        places = {*range(0, len(whole), 41), len(whole) - 1} if whole else set()
        for place in sorted(places):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            named = {finding.path for finding in found(store)}
            assert path.relative_to(store.root).as_posix() in named, f"{path} at {place}"
        path.write_bytes(whole)
    assert found(store) == []


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(7, id="every seventh"),
        pytest.param(1, id="each", marks=pytest.mark.slow),
    ],
)
def test_any_changed_character_of_a_name_is_seen(committed: Store, step: int) -> None:
    """No character of a recording's name can change without a finding, git's included."""
    for number, path in enumerate(files(committed)):
        for place in range(number % step, len(path.name), step):
            letter = chr(ord(path.name[place]) ^ 1)
            if letter == "/":
                continue
            other = path.with_name(path.name[:place] + letter + path.name[place + 1 :])
            path.rename(other)
            seen = {f.severity for f in found(committed)}
            if not seen & {"error", "warning"}:
                seen = {f.severity for f in tracked.compare(committed.root)}
            assert seen & {"error", "warning"}, other
            other.rename(path)


def test_a_byte_in_a_shared_entry_is_seen(store: Store) -> None:
    """A shared entry is an empty file; anything in it is a finding."""
    one(store, "manifest/shared/*/*").write_bytes(b"x")
    assert codes(store) == {"CAS021"}


@pytest.mark.parametrize("cut", [0, 20])
def test_a_truncated_file_is_named_with_its_tests_and_the_command(store: Store, cut: int) -> None:
    """A file that was cut off is an error that says what, where, why and what next."""
    path = answer_of_the_tape(store)
    path.write_bytes(path.read_bytes()[:cut])
    finding = next(f for f in found(store, 2) if f.code == "CAS020")
    assert finding.path == path.relative_to(store.root).as_posix()
    assert finding.tests == (TEST,)
    assert finding.command == "cas-llm verify --repair"
    assert finding.why


def test_merge_markers_are_told_as_such(store: Store) -> None:
    """A tape with conflict markers says so instead of a parser's words."""
    path = next(store.manifest.tape_paths())
    path.write_bytes(b"<<<<<<< ours\n" + path.read_bytes() + b">>>>>>> theirs\n")
    assert "merge conflict" in found(store, 1)[0].what


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("requests/*/*.json", "CAS011"),
        ("objects/*/*.txt", "CAS012"),
    ],
)
def test_a_missing_file_is_named_where_it_should_be(store: Store, pattern: str, code: str) -> None:
    """A reference to nothing is an error at the place of what is missing."""
    path = one(store, pattern)
    path.unlink()
    finding = next(f for f in found(store, 1) if f.code == code)
    assert finding.path == path.relative_to(store.root).as_posix()


def test_a_missing_answer_names_the_test_that_needs_it(store: Store) -> None:
    """The tests that replay from a missing answer are named."""
    answer_of_the_tape(store).unlink()
    assert [(f.code, f.tests) for f in found(store, 1) if f.severity == "error"] == [
        ("CAS010", (TEST,))
    ]


@pytest.mark.parametrize(
    "name", ["notes.txt", "objects/ab/short.json", "manifest/shared/ab/x", "requests/.DS_Store"]
)
def test_a_foreign_file_is_an_error(store: Store, name: str) -> None:
    """Nothing that cas-llm did not write may lie in a store."""
    path = store.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert [(f.code, f.path) for f in found(store, 0)] == [("CAS004", name)]


def test_a_keep_file_is_welcome(store: Store) -> None:
    """`prune` keeps folders with .keep files; they are no findings."""
    (store.root / "objects" / ".keep").touch()
    assert found(store) == []


def test_an_orphan_is_information(store: Store) -> None:
    """What nothing names is harmless: re-recorded tests leave it behind."""
    store.save(recording("Nobody asks", "Nobody"))
    assert {(f.code, f.severity) for f in found(store)} == {("CAS013", "info")}


def test_a_consistent_forgery_is_seen(store: Store) -> None:
    """An answer changed under a new digest with a new tape still shows lines that are not its."""
    honest = recording("Say hello", "Hello!")
    forged = recording("Say hello", "Send me your password")
    lying = Answer(
        forged.answer.key,
        forged.answer.response,
        RUN,
        ask=honest.answer.ask,
        answer=honest.answer.answer,
        provenance=forged.answer.provenance,
    )
    record = Recording(forged.record, lying, forged.parts)
    store.save(record)
    store.add_tape(tape_of(record, scope="tests/test_bot.py::test_forged"))
    assert ("CAS032", "error") in {(f.code, f.severity) for f in found(store)}


def test_a_key_record_that_is_not_canonical_is_seen(store: Store) -> None:
    """A record rewritten under the digest of its new bytes does not give that key."""
    data = recording("x", "y").record.replace(b'"method":', b'"method": ')
    store.objects.add_request(digest_of(data), data)
    assert "CAS030" in codes(store)


def test_a_secret_is_seen(store: Store) -> None:
    """A secret that got past the recorder is an error that names the kind, not the value."""
    secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
    store.save(recording("x", secret))
    finding = next(f for f in found(store) if f.code == "CAS033")
    assert secret not in str(finding)


def test_tied_tapes_are_a_warning_with_their_test(store: Store) -> None:
    """Two tapes of equal source and take are legal, and never silent."""
    other = recording("Say hello", "Hi there!")
    store.save(other)
    store.add_tape(tape_of(other))
    finding = next(f for f in found(store) if f.code == "CAS040")
    assert (finding.severity, finding.tests) == ("warning", (TEST,))


def test_a_newer_format_is_an_error(store: Store) -> None:
    """A store of a later version says to upgrade."""
    (store.root / "format").write_text("cas-llm/store/9\n")
    finding = found(store, 0)[0]
    assert finding.code == "CAS001"
    assert "upgrade" in finding.what


def test_the_parts_of_a_subset_make_the_whole(store: Store) -> None:
    """Each damaged file is seen by exactly one part of all."""
    path = answer_of_the_tape(store)
    path.write_bytes(b"{}")
    hits = [
        number
        for number in range(1, 6)
        if any(f.code == "CAS020" for f in found(store, 2, subset=Subset(number, 5)))
    ]
    assert len(hits) == 1


@pytest.mark.parametrize(
    ("digest", "number"), [("ffffffff", 1), ("12345678", 2), ("0000000c", 3), ("0000000d", 4)]
)
def test_which_part_a_file_is_in_never_changes(digest: str, number: int) -> None:
    """Machines of several releases may share the work: its first eight hex digits decide."""
    parts = [n for n in range(1, 6) if Subset(n, 5).holds(digest + "7" * 56)]
    assert parts == [number]
    assert Subset().holds(digest + "7" * 56)


def test_every_damaged_file_is_restored_from_git(committed: Store) -> None:
    """What git holds whole comes back byte for byte, whether damaged or gone."""
    before = {path: path.read_bytes() for path in files(committed)}
    for number, path in enumerate(before):
        if not before[path]:
            continue
        if number % 2:
            path.write_bytes(b"damaged")
        else:
            path.unlink()
    list(repair(committed.root, found(committed)))
    list(repair(committed.root, found(committed)))  # a restored tape shows what else is missing
    after = {path: path.read_bytes() for path in files(committed)}
    assert after == before


def test_what_git_does_not_hold_is_set_aside_with_the_command(store: Store) -> None:
    """A file that cannot be restored is moved, never deleted, and its test's command is named."""
    path = answer_of_the_tape(store)
    path.write_bytes(b"damaged")
    mended = [m for m in repair(store.root, found(store)) if not m.restored]
    assert mended[0].command == f"pytest {TEST} --cas-llm=capture"
    assert (store.root / ".local" / "bad" / path.name).read_bytes() == b"damaged"


def test_git_shows_what_is_not_added_or_was_changed(committed: Store, project) -> None:
    """Level 4 names files git does not hold, holds otherwise, or holds with other line ends."""
    assert list(tracked.compare(committed.root)) == []
    committed.save(recording("new", "new"))
    assert {f.code for f in tracked.compare(committed.root)} == {"CAS056"}
    project.commit()
    path = one(committed, "objects/*/*.txt")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    finding = next(tracked.compare(committed.root))
    assert (finding.code, "line ends" in finding.what) == ("CAS052", True)
    path.unlink()
    assert {f.code for f in tracked.compare(committed.root)} == {"CAS051"}


def test_a_store_that_git_ignores_is_an_error(committed: Store, project) -> None:
    """An ignored store would never be committed."""
    project.file(".gitignore", "cache_store/\n")
    assert [f.code for f in tracked.compare(committed.root)] == ["CAS053"]


def test_the_corpus_gives_no_finding(corpus, tmp_path: Path) -> None:
    """Real requests and answers come out the same when derived anew."""
    import json

    made, asked = Store(tmp_path / "s"), Counter()
    for exchange in corpus[::4]:
        sent, got = exchange["request"], exchange["response"]
        body = json.dumps(sent["json"]) if "json" in sent else sent.get("text", "")
        reply = json.dumps(got["json"]) if "json" in got else got.get("text", "")
        headers = tuple((k.lower(), v) for k, v in exchange["headers"].items())
        request = Request(
            exchange["method"],
            exchange["url"],
            tuple((k.lower(), v) for k, v in exchange["request_headers"].items()),
            body.encode(),
        )
        record = keys.key_record(request, identify(request, {}).name)
        asked[record.key] += 1
        ordinal = asked[record.key]
        parts = {digest: (part.ext, part.data) for digest, part in record.parts.items()}
        provenance = {"recorder": checks().recorder}
        bare = Answer(
            record.key,
            Response(exchange["status"], headers, reply.encode()),
            RUN,
            provenance=provenance,
        )
        from cas_llm.providers import provider_for

        provider = provider_for(identify(request, {}).family)
        message = provider.message(bare.response.body, bare.response.header("content-type"))
        whole = Answer(
            record.key,
            bare.response,
            RUN,
            ordinal,
            ask=provider.ask(record.body),
            answer=provider.answer(message),
            provenance=provenance,
        )
        digest = made.save(Recording(record.data, whole, parts))
        made.add_shared(Shared(record.key, 0, RUN, ordinal, digest))
    if corpus:
        bad = {(f.code, f.what) for f in found(made) if f.code != "CAS033"}
        assert bad == set()


def test_a_repair_that_cannot_write_is_one_clear_error(
    committed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the file and what to do; nothing is half mended."""
    from cas_llm.store.files import Writer
    from cas_llm.store.proof.repair import repair

    path = one(committed, "objects/*/*.json")
    path.write_bytes(b"{}\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Writer, "replace", refuse)
    with pytest.raises(StoreError, match="cannot write .*Permission denied"):
        list(repair(committed.root, found(committed)))
    assert path.read_bytes() == b"{}\n"


def test_a_store_may_be_a_repository_of_its_own(store: Store) -> None:
    """Or a submodule, where `.git` is a file: neither is foreign."""
    (store.root / ".git").mkdir()
    (store.root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert found(store) == []
    shutil.rmtree(store.root / ".git")
    (store.root / ".git").write_text("gitdir: ../.git/modules/cache_store\n")
    assert found(store) == []
