"""Killed at any step, the store holds whole files only, names nothing absent, and goes on."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cas_llm.digest import digest_of
from cas_llm.store import Answer, Recording, Shared, Store, Tape
from cas_llm.store.tape import Turn, decode
from cas_llm.wire import Response

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

RUN, TEST = "11111111", "tests/test_a.py::t"
RECORD = b'{\n  "k": "a request"\n}\n'
KEY = digest_of(RECORD)
PART = b"a long system prompt\n" * 200
BODY = b"\x89PNG" * 1000
STEPS = ("open", "write", "fsync", "link", "rename", "replace", "mkdir", "unlink", "rmdir")


def recording(body=BODY):
    response = Response(200, (("content-type", "image/png"),), body)
    return Recording(RECORD, Answer(KEY, response, RUN), {digest_of(PART): ("txt", PART)})


DIGEST = recording().files()[0]


def stage(store):
    digest, files = recording().files()
    store.pending.stage(
        RUN, scope=TEST, key=KEY, ordinal=1, digest=digest, captured=False, files=files
    )


def record_shared(store):
    """What a script does: save the answer, then name it."""
    digest = store.save(recording())
    store.add_shared(Shared(KEY, 0, RUN, 1, digest))


def record_test(store):
    """What a passing test does: promote the answer, write the tape, release what waited."""
    store.promote(DIGEST)
    store.add_tape(Tape(TEST, 0, "", (Turn(KEY, DIGEST),)))
    store.pending.release(store.pending.of_scope(TEST))


def mend_and_record(store):
    """What recording over a rotten object does: quarantine, replace, name."""
    record_shared(store)


def staged(root):
    stage(Store(root))


def rotten(root):
    store = Store(root)
    store.save(recording())
    part = next(root.glob("objects/*/*.png"))
    part.write_bytes(BODY[:100])


ACTIONS = {
    "shared": (None, record_shared),
    "stage": (None, stage),
    "test": (staged, record_test),
    "mend": (rotten, mend_and_record),
}


def killing_itself(step_to_die, *, half):
    """Replace the calls that change the disk; the k-th one kills the process.

    With *half* it dies after the call, and in the middle of a write.
    """
    count = 0

    def guard(name, real):
        def call(*args, **kwargs):
            nonlocal count
            if name == "open" and not (len(args) > 1 and args[1] & os.O_CREAT):
                return real(*args, **kwargs)
            count += 1
            if count < step_to_die:
                return real(*args, **kwargs)
            if half and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            elif half:
                with suppress(OSError):
                    real(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("still alive")

        return call

    for name in STEPS:
        setattr(os, name, guard(name, getattr(os, name)))


def killed_at(step, root, action, *, durable, half):
    """Whether a child that runs *action* was killed at its *step*-th call; false if it ended."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            store = Store(root, durable=durable)
            killing_itself(step, half=half)
            action(store)
            store.flush()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the action failed before it was killed"
    return False


def check_whole(root: Path):
    """Every file under a final name is whole, and whatever is named can be loaded."""
    store = Store(root)
    for place in (root, store.pending.root / RUN):
        for path in [*place.glob("objects/??/*"), *place.glob("requests/??/*")]:
            assert digest_of(path.read_bytes()) == path.parent.name + path.name.partition(".")[0]
    for path in store.manifest.tape_paths():
        for turn in decode(path.read_bytes(), path).turns:
            assert store.load(turn.digest).response.body == BODY
            store.objects.get_request(turn.key)
    for entry in store.manifest.shared():
        assert store.load(entry.digest).response.body == BODY
        store.objects.get_request(entry.key)
    for waiting in store.pending.all():
        held = dict(store.pending.files(waiting.run, waiting.digest))
        assert len(held) == 4
        assert store.load(waiting.digest).response.body == BODY
    # A record or answer on disk names no part that isn't.
    for path in root.glob("objects/??/*.json"):
        assert store.load(path.parent.name + path.stem).response.body == BODY
    store.close()


@pytest.mark.parametrize(
    ("durable", "half"),
    [
        pytest.param(False, True, id="batch-within"),
        pytest.param(False, False, id="batch-before", marks=pytest.mark.slow),
        pytest.param(True, True, id="durable-within", marks=pytest.mark.slow),
        pytest.param(True, False, id="durable-before", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_killed_at_every_step_the_store_is_whole_and_goes_on(
    tmp_path, monkeypatch, name, durable, half
):
    """No torn file, nothing dangling; the same action done again ends as if nothing had been."""
    before, action = ACTIONS[name]
    # Still a step to die at; what was written outlives a killed process without it.
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    killed = 0
    for step in range(1, 400):
        root = tmp_path / str(step) / "cache_store"
        root.parent.mkdir()
        if before is not None:
            before(root)
        if not killed_at(step, root, action, durable=durable, half=half):
            break
        killed += 1
        if name != "mend":  # there it begins with a rotten object
            check_whole(root)
        store = Store(root)
        if name == "test" and not store.pending.all():
            assert [turn.digest for tape in store.manifest.tapes_of(TEST) for turn in tape.turns]
        else:
            action(store)
        store.close()
        check_whole(root)
        assert served(root, name)
        for attribute in (".gitignore", ".gitattributes", "README.md", "format"):
            assert name == "stage" or (root / attribute).is_file()
        shutil.rmtree(root.parent)
    else:
        raise AssertionError("the action never came to its end")
    print(f"{name}: killed at each of {killed} calls")
    assert killed > 15


def served(root, name):
    """Whether the answer is where the action was to put it."""
    store = Store(root)
    if name == "stage":
        return [waiting.digest for waiting in store.pending.of_scope(TEST)] == [DIGEST]
    if name == "test":
        [tape] = store.manifest.tapes_of(TEST)
        return tape.answers == {KEY: (DIGEST,)} and store.pending.all() == []
    return [entry.digest for entry in store.manifest.shared_of(KEY)] == [DIGEST]


def test_a_killed_process_never_blocks_another(tmp_path):
    """The lock of a writer that was killed while it staged goes with it."""
    root = tmp_path / "cache_store"
    for step in (5, 10, 15):
        assert killed_at(step, root, stage, durable=False, half=False)
    store = Store(root)
    stage(store)
    store.pending.release(store.pending.all())
    assert store.pending.all() == []
    assert not (store.pending.root / RUN).exists()


def test_processes_killed_at_random_leave_a_store_that_verifies(tmp_path):
    """Four writers into one store, killed at any moment, again and again; then one that ends."""
    root = tmp_path / "cache_store"
    program = (
        "import sys; from pathlib import Path; sys.path[:0] = eval(sys.argv[2]);"
        "import importlib.util as u; spec = u.spec_from_file_location('crash', sys.argv[3]);"
        "crash = u.module_from_spec(spec); spec.loader.exec_module(crash);"
        "print('ready', flush=True); store = crash.Store(Path(sys.argv[1]));\n"
        "for n in range(int(sys.argv[4])):\n"
        "    digest = store.save(crash.recording(b'%d' % n))\n"
        "    store.add_shared(crash.Shared(crash.KEY, 0, crash.RUN, n + 1, digest))\n"
    )
    argv = [sys.executable, "-c", program, str(root), repr(sys.path), __file__]
    for pause in (0.0, 0.005, 0.02):
        children = [subprocess.Popen([*argv, "100000"], stdout=subprocess.PIPE) for _ in range(4)]
        for child in children:
            child.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            children[0].wait(pause)
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()
        store = Store(root)
        for entry in store.manifest.shared():
            assert store.load(entry.digest).response.body == b"%d" % (entry.ordinal - 1)
    subprocess.run([*argv, "5"], check=True, capture_output=True)
    assert len(Store(root).manifest.shared_of(KEY)) >= 5
