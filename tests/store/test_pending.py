"""Answers that were paid for but whose test has not passed yet."""

import errno
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cas_llm.digest import digest_of
from cas_llm.errors import ObjectMissing, StoreError
from cas_llm.store import Answer, Recording, Store, pending_root
from cas_llm.store import pending as pending_module
from cas_llm.store.pending import Pending
from cas_llm.wire import Response

TEST = "tests/test_a.py::t"
RECORD = b'{\n  "k": 1\n}\n'
KEY = digest_of(RECORD)


def recording(body=b'{"a":1}', *, parts=None):
    return Recording(RECORD, Answer(KEY, Response(200, (), body), "0" * 8), parts or {})


def stage(pending, run, *, scope=TEST, ordinal=1, captured=False, body=b'{"a":1}', parts=None):
    digest, files = recording(body, parts=parts).files()
    pending.stage(
        run, scope=scope, key=KEY, ordinal=ordinal, digest=digest, captured=captured, files=files
    )
    return digest


@pytest.fixture
def pending(tmp_path):
    return Pending(tmp_path / "pending")


def began(pending, run, when):
    place = pending.root / run
    place.mkdir(parents=True)
    (place / "run.json").write_text(f'{{"began": {when}}}')


def test_a_staged_answer_waits_for_its_scope(pending):
    """With key, ordinal, digest and how it was asked; other scopes see nothing."""
    digest = stage(pending, "11111111", captured=True)
    [waiting] = pending.of_scope(TEST)
    assert (waiting.run, waiting.scope, waiting.key) == ("11111111", TEST, KEY)
    assert (waiting.ordinal, waiting.digest, waiting.captured) == (1, digest, True)
    assert pending.has("11111111", digest)
    assert pending.holder(digest) == "11111111"
    assert pending.of_scope("another") == []
    assert pending.all() == [waiting]


def test_its_files_come_in_the_order_to_write_them(pending):
    """Parts, the key record, the answer."""
    part = b"a long text"
    digest = stage(pending, "11111111", parts={digest_of(part): ("txt", part)})
    names = [name for name, _data in pending.files("11111111", digest)]
    assert [name.partition("/")[0] for name in names] == ["objects", "requests", "objects"]
    assert names[0].endswith(".txt")
    assert dict(pending.files("11111111", digest))[names[0]] == part
    assert pending.objects("11111111").get(digest).startswith(b"{")


def test_a_newer_runs_answer_replaces_an_older_ones(pending):
    """For the same ask of the same scope only."""
    stage(pending, "11111111", body=b"old")
    stage(pending, "11111111", body=b"second", ordinal=2)
    stage(pending, "11111111", body=b"other", scope="other")
    newest = stage(pending, "22222222", body=b"new")
    assert [(w.run, w.ordinal) for w in pending.of_scope(TEST)] == [
        ("22222222", 1),
        ("11111111", 2),
    ]
    assert pending.of_scope(TEST)[0].digest == newest
    assert len(pending.of_scope("other")) == 1


def test_one_runs_answers_for_one_ask_all_stay(pending):
    """A failed attempt and its rerun: neither was paid for in vain."""
    stage(pending, "11111111", body=b"first")
    stage(pending, "11111111", body=b"again")
    assert len(pending.of_scope(TEST)) == 2


def test_the_newest_runs_answers_come_first(pending):
    """By when the run began, not by its name; ordinals in order."""
    for run, when in (("aaaaaaaa", 30), ("bbbbbbbb", 10), ("cccccccc", 20)):
        began(pending, run, when)
    stage(pending, "bbbbbbbb", ordinal=1)
    stage(pending, "cccccccc", ordinal=10)
    stage(pending, "cccccccc", ordinal=2)
    stage(pending, "aaaaaaaa", ordinal=3)
    assert [(w.run[0], w.ordinal) for w in pending.of_scope(TEST)] == [
        ("a", 3),
        ("c", 2),
        ("c", 10),
        ("b", 1),
    ]
    assert [w.run[0] for w in pending.all()] == ["b", "c", "c", "a"]


def test_release_drops_entries_and_empty_runs(pending):
    """What a tape names by now is no longer pending; other scopes' answers stay."""
    stage(pending, "11111111")
    stage(pending, "11111111", scope="other")
    stage(pending, "22222222", ordinal=2)
    pending.release(pending.of_scope(TEST))
    assert pending.of_scope(TEST) == []
    assert not (pending.root / "22222222").exists()
    [left] = pending.all()
    assert left.scope == "other"
    assert dict(pending.files("11111111", left.digest))
    pending.release([left, left])
    assert pending.all() == []
    assert not (pending.root / "11111111").exists()


def test_tidy_leaves_a_run_that_is_just_staging(pending, monkeypatch):
    """Between an answer's first file and its entry another process may tidy up."""
    writer, real = pending._writer, pending._writer.add
    stage(pending, "11111111", scope="passed")

    def add(path, data):
        result = real(path, data)
        if path.parent.parent.name == "objects":
            Pending(pending.root).release(Pending(pending.root).of_scope("passed"))
        return result

    monkeypatch.setattr(writer, "add", add)
    digest = stage(pending, "11111111", body=b"meanwhile")
    assert dict(pending.files("11111111", digest))
    assert [w.digest for w in pending.all()] == [digest]


def test_many_threads_stage_while_others_release(pending):
    """No answer is lost, whoever tidies up."""
    errors = []

    def work(n):
        try:
            for k in range(15):
                mine = Pending(pending.root)
                digest = stage(
                    mine, "11111111", scope=f"s{n}", ordinal=k + 1, body=b"%d %d" % (n, k)
                )
                assert len(dict(mine.files("11111111", digest))) == 2
                mine.release(mine.of_scope(f"s{n}"))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []
    pending.tidy()
    assert pending.all() == []
    assert not (pending.root / "11111111").exists()


@pytest.mark.parametrize(
    ("age", "pid", "live"),
    [
        (0, "parent", True),
        (23.9 * 3600, "parent", True),
        (24.1 * 3600, "parent", False),
        (0, "own", False),
        (0, 999999999, False),
        (0, "x", False),
        (0, None, False),
    ],
)
def test_a_run_lives_as_long_as_its_process_for_a_day(pending, age, pid, live):
    """Its own process asks for nobody else's; a number of ours or nobody's is no other process."""
    number = {"own": os.getpid(), "parent": os.getppid()}.get(pid, pid)
    place = pending.root / "11111111"
    place.mkdir(parents=True)
    (place / "run.json").write_text(json.dumps({"began": time.time() - age, "pid": number}))
    assert pending.is_live("11111111") is live
    assert pending.is_live("22222222") is False


def test_an_answer_of_a_run_that_works_does_not_give_way(pending):
    """Two processes record one test at once: each keeps its own until it ends."""
    place = pending.root / "11111111"
    place.mkdir(parents=True)
    (place / "run.json").write_text(json.dumps({"began": time.time(), "pid": os.getppid()}))
    stage(pending, "11111111", body=b"theirs")
    stage(pending, "22222222", body=b"mine")
    assert {w.run for w in pending.of_scope(TEST)} == {"11111111", "22222222"}


def test_a_run_notes_when_it_began_and_whose_it_is(pending):
    """Once: what it says is not the same twice."""
    before = time.time()
    stage(pending, "11111111")
    about = (pending.root / "11111111" / "run.json").read_bytes()
    assert json.loads(about)["pid"] == os.getpid()
    assert before <= json.loads(about)["began"] <= time.time()
    stage(pending, "11111111", ordinal=2)
    assert (pending.root / "11111111" / "run.json").read_bytes() == about
    assert {w.began for w in pending.all()} == {json.loads(about)["began"]}


def test_entries_are_ordered_by_run_key_and_ordinal(pending):
    """Runs that began at once by their names, then scopes, then asks as numbers."""
    for run in ("bbbbbbbb", "aaaaaaaa"):
        began(pending, run, 7)
        for scope in ("s2", "s1"):
            for ordinal in (10, 9):
                pending.enter(
                    run, scope=scope, key=KEY, ordinal=ordinal, digest=KEY, captured=False
                )
    told = [(w.run[0], w.scope, w.ordinal) for w in pending.all()]
    assert told == sorted(told)
    assert [(w.run[0], w.ordinal) for w in pending.of_scope("s1")] == [
        ("a", 9),
        ("a", 10),
        ("b", 9),
        ("b", 10),
    ]


def test_a_second_scope_that_was_served_the_answer_waits_for_it_too(pending):
    """Its entry says how it was asked; nothing is written twice."""
    digest = stage(pending, "11111111", captured=True)
    pending.enter("11111111", scope="u", key=KEY, ordinal=3, digest=digest, captured=False)
    pending.enter("11111111", scope="v", key=KEY, ordinal=4, digest=digest, captured=True)
    told = [(w.scope, w.ordinal, w.captured) for w in pending.all()]
    assert sorted(told) == [(TEST, 1, True), ("u", 3, False), ("v", 4, True)]
    pending.release(pending.of_scope(TEST))
    assert pending.is_whole("11111111", digest)


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_store_syncs_what_waits_as_well(tmp_path, monkeypatch, durable):
    """Before staging returns; else with the next flush."""
    seen, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append(handle), real(handle)))
    store = Store(tmp_path / "cache_store", durable=durable)
    stage(store.pending, "11111111")
    assert bool(seen) is durable
    seen.clear()
    store.flush()
    assert bool(seen) is not durable


def test_a_run_that_cannot_be_removed_is_no_error(pending, monkeypatch):
    """Nothing in it is offered any more; the next one who tidies tries again."""
    stage(pending, "11111111")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rmdir", refuse)
    pending.release(pending.all())
    monkeypatch.undo()
    assert pending.all() == []
    assert (pending.root / "11111111").exists()
    pending.tidy()
    assert not (pending.root / "11111111").exists()


@pytest.mark.parametrize("step", ["release", "enter", "stage"])
def test_a_refusal_names_the_place_and_the_reason(pending, monkeypatch, step):
    """Whatever was asked; what waits still waits."""
    digest = stage(pending, "11111111")
    waiting = pending.of_scope(TEST)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    folder = pending.root / "11111111"
    work = {
        "release": lambda: pending.release(waiting),
        "enter": lambda: pending.enter(
            "11111111", scope="u", key=KEY, ordinal=1, digest=digest, captured=False
        ),
        "stage": lambda: stage(pending, "11111111", ordinal=2),
    }[step]
    with pytest.raises(StoreError) as raised:
        work()
    place = pending.root if step == "release" else folder
    assert str(raised.value).startswith(f"cannot write {place}: Permission denied; ")
    assert raised.value.path == place
    monkeypatch.undo()
    assert pending.of_scope(TEST) == waiting


def test_what_cannot_be_listed_is_not_taken_for_nothing(pending, monkeypatch):
    """What waits was paid for."""
    stage(pending, "11111111")
    place = pending.of_scope(TEST)[0].path.parent
    real = pending_module.read

    def refuse(path):
        if Path(path).name == "scope.json":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(pending_module, "read", refuse)
    with pytest.raises(StoreError, match="cannot read .*Permission denied") as raised:
        pending.of_scope(TEST)
    assert raised.value.path == place
    monkeypatch.undo()

    def refused(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(StoreError, match="cannot read .*Permission denied") as raised:
        pending.all()
    assert raised.value.path == pending.root
    monkeypatch.undo()
    assert len(pending.all()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"began": "x"}'])
def test_a_damaged_run_file_only_makes_the_run_the_oldest(pending, content):
    """Its answers are still offered."""
    stage(pending, "11111111", ordinal=1)
    stage(pending, "22222222", ordinal=2)
    (pending.root / "22222222" / "run.json").write_bytes(content)
    assert [w.run[0] for w in pending.of_scope(TEST)] == ["1", "2"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_damaged_scope_file_offers_nothing_and_breaks_nothing(pending, content):
    """The other scopes' answers are still there."""
    stage(pending, "11111111")
    stage(pending, "11111111", scope="other")
    waiting = pending.of_scope(TEST)[0]
    (waiting.path.parent / "scope.json").write_bytes(content)
    assert pending.of_scope(TEST) == []
    assert [w.scope for w in pending.all()] == ["other"]


def test_foreign_files_are_passed_over(pending):
    """Whatever lies about in the folder."""
    stage(pending, "11111111")
    (pending.root / "notes.txt").write_text("x")
    (pending.root / "empty").mkdir()
    (pending.root / "11111111" / "entries" / "file").write_text("x")
    (pending.of_scope(TEST)[0].path.parent / "x.y").write_text("x")
    assert len(pending.all()) == len(pending.of_scope(TEST)) == 1


def test_nothing_pending_is_no_error(pending):
    """Before anything was staged."""
    assert pending.of_scope(TEST) == pending.all() == []
    assert pending.holder(KEY) is None
    pending.tidy()
    pending.flush()
    assert not pending.root.exists()


@pytest.mark.parametrize("call", ["write", "link", "mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_refused_write_is_one_clear_error(pending, monkeypatch, call, number):
    """The place, the reason and what to do; no entry, so nothing dangles."""

    def refuse(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StoreError, match=os.strerror(number)) as raised:
        stage(pending, "11111111")
    monkeypatch.undo()
    assert str(pending.root) in str(raised.value)
    assert "CAS_LLM_MODE=replay" in str(raised.value)
    assert pending.all() == []
    stage(pending, "11111111")
    assert len(pending.all()) == 1


def git(folder, *args):
    subprocess.run(["git", "-C", folder, *args], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    git(root, "commit", "-q", "--allow-empty", "-m", "one")
    return root


def test_in_a_repository_answers_survive_git_clean(repository):
    """`git clean -fdx` must not eat what was paid for."""
    store = Store(repository / "cache_store")
    store.prepare()
    digest = stage(store.pending, "11111111")
    git(repository, "clean", "-fdxq")
    assert not store.root.exists()
    assert store.pending.root.is_relative_to(repository / ".git")
    again = Store(repository / "cache_store")
    again.promote(digest)
    assert again.load(digest).response.body == b'{"a":1}'


def test_work_trees_share_what_waits(repository, tmp_path):
    """An answer paid for in one is there in the other."""
    git(repository, "worktree", "add", "-q", str(tmp_path / "second"))
    first = Store(repository / "cache_store")
    second = Store(tmp_path / "second" / "cache_store")
    digest = stage(first.pending, "11111111")
    assert [w.digest for w in second.pending.of_scope(TEST)] == [digest]
    assert second.load(digest).response.body == b'{"a":1}'


def test_two_stores_of_a_repository_are_kept_apart(repository):
    """By their place in it."""
    roots = {pending_root(repository / name / "cache_store") for name in ("", "a", "b")}
    assert len(roots) == 3


def test_through_a_link_it_is_the_same_store(repository, tmp_path):
    """However the path is written."""
    (tmp_path / "link").symlink_to(repository)
    assert pending_root(tmp_path / "link" / "cache_store") == pending_root(
        repository / "cache_store"
    )


def test_without_git_answers_wait_in_the_store(tmp_path):
    """Below its local folder, and an empty store stays one."""
    store = Store(tmp_path / "cache_store")
    assert store.pending.root == store.root / ".local" / "pending"
    stage(store.pending, "11111111")
    again = Store(store.root)
    assert not again.exists
    assert len(again.pending.all()) == 1


def test_promote_brings_an_answer_with_all_its_files(tmp_path):
    """Parts, key record and answer; doing it twice is doing it once."""
    part = b"a long text"
    store = Store(tmp_path / "cache_store")
    digest = stage(store.pending, "11111111", parts={digest_of(part): ("txt", part)})
    store.promote(digest)
    shutil.rmtree(store.pending.root)
    store.promote(digest)
    assert store.objects.get(digest_of(part), "txt") == part
    assert store.objects.get_request(KEY) == RECORD
    assert store.load(digest).key == KEY
    with pytest.raises(ObjectMissing, match="record it again"):
        store.promote(digest_of(b"nowhere"))
