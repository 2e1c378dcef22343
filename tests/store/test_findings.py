"""What `verify` says, word for word: where, what, why, the next command, and the tests it breaks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.stores import RUN, TEST, asks, recorded, says, tape_of

from cas_llm.cli.verify import checks
from cas_llm.digest import digest_of
from cas_llm.store import Shared, Store, layout
from cas_llm.store.proof.verify import Finding, verify
from cas_llm.store.tape import Tape

REPAIR = "cas-llm verify --repair"
TOLD = recorded(asks("Say hello"), says("Hello!"))
SHARED = recorded(asks("Say bye"), says("Bye!"))
OTHER = recorded(asks("Say hello"), says("Hi there!"))
ANSWER, _ = TOLD.files()
[PART] = TOLD.parts
TAPE = tape_of(TOLD)


def name_of(folder: str, digest: str, ext: str = "json") -> str:
    return layout.sharded(folder, digest, ext)


ANSWER_FILE = name_of("objects", ANSWER)
RECORD_FILE = name_of("requests", TOLD.answer.key)
PART_FILE = name_of("objects", PART, "txt")
TAPE_FILE = TAPE.path(Path()).as_posix()


def entry_file(answered: str, run: str = RUN, ordinal: int = 1) -> str:
    key = SHARED.answer.key
    return f"manifest/shared/{key[:2]}/{key[2:]}.0.{run}.{ordinal}.{answered}"


ENTRY_FILE = entry_file(SHARED.files()[0])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One tape of one turn and one shared entry."""
    made = Store(tmp_path / "repo" / "cache_store")
    made.save(TOLD)
    made.add_tape(TAPE)
    made.add_shared(Shared(SHARED.answer.key, 0, RUN, 1, made.save(SHARED)))
    return made


def found(store: Store, level: int = 3) -> list[Finding]:
    return list(verify(store.root, checks(), level=level))


def write(name: str, data: bytes) -> Callable[[Store], None]:
    def damage(store: Store) -> None:
        path = store.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return damage


def append(name: str, data: bytes) -> Callable[[Store], None]:
    return lambda store: write(name, (store.root / name).read_bytes() + data)(store)


def without(name: str) -> Callable[[Store], None]:
    return lambda store: (store.root / name).unlink()


def save(*recordings) -> Callable[[Store], None]:
    return lambda store: [store.save(recording) for recording in recordings]


def rename(name: str, other: str) -> Callable[[Store], None]:
    return lambda store: (store.root / name).rename(store.root / other)


def taped(recording, **more: str) -> Callable[[Store], None]:
    def add(store: Store) -> None:
        store.save(recording)
        store.add_tape(tape_of(recording, **more))

    return add


def alone(store: Store) -> None:
    """An answer whose key record is gone, named by nothing."""
    recording = recorded(asks("x"), says("y"))
    store.save(recording)
    layout.request_path(store.root, recording.answer.key).unlink()


def shared_tie(store: Store) -> None:
    store.add_shared(Shared(SHARED.answer.key, 0, RUN, 1, store.save(SECOND)))


def retold(store: Store) -> None:
    store.add_tape(Tape("t.py::u", 0, "", (TAPE.turns[0], replace(TAPE.turns[0], ask=("no",)))))


def no_answer(store: Store) -> None:
    store.objects.add(EMPTY, b"{}\n")
    store.add_tape(Tape("t.py::u", 0, "", (replace(TAPE.turns[0], digest=EMPTY),)))


def put_request(data: bytes) -> Callable[[Store], None]:
    return lambda store: store.objects.add_request(digest_of(data), data)


EMPTY = digest_of(b"{}\n")
SECOND = recorded(asks("Say bye"), says("Bye bye!"))
LEAK = recorded(asks("x"), says("ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"))
LYING = replace(OTHER, answer=replace(OTHER.answer, ask=("x",), answer=("y",)))
OLD = replace(
    OTHER, answer=replace(OTHER.answer, answer=("y",), provenance={"recorder": "cas-llm 0.0.1"})
)
SPACED = TOLD.record.replace(b'"method":', b'"method": ')
ALONE = recorded(asks("x"), says("y"))
GONE = "0" * 62

RULES = "git may then convert or merge recordings, or track what belongs to one machine"
FOREIGN = "nothing will ever read it; if a recording was renamed, its real name is missing"
AWAY = "move it away, or git checkout what it was"
REFUSED = "replay refuses it rather than serve what was not recorded"
UNUSABLE = "a test would be served another answer than its own, so replay refuses it"
UNREAD = "no tape that can be read names it: its test was re-recorded, or the tape is damaged"
WRITTEN = "its bytes have the digest of its name, so it was written like this"
CUT_OFF = "it was edited or cut off: its name does not carry its digest"
NAMED = "its name was changed, or another tool wrote it"
UNFIT = "bytes do not have the digest of its name"


def foreign(name: str, what: str) -> tuple[object, ...]:
    return ("CAS004", "error", name, what, FOREIGN, AWAY, ())


def orphan(name: str) -> tuple[object, ...]:
    return ("CAS013", "info", name, "nothing names it", UNREAD, "cas-llm prune", ())


def rules(name: str, what: str) -> tuple[object, ...]:
    return ("CAS002", "error", name, what, RULES, REPAIR, ())


def cut(name: str, what: str, *tests: str) -> tuple[object, ...]:
    return ("CAS020", "error", name, f"{what} {UNFIT}", REFUSED, REPAIR, tests)


ORPHANS = [orphan(ANSWER_FILE), orphan(RECORD_FILE)]

DAMAGES = {
    "a format of other line ends": (
        write("format", b"cas-llm/store/1\r\n"),
        [
            (
                "CAS001",
                "warning",
                "format",
                "has other white space or line ends than were written",
                "something rewrites files",
                REPAIR,
                (),
            )
        ],
    ),
    "no .gitattributes": (
        without(".gitattributes"),
        [rules(".gitattributes", "is missing or empty")],
    ),
    "no .gitignore": (without(".gitignore"), [rules(".gitignore", "is missing or empty")]),
    "a rule less": (
        write(".gitattributes", b"objects/** -text\n"),
        [rules(".gitattributes", "lacks the line '*                -text -merge'")],
    ),
    "a comment more": (
        append(".gitattributes", b"# x\n"),
        [
            (
                "CAS003",
                "info",
                ".gitattributes",
                "differs from what this version writes",
                "nothing reads it",
                "",
                (),
            )
        ],
    ),
    "no readme": (
        without("README.md"),
        [("CAS003", "info", "README.md", "is missing", "nothing reads it", REPAIR, ())],
    ),
    "notes at the top": (
        write("notes.txt", b""),
        [foreign("notes.txt", "does not belong into a store")],
    ),
    "an object without a digest": (
        write("objects/ab/short.json", b""),
        [foreign("objects/ab/short.json", "is not named by a digest")],
    ),
    "an object beside its folder": (
        write(f"objects/{GONE}.json", b""),
        [foreign(f"objects/{GONE}.json", "is not named by a digest")],
    ),
    "an object in a folder that is no shard": (
        write(f"objects/zz/{GONE}.json", b""),
        [foreign(f"objects/zz/{GONE}.json", "is not named by a digest")],
    ),
    "an object one folder too deep": (
        write(f"objects/ab/cd/{GONE}.json", b""),
        [foreign(f"objects/ab/cd/{GONE}.json", "is not named by a digest")],
    ),
    "an entry in a folder that is no shard": (
        write(f"manifest/shared/zz/{Path(ENTRY_FILE).name}", b""),
        [
            foreign(
                f"manifest/shared/zz/{Path(ENTRY_FILE).name}", "is not the name of a shared entry"
            )
        ],
    ),
    "an entry one folder too deep": (
        write(f"manifest/shared/ab/cd/{Path(ENTRY_FILE).name}", b""),
        [foreign(f"manifest/shared/ab/cd/{Path(ENTRY_FILE).name}", "does not belong into a store")],
    ),
    "a key record as text": (
        write(f"requests/ab/{GONE}.txt", b""),
        [foreign(f"requests/ab/{GONE}.txt", "a key record ends in .json")],
    ),
    "an entry of another name": (
        write("manifest/shared/ab/x", b""),
        [foreign("manifest/shared/ab/x", "is not the name of a shared entry")],
    ),
    "no tape among tapes": (
        write("manifest/tapes/notes.json", b""),
        [foreign("manifest/tapes/notes.json", "does not belong into a store")],
    ),
    "a link": (
        lambda store: (store.root / "objects" / "zz").symlink_to(store.root),
        [foreign("objects/zz", "is not a plain file")],
    ),
    "no answer of a tape": (
        without(ANSWER_FILE),
        [
            (
                "CAS010",
                "error",
                ANSWER_FILE,
                f"is missing: the answer {ANSWER[:12]}",
                f"{TAPE_FILE} names it",
                REPAIR,
                (TEST,),
            )
        ],
    ),
    "no answer of an entry": (
        without(name_of("objects", SHARED.files()[0])),
        [
            (
                "CAS010",
                "error",
                name_of("objects", SHARED.files()[0]),
                f"is missing: the answer {SHARED.files()[0][:12]}",
                f"{ENTRY_FILE} names it",
                REPAIR,
                (),
            )
        ],
    ),
    "no key record": (
        without(RECORD_FILE),
        [
            (
                "CAS011",
                "error",
                RECORD_FILE,
                f"is missing: the key record {TOLD.answer.key[:12]}",
                f"{TAPE_FILE} names it",
                REPAIR,
                (TEST,),
            )
        ],
    ),
    "no part": (
        without(PART_FILE),
        [
            (
                "CAS012",
                "error",
                PART_FILE,
                f"is missing: the part {PART[:12]}",
                f"{name_of('requests', min(TOLD.answer.key, SHARED.answer.key))} names it",
                REPAIR,
                (),
            )
        ],
    ),
    "an empty answer": (
        write(ANSWER_FILE, b""),
        [cut(ANSWER_FILE, "is empty: its 0", TEST)],
    ),
    "a longer key record": (
        append(RECORD_FILE, b"x"),
        [cut(RECORD_FILE, f"was changed or cut off: its {len(TOLD.record) + 1}", TEST)],
    ),
    "a longer part": (
        append(PART_FILE, b"x"),
        [cut(PART_FILE, "was changed or cut off: its 121")],
    ),
    "a longer tape": (
        append(TAPE_FILE, b"x"),
        [
            (
                "CAS020",
                "error",
                TAPE_FILE,
                f"is not a tape that can be used ({CUT_OFF})",
                UNUSABLE,
                REPAIR,
                (),
            ),
            *ORPHANS,
        ],
    ),
    "a tape with markers": (
        write(TAPE_FILE, b"<<<<<<< a\n"),
        [
            (
                "CAS020",
                "error",
                TAPE_FILE,
                "is not a tape that can be used (it holds merge conflict markers)",
                UNUSABLE,
                REPAIR,
                (),
            ),
            *ORPHANS,
        ],
    ),
    "bytes in an entry": (
        write(ENTRY_FILE, b"x"),
        [
            (
                "CAS021",
                "error",
                ENTRY_FILE,
                "is not empty",
                "the name is the entry; git or an editor put something in",
                REPAIR,
                (),
            )
        ],
    ),
    "a moved tape": (
        rename(TAPE_FILE, f"manifest/tapes/{Path(TAPE_FILE).name}"),
        [
            (
                "CAS034",
                "error",
                f"manifest/tapes/{Path(TAPE_FILE).name}",
                "was renamed or moved",
                f"its contents say that it is {TAPE_FILE}; by its name nobody finds it",
                REPAIR,
                (TEST,),
            )
        ],
    ),
    "tied tapes": (
        taped(OTHER),
        [
            (
                "CAS040",
                "warning",
                min(TAPE, tape_of(OTHER), key=lambda t: t.digest).path(Path()).as_posix(),
                "ties with " + max(TAPE, tape_of(OTHER), key=lambda t: t.digest).path(Path()).name,
                f"two branches recorded {TEST}; this one is used, on every machine",
                f"pytest '{TEST}' --cas-llm=capture, or delete the unwanted one",
                (TEST,),
            )
        ],
    ),
    "another run": (
        rename(ENTRY_FILE, entry_file(SHARED.files()[0], "ffffffff")),
        [
            (
                "CAS035",
                "warning",
                entry_file(SHARED.files()[0], "ffffffff"),
                "says run ffffffff, but none of its answers was recorded by that run",
                NAMED,
                "",
                (),
            )
        ],
    ),
    "another ordinal": (
        rename(ENTRY_FILE, entry_file(SHARED.files()[0], ordinal=2)),
        [
            (
                "CAS036",
                "warning",
                entry_file(SHARED.files()[0], ordinal=2),
                "says ordinal 2, its answer says 1",
                NAMED,
                "",
                (),
            )
        ],
    ),
    "tied entries": (
        shared_tie,
        [
            (
                "CAS040",
                "warning",
                min(ENTRY_FILE, entry_file(SECOND.files()[0])),
                f"ties with {Path(max(ENTRY_FILE, entry_file(SECOND.files()[0]))).name}",
                "two branches recorded answer 1; this one is used, on every machine",
                "delete the unwanted one",
                (),
            )
        ],
    ),
    "an answer nobody needs": (save(OTHER), [orphan(name_of("objects", OTHER.files()[0]))]),
    "an answer without its request": (
        alone,
        [
            (
                "CAS011",
                "warning",
                name_of("requests", ALONE.answer.key),
                f"is missing: the key record {ALONE.answer.key[:12]}",
                f"{name_of('objects', ALONE.files()[0])} was recorded for it",
                "",
                (),
            ),
            orphan(name_of("objects", ALONE.files()[0])),
        ],
    ),
    "a request in another layout": (
        put_request(SPACED),
        [
            (
                "CAS030",
                "error",
                name_of("requests", digest_of(SPACED)),
                f"gives the key {TOLD.answer.key[:12]} when derived anew",
                "a request like this would never be looked up under this name",
                REPAIR,
                (),
            ),
            orphan(name_of("requests", digest_of(SPACED))),
        ],
    ),
    "no request": (
        put_request(b"{}\n"),
        [
            (
                "CAS030",
                "error",
                name_of("requests", EMPTY),
                'is no key record: not a key record: it has no member "k"',
                WRITTEN,
                REPAIR,
                (),
            ),
            orphan(name_of("requests", EMPTY)),
        ],
    ),
    "no answer": (
        no_answer,
        [
            (
                "CAS031",
                "error",
                name_of("objects", EMPTY),
                "is no answer: 'body'",
                "a tape or shared entry names it",
                REPAIR,
                ("t.py::u",),
            )
        ],
    ),
    "lines of another answer": (
        taped(LYING, scope="t.py::u"),
        [
            (
                "CAS032",
                "error",
                name_of("objects", LYING.files()[0]),
                f"its lines {member!r} are not what comes out of its {source}",
                "somebody changed one of them",
                REPAIR,
                ("t.py::u",),
            )
            for member, source in (("ask", "request"), ("answer", "body"))
        ],
    ),
    "lines of another version": (
        taped(OLD, scope="t.py::u"),
        [
            (
                "CAS032",
                "warning",
                name_of("objects", OLD.files()[0]),
                "its lines 'answer' are not what comes out of its body",
                "another version recorded it",
                "",
                ("t.py::u",),
            )
        ],
    ),
    "a tape that shows something else": (
        retold,
        [
            (
                "CAS032",
                "error",
                Tape("t.py::u", 0, "", (TAPE.turns[0], replace(TAPE.turns[0], ask=("no",))))
                .path(Path())
                .as_posix(),
                "turn 2 does not show what its request and answer say",
                "a reviewer would read something else than what replays",
                REPAIR,
                ("t.py::u",),
            )
        ],
    ),
    "a secret": (
        save(LEAK),
        [
            (
                "CAS033",
                "error",
                name_of("objects", LEAK.files()[0]),
                "holds what looks like a secret: GitHub Token at $.answer[0]",
                "whoever can read the repository can use it: revoke it first",
                "cas-llm edit, or record again with a redact rule in [tool.cas-llm]",
                (),
            ),
            orphan(name_of("objects", LEAK.files()[0])),
            orphan(name_of("requests", LEAK.answer.key)),
        ],
    ),
}


def test_a_secret_is_seen_in_every_kind_of_file(store: Store) -> None:
    """Key record, text part and answer; the command and the warning are the same."""
    secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3gH6"
    asked = recorded(asks(secret), says("no"))
    long = recorded(asks("x", note=f"{secret}\n" * 7), says("no"))
    store.save(asked)
    store.save(long)
    [part] = long.parts.keys() - TOLD.parts.keys()
    places = {
        name_of("requests", asked.answer.key),
        name_of("objects", asked.files()[0]),
        name_of("objects", part, "txt"),
    }
    assert {one.path for one in found(store) if one.code == "CAS033"} == places
    assert [one for one in found(store, 2) if one.code == "CAS033"] == []


def test_shared_requests_do_not_tie_with_each_other(store: Store) -> None:
    """Only entries of one request, take and run for one ordinal do."""
    others = [recorded(asks(f"Say {n}"), says(f"{n}!")) for n in range(6)]
    for other in others:
        store.add_shared(Shared(other.answer.key, 0, RUN, 1, store.save(other)))
    second = recorded(asks("Say 0"), says("again"), "1b2c3d4e")
    store.add_shared(Shared(second.answer.key, 0, "1b2c3d4e", 1, store.save(second)))
    later = recorded(asks("Say 0"), says("later"))
    store.add_shared(Shared(later.answer.key, 1, RUN, 1, store.save(later)))
    assert found(store) == []


def test_an_edited_answer_may_stand_under_any_run_and_ordinal(store: Store) -> None:
    """An edit replaces what it found, wherever that stood; only then is it no doubt."""
    for marks, codes in ((("edited",), set()), (("scripted",), {"CAS035", "CAS036"})):
        made = recorded(asks(f"Say {marks}"), says("no"))
        other = replace(made, answer=replace(made.answer, marks=marks))
        store.add_shared(Shared(other.answer.key, 0, "ffffffff", 2, store.save(other)))
        assert {one.code for one in found(store)} == codes


def test_all_that_tie_are_named(store: Store) -> None:
    """The one that is used first, then the others by their digests."""
    made = [TAPE]
    for text in ("Hi!", "Hey!"):
        taped(recorded(asks("Say hello"), says(text)))(store)
        made.append(tape_of(recorded(asks("Say hello"), says(text))))
    used, *others = [one.path(Path()) for one in sorted(made, key=lambda tape: tape.digest)]
    [finding] = found(store)
    assert finding.path == used.as_posix()
    assert finding.what == f"ties with {others[0].name}, {others[1].name}"


def test_all_entries_that_tie_are_named(store: Store) -> None:
    """In the order of their digests."""
    names = [ENTRY_FILE]
    for text in ("Bye bye!", "Goodbye!"):
        other = recorded(asks("Say bye"), says(text))
        names.append(entry_file(store.save(other)))
        store.add_shared(Shared(SHARED.answer.key, 0, RUN, 1, other.files()[0]))
    used, *others = sorted(names)
    [finding] = found(store)
    assert (finding.path, finding.code) == (used, "CAS040")
    assert finding.what == f"ties with {Path(others[0]).name}, {Path(others[1]).name}"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_finding_says_all_that_mending_needs(store: Store, damage: str) -> None:
    """The place, what is wrong there, why it matters, the next command, the tests: no more."""
    make, expected = DAMAGES[damage]
    make(store)
    told = [
        (one.code, one.severity, one.path, one.what, one.why, one.command, one.tests)
        for one in found(store)
    ]
    assert told == expected


READS = "this cas-llm reads 'cas-llm/store/1'"
UPGRADE = "upgrade it with: pip install -U cas-llm"
CHECKOUT = "restore it with: git checkout HEAD -- format (in {root})"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "no cas-llm store at {root}: it has no file 'format'; make one with: cas-llm init"),
        (
            "cas-llm/store/9\n",
            f"{{root}}/format says 'cas-llm/store/9', {READS}; {UPGRADE}",
        ),
        (
            "x" * 50,
            f"{{root}}/format says '{'x' * 40}' instead of 'cas-llm/store/1'; {CHECKOUT}",
        ),
    ],
)
def test_a_format_that_cannot_be_read_says_why(store: Store, text: str | None, what: str) -> None:
    """Gone, of a later version, or something else: each with what to do."""
    (store.root / "format").unlink()
    if text is not None:
        (store.root / "format").write_text(text)
    why = "without it nobody knows how to read the rest"
    assert found(store) == [
        Finding("CAS001", "error", "format", what.format(root=store.root), why, REPAIR)
    ]


@pytest.mark.parametrize(
    ("end", "place"), [("/manifest/shared", "manifest/shared"), ("/cache_store/", ".")]
)
def test_a_folder_that_cannot_be_read_is_an_error(store: Store, monkeypatch, end, place) -> None:
    """What lies in it is not taken for absent without a word."""
    real = os.scandir

    def scandir(folder):
        if str(folder).endswith(end):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found(store, 0) == [
        Finding(
            "CAS005",
            "error",
            place,
            "cannot be read: Permission denied",
            "nobody knows what lies in it, so nothing of it is proved",
            "look at its permissions and its disk",
        )
    ]


def test_an_answer_that_cannot_be_decoded_names_its_tests(store: Store) -> None:
    """Its bytes are what was written, and nobody can read them."""
    data = layout.object_path(store.root, ANSWER).read_bytes()
    odd = data.replace(b'"style": "spaced"', b'"style": "unheard of"')
    assert odd != data
    digest = digest_of(odd)
    store.objects.add(digest, odd)
    store.add_tape(Tape("t.py::u", 0, "", (replace(TAPE.turns[0], digest=digest),)))
    name = name_of("objects", digest)
    assert found(store) == [
        Finding(
            "CAS031",
            "error",
            name,
            "is not an answer this version can read (its body has the unknown style 'unheard of')",
            WRITTEN,
            REPAIR,
            ("t.py::u",),
        )
    ]


@pytest.mark.parametrize(
    ("level", "noted", "version", "notes"),
    [(3, False, "1", 0), (1, True, "1", 0), (3, True, "", 0), (3, True, "1", 1), (2, True, "1", 1)],
)
def test_what_was_proved_is_noted_only_where_that_is_asked(
    store: Store, monkeypatch, level: int, noted: bool, version: str, notes: int
) -> None:
    """And where bytes were read, by a judge that says which it is."""
    monkeypatch.setattr("cas_llm.store.proof.noted.SETTLED_NS", -(10**18))
    judge = replace(checks(), version=version)
    assert list(verify(store.root, judge, level=level, noted=noted)) == []
    assert (store.root / ".local" / "verified").is_dir() is bool(notes)


def test_a_finding_reads_as_one_line() -> None:
    """Code, severity, place, what, and why where there is a reason."""
    assert str(Finding("CAS010", "error", "a", "is b", "c")) == "CAS010 error: a: is b (c)"
    assert str(Finding("CAS010", "info", "a", "is b")) == "CAS010 info: a: is b"


def test_every_file_is_counted_once(store: Store) -> None:
    """A progress bar ends where the recordings end."""
    counts: list[int] = []
    assert list(verify(store.root, checks(), seen=counts.append)) == []
    assert (
        sum(counts) == len([*store.root.glob("requests/*/*"), *store.root.glob("objects/*/*")]) + 2
    )
