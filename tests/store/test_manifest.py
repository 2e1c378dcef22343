"""The way from a request to its answers: files that are looked up where their names say."""

import pytest

from cas_llm.digest import digest_of
from cas_llm.errors import ManifestInvalid
from cas_llm.store import Shared, Tape, layout
from cas_llm.store.files import Writer
from cas_llm.store.manifest import Manifest, parse_shared
from cas_llm.store.tape import Turn

KEY, OTHER, DIGEST = digest_of(b"key"), digest_of(b"other"), digest_of(b"digest")
TEST = "tests/test_a.py::test_b"


@pytest.fixture
def manifest(tmp_path):
    return Manifest(tmp_path, Writer(tmp_path / ".local" / "tmp"))


def tape(scope=TEST, take=0):
    return Tape(scope, take, "", (Turn(KEY, DIGEST),))


def test_a_scope_finds_all_its_tapes_and_no_others(manifest):
    """Takes of one test lie beside other tests' tapes."""
    mine = {manifest.add_tape(tape(take=n)) for n in (0, 1, 10)}
    for other in (
        "tests/test_a.py::test_b2",
        "tests/test_a.py::test_b[0]",
        "tests/test_a.py::Test_b",
    ):
        manifest.add_tape(tape(other))
    assert {found.path(manifest.root) for found in manifest.tapes_of(TEST)} == mine


def test_the_scope_inside_is_the_truth(manifest):
    """Two scopes whose file names are made equal by sanitising are told apart."""
    class_like, parameter_like = "t.py::A::b", "t.py::A.b"
    assert layout.tape_folder_and_stem(class_like) == layout.tape_folder_and_stem(parameter_like)
    manifest.add_tape(tape(class_like))
    assert manifest.tapes_of(parameter_like) == ()
    assert len(manifest.tapes_of(class_like)) == 1


def test_foreign_files_beside_tapes_are_passed_over(manifest):
    """An editor's backup is no tape."""
    path = manifest.add_tape(tape())
    for name in ("test_b.json", "test_b.0.json~", ".keep", "notes.txt"):
        (path.parent / name).write_text("x")
    assert len(manifest.tapes_of(TEST)) == 1


def test_a_damaged_own_tape_is_loud(manifest):
    """Never passed over: another answer than the recorded one could be served in its place."""
    manifest.add_tape(tape(take=0))
    path = manifest.add_tape(tape(take=1))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ManifestInvalid, match=path.name):
        manifest.tapes_of(TEST)


def test_a_tape_another_process_added_is_found(manifest):
    """Listings are read again when the folder changed."""
    assert manifest.tapes_of(TEST) == ()
    second = Manifest(manifest.root, Writer(manifest.root / ".local" / "tmp"))
    second.add_tape(tape())
    assert len(manifest.tapes_of(TEST)) == 1


def test_adding_a_tape_twice_is_adding_it_once(manifest):
    """Its name is its digest."""
    assert manifest.add_tape(tape()) == manifest.add_tape(tape())
    assert len(list(manifest.tape_paths())) == 1


def test_shared_entries_are_their_names(manifest):
    """An empty file says key, take, run, ordinal and digest."""
    entries = [Shared(KEY, take, "0123abcd", n, DIGEST) for take in (0, 12) for n in (1, 10)]
    for entry in [*entries, Shared(OTHER, 0, "0123abcd", 1, DIGEST)]:
        assert manifest.add_shared(entry).read_bytes() == b""
    assert sorted(manifest.shared_of(KEY)) == entries
    assert len(list(manifest.shared())) == 5


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".keep",
        f"{KEY[2:]}.0.0123abcd.1",
        f"{KEY[2:]}.0.0123ABCD.1.{DIGEST}",
        f"{KEY[2:]}.0.0123abcd.0.{DIGEST}",
        f"{KEY[2:]}.-1.0123abcd.1.{DIGEST}",
        f"{KEY[2:]}.00.0123abcd.1.{DIGEST}",
        f"{KEY[2:]}.0.0123abcd.01.{DIGEST}",
        f"{KEY[2:]}.0.0123abcd.1.{DIGEST}.orig",
        f"{KEY[2:]}.0.0123abcd.1.{DIGEST}\n",
        f"{KEY[2:]}.\u0663.0123abcd.1.{DIGEST}",
        f"{KEY[3:]}.0.0123abcd.1.{DIGEST}",
    ],
)
def test_what_is_not_named_like_an_entry_is_none(name):
    """A foreign file beside shared entries is no recording."""
    assert parse_shared(KEY[:2], name) is None


def test_an_entry_outside_a_shard_is_none():
    """The folder gives the key's first two digits."""
    name = f"{KEY[2:]}.0.0123abcd.1.{DIGEST}"
    assert parse_shared(KEY[:2], name) == Shared(KEY, 0, "0123abcd", 1, DIGEST)
    for shard in ("abc", "a", "", "zz", "A0", "0\n"):
        assert parse_shared(shard, name) is None


def test_tape_paths_pass_over_what_keeps_folders(manifest):
    """`.keep` and hidden files are no tapes."""
    path = manifest.add_tape(tape())
    (path.parent / layout.KEEP).touch()
    (path.parent / ".DS_Store").touch()
    assert list(manifest.tape_paths()) == [path]


def test_tapes_are_immutable_so_read_once(manifest, monkeypatch):
    """The second question reads no file."""
    manifest.add_tape(tape())
    first = manifest.tapes_of(TEST)
    monkeypatch.setattr("cas_llm.store.manifest.read", None)
    assert manifest.tapes_of(TEST) == first
