"""An index whose damage cannot even be told is made anew like any other."""

import os

from cas_llm.store import Store, layout
from cas_llm.store.tape import Tape, Turn


def test_an_index_whose_damage_is_told_in_no_text_is_made_anew(tmp_path):
    """SQLite quotes the damaged bytes in its message, and Python cannot decode that."""
    store = Store(tmp_path / "cache_store")
    key = "ab" * 32
    store.add_tape(Tape("tests/test_a.py::t", 0, "", (Turn(key, "cd" * 32),)))
    for folder, _, _ in os.walk(store.root / layout.TAPES):
        os.utime(folder, (1, 1))
    (path,) = store.index.tapes_with(key)
    store.close()
    file = store.root / layout.LOCAL / "index.sqlite3"
    whole = file.read_bytes()
    damaged = whole.replace(b"tabletapestapes", b"tablet\xf4pestapes")
    damaged = damaged.replace(b"CREATE TABLE tapes", b"CREATE TABLX tapes")
    assert damaged.count(b"\xf4pes") > whole.count(b"\xf4pes")
    file.write_bytes(damaged)
    again = Store(store.root)
    assert again.index.tapes_with(key) == [path]
    again.close()
