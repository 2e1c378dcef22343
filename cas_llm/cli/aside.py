"""Pending answers that were rejected: set aside in the git directory, where they can come back.

Part of the command line. They were paid for, so that rejecting one moves it and deletes nothing.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from cas_llm.errors import CasLLMError
from cas_llm.store import Store, beside, layout
from cas_llm.store.answer import parse, pretty
from cas_llm.store.files import Writer, cannot_write
from cas_llm.store.pending import Waiting

FORMAT = "cas-llm/rejected/1"
_LISTING = "rejected.json"


def set_aside(store: Store, rejected: Iterable[Waiting]) -> Path:
    """Move the *rejected* answers out of what waits; gives the folder they lie in.

    They are written there, and on the disk, before they wait no longer.

    Raises:
        StoreError: one cannot be read or moved; it still waits.

    """
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    folder = beside(store.root, "rejected") / f"{stamp}-{secrets.token_hex(4)}"
    writer = Writer(store.root / layout.LOCAL / "tmp", durable=True)
    listed, rejected = [], list(rejected)
    try:
        for waiting in rejected:
            files = dict(store.pending.files(waiting.run, waiting.digest))
            for name, data in files.items():
                writer.add(folder / name, data)
            listed.append(_document(waiting, list(files)))
        # The listing last: without it nothing was set aside.
        writer.add(folder / _LISTING, pretty({"format": FORMAT, "answers": listed}))
    except OSError as error:
        raise cannot_write(folder, error) from error
    store.pending.release(rejected)
    return folder


def bring_back(store: Store) -> int:
    """Let the answers wait again that were set aside last; gives how many.

    Raises:
        CasLLMError: none were, or what was kept of them cannot be read; nothing was changed.

    """
    kept = sorted(path.parent for path in beside(store.root, "rejected").glob(f"*/{_LISTING}"))
    if not kept:
        raise CasLLMError(
            "no answer that waited was rejected; a take that was rejected comes back with: "
            "cas-llm prune --undo"
        )
    folder = kept[-1]
    try:
        document = parse((folder / _LISTING).read_bytes())
        answers = [
            (one, {name: (folder / name).read_bytes() for name in one["files"]})
            for one in document["answers"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CasLLMError(f"{folder} cannot be read ({error}); nothing was changed") from error
    for one, files in answers:
        names = ("scope", "key", "ordinal", "digest", "captured")
        store.pending.stage(one["run"], files=files, **{name: one[name] for name in names})
    store.flush()
    shutil.rmtree(folder, ignore_errors=True)
    return len(answers)


def _document(waiting: Waiting, files: list[str]) -> dict[str, object]:
    return {
        "run": waiting.run,
        "scope": waiting.scope,
        "key": waiting.key,
        "ordinal": waiting.ordinal,
        "digest": waiting.digest,
        "captured": waiting.captured,
        "files": files,
    }
