"""What `verify` proved before, so that files nobody touched are not read again.

Works as git's index does: a file counts as proved if its size, times and inode are those it had
when it was read, and the times lay more than two seconds before that reading. Lies in `.local/`,
is never tracked, and may be deleted; without a place to write it, everything is read.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import orjson

from cas_llm.digest import digest_of
from cas_llm.errors import StoreError
from cas_llm.store import layout
from cas_llm.store.files import Writer, read
from cas_llm.store.folders import SETTLED_NS
from cas_llm.store.proof.checks import Task
from cas_llm.store.proof.facts import Examiner, Fact, path_of

FOLDER = f"{layout.LOCAL}/verified"


def facts_of(task: Task, *, examiner: Examiner, noted: bool) -> list[Fact]:
    """The facts of the files of *task*, in their order; from what is noted where that holds."""
    if not noted:
        return [examiner.fact(task.kind, name) for name in task.names]
    known = _load(examiner, task)
    kept: dict[str, list[Any]] = {}
    facts = []
    for name in task.names:
        now, mark = time.time_ns(), _mark(examiner.root, task.kind, name)
        fact = _recalled(known.get(name), mark, examiner.depth(task.kind, name))
        if fact is None:
            fact = examiner.fact(task.kind, name)
            # A file that changes again within the grain of the clock would look the same.
            settled = mark and now - max(mark[1:3]) > SETTLED_NS
            if settled and fact.is_clean and fact.level >= 2:
                kept[name] = [*mark, fact.level, fact.data]
        else:
            kept[name] = known[name]
        facts.append(fact)
    if kept != known:
        _save(examiner, task, kept)
    return facts


def _mark(root: Path, kind: str, name: str) -> list[int]:
    """What changes whenever a file is written: size, both times, inode; empty if it is gone."""
    try:
        found = os.stat(f"{root}/{path_of(kind, name)}", follow_symlinks=False)  # noqa: PTH116 - one of millions
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _recalled(entry: list[Any] | None, mark: list[int], depth: int) -> Fact | None:
    if entry is None or entry[:4] != mark or entry[4] < depth:
        return None
    return Fact(entry[5], entry[4])


def _load(examiner: Examiner, task: Task) -> dict[str, list[Any]]:
    found = recall(_place(examiner, task), examiner.checks.version)
    return found if isinstance(found, dict) else {}


def _save(examiner: Examiner, task: Task, kept: dict[str, list[Any]]) -> None:
    note(_place(examiner, task), examiner.checks.version, kept)


def _place(examiner: Examiner, task: Task) -> Path:
    return examiner.root / FOLDER / f"{task.kind}-{task.group}.json"


def recall(place: Path, by: str) -> Any:
    """What `note` wrote to *place* under the same *by*, or None."""
    try:
        digest, _, data = read(place).partition(b"\n")
        if digest.decode("ascii", "replace") != digest_of(data):
            return None
        document = orjson.loads(data)
        return document["what"] if document["by"] == by else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note(place: Path, by: str, what: Any) -> None:
    """Write *what* to *place*; derived, and of use only next time, so a refusal is no failure."""
    writer = Writer(place.parents[1] / "tmp")
    # A full disk, a read-only place, a lone surrogate.
    with contextlib.suppress(OSError, StoreError, TypeError):
        data = orjson.dumps({"by": by, "what": what})
        writer.replace(place, f"{digest_of(data)}\n".encode() + data)
