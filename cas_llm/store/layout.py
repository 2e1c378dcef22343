"""Which path of a store holds what, and the files a store explains itself with.

::

    cache_store/
      format  .gitattributes  .gitignore  README.md
      requests/<2>/<62>.json                                key record, named by the key
      objects/<2>/<62>.json                                 answer, named by its digest
      objects/<2>/<62>.<ext>                                part of a request or an answer
      manifest/tapes/<path of the test>/<test>.<take>.<16 of digest>.json
      manifest/shared/<2>/<62>.<take>.<run>.<ordinal>.<digest>
      .local/                                               never tracked, may be deleted

Nothing aggregate is tracked: no counts, no "last used", nothing two branches would both edit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from cas_llm.digest import digest_of
from cas_llm.errors import FormatTooNew, NotAStore, StoreError

FORMAT = "cas-llm/store/1"
LOCAL = ".local"
# A store may be a repository of its own, or a submodule, where this is a file.
ASIDE = frozenset({LOCAL, ".git"})
REQUESTS = "requests"
OBJECTS = "objects"
TAPES = "manifest/tapes"
SHARED = "manifest/shared"
KEEP = ".keep"

# A component stays below every file system's 255 bytes with take, digest and suffix added, and the
# whole path below Windows' 260 characters.
_LONGEST_NAME = 60
_LONGEST_FOLDER = 120
# No final dot: Windows drops it.
_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?\Z")
_ODD = re.compile(r"[^A-Za-z0-9_-]+")
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"com{n}" for n in "123456789"}
    | {f"lpt{n}" for n in "123456789"}
)


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


SHARD = re.compile(r"[0-9a-f]{2}\Z")
SHARED_NAME = re.compile(
    r"(?P<rest>[0-9a-f]{62})\.(?P<take>0|[1-9][0-9]*)\.(?P<run>[0-9a-f]{8})\.(?P<ordinal>[1-9][0-9]*)"
    r"\.(?P<digest>[0-9a-f]{64})\Z"
)
BLOB_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}\.[a-z0-9]{1,10}\Z")
TAPE_NAME = re.compile(r"(?P<stem>.+)\.(?P<take>[0-9]+)\.(?P<short>[0-9a-f]{16})\.json\Z")

GITATTRIBUTES = """\
# Written by cas-llm. Names are digests of bytes: nothing may convert or merge them.
*                -text -merge
objects/**       -text -merge -delta
requests/**      linguist-generated
objects/**/*.json linguist-generated
objects/**/*.txt linguist-generated=false
manifest/shared/** linguist-generated
"""

GITIGNORE = f"""\
# Written by cas-llm: derived files of this machine.
/{LOCAL}/
"""

README = """\
# Recorded LLM answers

Written by [cas-llm](https://pypi.org/project/cas-llm/); the code never edits a file in here, it
only adds some. Tests replay from these files with no network and no key.

| folder | what it holds |
| --- | --- |
| `manifest/tapes/` | what each test asked and was answered, in order: **the files to review** |
| `manifest/shared/` | answers recorded outside any test; empty files, the name is the entry |
| `requests/` | each request, under the SHA-256 of its bytes: the key |
| `objects/` | each answer, and long texts and media, under the SHA-256 of their bytes |

`sha256sum` alone proves every request and answer; `cas-llm verify` proves the rest.
To change an answer: `cas-llm edit KEY`. To record anew: `pytest --cas-llm=capture`.
"""


def sharded(folder: str, digest: str, ext: str = "json") -> str:
    """The path below the store of the file named *digest* in *folder*'s 256 shards."""
    return f"{folder}/{digest[:2]}/{digest[2:]}.{ext}"


def request_path(root: Path, key: str) -> Path:
    """Where the key record of *key* lies."""
    return Path(f"{root}/{sharded(REQUESTS, key)}")


def object_path(root: Path, digest: str, ext: str = "json") -> Path:
    """Where the answer or part named *digest* lies."""
    return Path(f"{root}/{sharded(OBJECTS, digest, ext)}")


def safe_name(name: str) -> str:
    """A file name for *name* that every file system can hold, the same for the same *name*.

    A name that had to be changed ends in 8 hex digits of its digest, so that two names never
    become one by being shortened.
    """
    # Windows reserves `aux.py` like `aux`.
    reserved = name.lower().partition(".")[0] in _RESERVED
    if len(name) <= _LONGEST_NAME and _PLAIN.match(name) and not reserved:
        return name
    kept = _ODD.sub("_", name).strip("_-")[: _LONGEST_NAME - 9] or "x"
    return f"{kept}-{digest_of(name.encode('utf-8', 'surrogatepass'))[:8]}"


def tape_folder_and_stem(scope: str) -> tuple[str, str]:
    """Folder (below the store) and file stem of the tapes of *scope*.

    A test's node id ``tests/test_a.py::TestB::test_c[d]`` gives the folder
    ``manifest/tapes/tests/test_a.py`` and a stem made of the rest; a scope without a path goes
    to a folder named after its first word, one with a very deep path to a single folder.
    """
    place, _, name = scope.partition("::")
    folders = [
        safe_name(part) for part in place.replace("\\", "/").split("/") if part not in {"", "."}
    ]
    if len("/".join(folders)) > _LONGEST_FOLDER:
        folders = [safe_name(place)]
    stem = safe_name(name.replace("::", ".").replace("[", ".").removesuffix("]") or "module")
    return "/".join([TAPES, *folders]), stem


def fits(name: str, data: bytes) -> bool:
    """Whether *data* is what the store path *name* stands for; a file named by hand is anything.

    A shared entry is empty; a tape carries the start of its digest, any other file all of it.
    """
    folder, _, last = name.rpartition("/")
    if last == KEEP or folder.startswith(SHARED):
        return not data
    if folder.startswith(TAPES):
        named = TAPE_NAME.match(last)
        return named is None or digest_of(data).startswith(named["short"])
    return not is_blob(name) or digest_of(data) == folder[-2:] + last[:62]


def is_blob(name: str) -> bool:
    """Whether the store path *name* is that of a key record, an answer or a part."""
    folder, _, rest = name.partition("/")
    return folder in {REQUESTS, OBJECTS} and BLOB_NAME.match(rest) is not None


def is_entry(name: str) -> bool:
    """Whether the store path *name* is that of a tape or a shared entry."""
    folder, _, last = name.rpartition("/")
    if folder.startswith(f"{TAPES}/"):
        return TAPE_NAME.match(last) is not None
    if not folder.startswith(f"{SHARED}/"):
        return False
    return (
        SHARED_NAME.match(last) is not None and SHARD.match(folder[len(SHARED) + 1 :]) is not None
    )


def read_format(root: Path, read: Callable[[str], bytes] = _read) -> None:
    """Check that *root*, whose files *read* gives, is a store this version can read.

    Raises:
        NotAStore: there is no ``format`` file.
        FormatTooNew: a later version wrote the store.
        StoreError: the ``format`` file says something else, such as a merge conflict.

    """
    path = root / "format"
    try:
        text = read(f"{root}/format").decode("utf-8", "replace").rstrip("\r\n")
    except FileNotFoundError:
        raise NotAStore(
            f"no cas-llm store at {root}: it has no file 'format'; make one with: cas-llm init",
            path=root,
        ) from None
    except NotADirectoryError:
        raise NotAStore(
            f"no cas-llm store at {root}: it is a file, not a folder; name another, or make one "
            "with: cas-llm init",
            path=root,
        ) from None
    if text == FORMAT:
        return
    family, _, version = text.rpartition("/")
    if family == FORMAT.rpartition("/")[0] and version.isdigit():
        raise FormatTooNew(
            f"{path} says {text!r}, this cas-llm reads {FORMAT!r}; "
            "upgrade it with: pip install -U cas-llm",
            path=path,
        )
    raise StoreError(
        f"{path} says {text[:40]!r} instead of {FORMAT!r}; "
        f"restore it with: git checkout HEAD -- {path.name} (in {root})",
        path=path,
    )
