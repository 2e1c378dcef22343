"""Which path holds what: names every file system can hold, inside the store, never harmful."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.digest import digest_of
from cas_llm.errors import FormatTooNew, NotAStore, StoreError
from cas_llm.store import Tape, layout
from cas_llm.store.manifest import Manifest

COMPONENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")
WINDOWS = {"con", "prn", "aux", "nul"} | {f"{w}{n}" for w in ("com", "lpt") for n in range(1, 10)}
pieces = st.sampled_from(
    ["tests", "..", ".", "", "a", "A", "aux.py", "nul", "con", ".git", "test_a.py", "C:", "ü", "x."]
) | st.text(max_size=80)
scopes = st.builds(
    lambda folders, sep, names: sep.join(folders) + "::" * bool(names) + "::".join(names),
    st.lists(pieces, max_size=6),
    st.sampled_from("/\\"),
    st.lists(pieces | st.just("test_b[x/../y]"), max_size=3),
)


def is_portable(component):
    return (
        COMPONENT.match(component) is not None
        and len(component) <= 60
        and not component.endswith(".")
        and component.lower().partition(".")[0] not in WINDOWS
    )


@settings(max_examples=500, deadline=None)
@given(scopes)
def test_a_scope_lies_inside_the_store_under_portable_names(scope):
    """No scope name escapes the store or needs a name that some file system refuses."""
    folder, stem = layout.tape_folder_and_stem(scope)
    assert folder == layout.TAPES or folder.startswith(f"{layout.TAPES}/")
    below = [*folder.split("/")[2:], stem]
    assert all(is_portable(component) for component in below), below
    assert len(f"{folder}/{stem}.10.{'0' * 16}.json") <= 240


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=120))
def test_a_safe_name_is_stable_and_safe(name):
    """The same name gives the same safe name, and a plain safe name is left as it is."""
    safe = layout.safe_name(name)
    assert is_portable(safe)
    assert layout.safe_name(name) == safe
    assert layout.safe_name(safe) == safe


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=120), st.text(max_size=120))
def test_two_names_that_had_to_be_changed_stay_two(first, second):
    """Shortening and replacing never make one name of two."""
    changed = [name for name in {first, second} if layout.safe_name(name) != name]
    assert len({layout.safe_name(name) for name in changed}) == len(changed)


@settings(max_examples=100, deadline=None)
@given(first=scopes, second=scopes)
def test_tapes_of_two_scopes_are_never_mixed_up(tmp_path_factory, first, second):
    """Whatever the names, one file is one scope's tape, and each scope finds only its own."""
    root = tmp_path_factory.mktemp("s")
    from cas_llm.store.files import Writer

    manifest = Manifest(root, Writer(root / ".local" / "tmp"))
    tapes = {scope: Tape(scope, 0) for scope in (first, second)}
    paths = {str(manifest.add_tape(tape)).lower() for tape in tapes.values()}
    assert len(paths) == len(tapes)
    assert all(manifest.tapes_of(scope) == (tape,) for scope, tape in tapes.items())


@pytest.mark.parametrize(
    ("scope", "folder", "stem"),
    [
        ("tests/test_a.py::test_b", "tests/test_a.py", "test_b"),
        ("tests/test_a.py::TestC::test_d[x1]", "tests/test_a.py", "TestC.test_d.x1"),
        ("tests\\test_a.py::test_b", "tests/test_a.py", "test_b"),
        ("nightly", "nightly", "module"),
        ("./a//b.py::t", "a/b.py", "t"),
    ],
)
def test_ordinary_ids_stay_readable(scope, folder, stem):
    """A reviewer finds a test's tape by the test's path and name."""
    assert layout.tape_folder_and_stem(scope) == (f"{layout.TAPES}/{folder}", stem)


def test_reserved_names_are_changed_with_an_extension_too():
    """Windows reserves `aux.py` like `aux`, whatever the case."""
    assert {layout.safe_name(name) == name for name in ("aux.py", "NUL", "Con.a.b", "lpt1")} == {
        False
    }
    assert layout.safe_name("console.py") == "console.py"


def test_a_very_deep_path_becomes_one_folder():
    """The path below the store stays short enough for Windows however deep the test lies."""
    scope = "/".join(["a_rather_long_folder_name"] * 12) + "/test_a.py::test_b"
    folder, stem = layout.tape_folder_and_stem(scope)
    assert folder.count("/") == 2
    assert stem == "test_b"


def test_requests_and_objects_are_sharded_by_two_digits(tmp_path):
    """A file's name is its digest, its first two digits being the folder."""
    digest = "ab" + "0" * 62
    assert layout.request_path(tmp_path, digest) == tmp_path / "requests/ab" / f"{'0' * 62}.json"
    assert (
        layout.object_path(tmp_path, digest, "txt") == tmp_path / "objects/ab" / f"{'0' * 62}.txt"
    )


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("cas-llm/store/2\n", FormatTooNew, "pip install -U cas-llm"),
        ("<<<<<<< HEAD\ncas-llm/store/1\n", StoreError, "git checkout HEAD -- format"),
        ("", StoreError, "git checkout HEAD"),
        (None, NotAStore, "cas-llm init"),
    ],
)
def test_a_format_that_cannot_be_read_is_one_clear_error(tmp_path, text, error, says):
    """The error names the place and the next command."""
    if text is not None:
        (tmp_path / "format").write_text(text)
    with pytest.raises(error) as raised:
        layout.read_format(tmp_path)
    assert type(raised.value) is error
    assert says in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_this_versions_format_is_read(tmp_path):
    """The format file holds one line."""
    (tmp_path / "format").write_text(f"{layout.FORMAT}\n")
    layout.read_format(tmp_path)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a" * 60, None),
        ("a" * 61, "a" * 51),
        ("é", "x"),
        ("--", "x"),
        ("-a-", "a"),
        ("a b[c]", "a_b_c"),
        ("a.b c", "a_b_c"),
        ("a.", "a"),
        ("_a.b-c_", None),
        ("aux.py", "aux_py"),
        ("Com1", "Com1"),
        ("com10", None),
        ("lpt9.x", "lpt9_x"),
        ("", "x"),
    ],
)
def test_a_name_is_the_same_in_every_release(name: str, kept: str | None) -> None:
    """A plain one stays; another is what is plain of it and eight digits of its digest."""
    short = digest_of(name.encode())[:8]
    assert layout.safe_name(name) == (name if kept is None else f"{kept}-{short}")


@pytest.mark.parametrize(
    ("scope", "folder", "stem"),
    [
        ("tests/test_a.py::TestB::test_c[d]", "tests/test_a.py", "TestB.test_c.d"),
        ("tests\\test_a.py::test_b", "tests/test_a.py", "test_b"),
        ("block", "block", "module"),
        ("tests/test_a.py::", "tests/test_a.py", "module"),
        ("a" * 60 + "/" + "b" * 59 + "::t", "a" * 60 + "/" + "b" * 59, "t"),
    ],
)
def test_where_tapes_lie_is_the_same_in_every_release(scope: str, folder: str, stem: str) -> None:
    """Below the folder of the test's file, under the test's own name."""
    assert layout.tape_folder_and_stem(scope) == (f"manifest/tapes/{folder}", stem)


def test_a_very_deep_folder_becomes_one() -> None:
    """From 121 characters on, so that Windows can hold what lies in it."""
    place = "a" * 60 + "/" + "b" * 60
    short = digest_of(place.encode())[:8]
    folder = f"manifest/tapes/{('a' * 51)}-{short}"
    assert layout.tape_folder_and_stem(f"{place}::t") == (folder, "t")


@pytest.mark.parametrize("make", [lambda root: root.mkdir(), lambda root: root.touch()])
def test_what_is_no_store_is_refused_with_its_place(tmp_path, make) -> None:
    """A folder without a format, or a file."""
    make(tmp_path / "x")
    with pytest.raises(NotAStore, match="cas-llm init") as raised:
        layout.read_format(tmp_path / "x")
    assert raised.value.path == tmp_path / "x"


@pytest.mark.parametrize(
    ("text", "error"), [("cas-llm/store/2\n", FormatTooNew), ("other/1\n", StoreError)]
)
def test_a_format_that_is_refused_names_its_file(tmp_path, text, error) -> None:
    """A later version's, or another's."""
    (tmp_path / "format").write_text(text)
    with pytest.raises(error) as raised:
        layout.read_format(tmp_path)
    assert type(raised.value) is error
    assert raised.value.path == tmp_path / "format"
