"""Bytes under their digest: checked whenever they are read."""

import pytest

from cas_llm.digest import digest_of
from cas_llm.errors import ObjectCorrupt, ObjectMissing
from cas_llm.store import layout
from cas_llm.store import objects as module
from cas_llm.store.files import Writer
from cas_llm.store.objects import Objects

DATA = b'{\n  "a": 1\n}\n'
DIGEST = digest_of(DATA)


@pytest.fixture
def objects(tmp_path):
    return Objects(tmp_path, Writer(tmp_path / ".local" / "tmp"))


def test_what_was_added_is_given_back(objects):
    """By digest and extension."""
    objects.add(DIGEST, DATA)
    objects.add_request(DIGEST, DATA)
    assert objects.has(DIGEST)
    assert not objects.has(DIGEST, "txt")
    assert objects.get(DIGEST) == objects.get_request(DIGEST) == DATA


@pytest.mark.parametrize("position", range(len(DATA)))
def test_any_flipped_bit_is_seen(objects, position):
    """No byte of an object can change unseen."""
    objects.add(DIGEST, DATA)
    path = layout.object_path(objects.root, DIGEST)
    flipped = bytearray(DATA)
    flipped[position] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ObjectCorrupt):
        objects.get(DIGEST)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (DATA[:-1], "changed or cut off"),
        (b"<<<<<<< ours\n" + DATA + b"=======\n>>>>>>> theirs\n", "merge conflict markers"),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_command(objects, data, says):
    """Truncation, emptiness and conflict markers are told apart."""
    path = layout.object_path(objects.root, DIGEST)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(ObjectCorrupt, match=says) as raised:
        objects.get(DIGEST)
    assert str(path) in str(raised.value)
    assert "cas-llm verify --repair" in str(raised.value)
    assert (raised.value.digest, raised.value.path) == (DIGEST, path)


def test_a_missing_object_names_its_file_and_the_command(objects):
    """Loud, with the next command."""
    with pytest.raises(ObjectMissing, match="verify --repair") as raised:
        objects.get(DIGEST)
    assert str(layout.object_path(objects.root, DIGEST)) in str(raised.value)


def test_an_unreadable_object_names_its_file(objects, monkeypatch):
    """No permission is not the same as not there."""

    def refuse(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "read", refuse)
    with pytest.raises(ObjectMissing, match=r"Permission denied.*check the file's permissions"):
        objects.get(DIGEST)


def test_adding_over_a_corrupt_file_mends_it_and_keeps_the_bad_one(objects):
    """Recording the same answer again heals what rotted; nothing is thrown away."""
    path = layout.object_path(objects.root, DIGEST)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rotten")
    objects.add(DIGEST, DATA)
    assert objects.get(DIGEST) == DATA
    assert (objects.root / ".local" / "bad" / path.name).read_bytes() == b"rotten"


def test_a_quarantine_that_another_process_did_is_no_error(objects, monkeypatch):
    """Two processes that mend the same object at once both succeed."""
    path = layout.object_path(objects.root, DIGEST)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rotten")
    real = module.read

    def then_gone(file):
        data = real(file)
        file.unlink()
        return data

    monkeypatch.setattr(module, "read", then_gone)
    objects.add(DIGEST, DATA)
    assert path.read_bytes() == DATA


def test_adding_again_writes_nothing(objects):
    """An object that is there keeps its file."""
    objects.add(DIGEST, DATA)
    before = layout.object_path(objects.root, DIGEST).stat()
    objects.add(DIGEST, DATA)
    after = layout.object_path(objects.root, DIGEST).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
