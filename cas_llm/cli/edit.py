"""`cas-llm edit`: another answer to a recorded request, as a new take of all that used the old.

The request's key is unaffected, and so is the old answer: it stays in the store until `prune`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cas_llm.cli import naming, replacing
from cas_llm.cli.hints import shown
from cas_llm.cli.options import JsonOption, StoreOption, opened
from cas_llm.errors import CasLLMError, ConfigError, StoreError
from cas_llm.session.catalogue import Catalogue, Entry, Naming, catalogue
from cas_llm.store import Answer, Recording, Shared, Store, Tape, layout
from cas_llm.store.retaking import Substitute, retakes, write

Change = Callable[[Answer], bytes]
"""Gives the new body of an answer."""


@dataclass(frozen=True)
class Edited:
    """What an edit changed: the answer's old and new digest, new tapes and shared entries."""

    key: str
    old: str
    new: str
    answer: Answer
    tapes: tuple[Tape, ...] = ()
    shared: tuple[Shared, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the new body differs from the old one."""
        return self.old != self.new


def text_change(text: str) -> Change:
    """Let the assistant have said *text*."""
    return lambda answer: replacing.with_text(answer.response.body, text, stream=is_stream(answer))


def body_change(data: bytes) -> Change:
    """Let the whole body be *data*; where the old one is JSON it must be JSON."""
    return lambda answer: replacing.checked(answer.response.body, data)


def is_stream(answer: Answer) -> bool:
    """Whether the answer's body is a stream of events."""
    return answer.response.header("content-type").startswith("text/event-stream")


def edit_answer(
    store: Store, key: str, change: Change, *, test: str = "", ordinal: int = 0
) -> Edited:
    """Put a changed answer in the place of the current one of *key*, wherever that is in use.

    *test* and *ordinal* choose where the key has several answers. Whatever stops it leaves each
    test, and what is shared, as it was or as it will be.

    Raises:
        CasLLMError: no current answer, several, or a body that may not be; nothing was written.
        StoreError: an answer or a tape cannot be read; nothing was written.
        SecretFound: the new answer looks as if it held a secret; nothing was written.

    """
    held = catalogue(store)
    _refuse_damaged(store, held, key)
    entry = _chosen(held, key, test, ordinal)
    old = store.load(entry.digest)
    body = change(old)
    if body == old.response.body:
        return Edited(key, entry.digest, entry.digest, old)
    record = store.objects.get_request(key)
    answer = _answer(old, body, entry)
    recording = Recording(record, answer)
    digest, files = recording.files()
    _refuse_secrets(files)
    store.save(recording)
    store.flush()
    changes = {(key, entry.digest): Substitute(digest, answer.answer)}
    new = retakes(held.tapes, held.shared, changes)
    write(store, new)
    return Edited(key, entry.digest, digest, answer, new.tapes, new.shared)


def edit(
    key: Annotated[str, typer.Argument(help="The request's key; 4 hex digits are enough.")],
    *,
    test: Annotated[str, typer.Option("--test", help="Whose answer, where several are.")] = "",
    ordinal: Annotated[int, typer.Option("--ordinal", help="Which ask of it.")] = 0,
    text: Annotated[
        str | None, typer.Option("--text", help="What the assistant says instead.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="The whole new body; default: $EDITOR.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an answer by hand: a new take of every test and shared entry that uses it."""
    from cas_llm.cli.output import print_json

    if text is not None and file is not None:
        raise ConfigError("give --text or --file, not both", source="edit")
    if file is not None:
        try:
            change = body_change(file.read_bytes())
        except OSError as error:
            raise CasLLMError(
                f"cannot read {file}: {error.strerror}; nothing was changed"
            ) from None
    else:
        change = in_editor if text is None else text_change(text)
    place = opened(store)
    done = edit_answer(place, naming.key(place, key), change, test=test, ordinal=ordinal)
    if as_json:
        print_json(_document(done, place))
    else:
        _print(done, place)


def in_editor(answer: Answer) -> bytes:
    """The body as a person leaves it in ``$VISUAL`` or ``$EDITOR``; JSON is laid out for them.

    Raises:
        ConfigError: no editor is set.
        CasLLMError: it failed, or the body is not text or no longer JSON.

    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise ConfigError(
            "no $VISUAL or $EDITOR is set; set one, or give --text or --file", source="edit"
        )
    body = answer.response.body
    shown = replacing.laid_out(body)
    with tempfile.TemporaryDirectory(prefix="cas-llm-edit-") as folder:
        path = Path(folder, "answer.json" if shown != body else "answer.txt")
        path.write_bytes(shown)
        try:
            code = subprocess.run([*shlex.split(command), str(path)], check=False).returncode  # noqa: S603 - the user's own editor
        except OSError as error:
            raise CasLLMError(
                f"cannot start {command!r}: {error.strerror}; nothing was changed. Set $VISUAL to "
                "an editor, or give --text or --file"
            ) from None
        if code:
            raise CasLLMError(f"{command!r} ended with exit code {code}; nothing was changed")
        new = path.read_bytes()
    return body if new == shown else replacing.checked(body, new)


def _document(done: Edited, store: Store) -> dict[str, object]:
    return {
        "key": done.key,
        "old": done.old,
        "new": done.new,
        "changed": done.changed,
        "answer": list(done.answer.answer),
        "tapes": [
            {"scope": tape.scope, "take": tape.take, "path": tape.path(store.root).as_posix()}
            for tape in done.tapes
        ],
        "shared": [{"take": entry.take, "ordinal": entry.ordinal} for entry in done.shared],
    }


def _print(done: Edited, store: Store) -> None:
    from cas_llm.cli.output import say

    if not done.changed:
        say(f"Nothing changed: {naming.short(done.key)} says that already.")
        return
    say(f"{naming.short(done.key)}: answer {naming.short(done.old)} -> {naming.short(done.new)}")
    for line in done.answer.answer:
        say(f"  < {line}")
    for tape in done.tapes:
        say(f"  {tape.scope}: take {tape.take}")
    if done.shared:
        say(f"  shared: take {done.shared[0].take}")
    tests = [shlex.quote(t.scope) for t in done.tapes if not t.scope.startswith("use::")]
    run = f"pytest {' '.join(tests[:3])}" if 0 < len(tests) <= 3 else "pytest"
    say(f"The request's key is the same. Next: {run} && git add {shown(store.root)}")


def _chosen(held: Catalogue, key: str, test: str, ordinal: int) -> Entry:
    """The one current answer of *key*, in *test* where one is named."""
    wanted = [
        (entry, [n for n in entry.namings if n.current and _wanted(n, test, ordinal)])
        for entry in held.entries
        if entry.key == key
    ]
    takes: dict[tuple[str, int], int] = {}
    for _, places in wanted:
        for n in places:
            takes[n.scope, n.ordinal] = max(n.take, takes.get((n.scope, n.ordinal), 0))
    # A test whose text was changed has a tape in use for each text; the last one's is meant.
    found = [
        (entry, latest)
        for entry, places in wanted
        if (latest := [n for n in places if n.take == takes[n.scope, n.ordinal]])
    ]
    if not found:
        raise CasLLMError(
            f"no current answer of {naming.short(key)}"
            + (f" in a test called {test!r}" if test else "")
            + f"; see its answers with: cas-llm show {naming.short(key)}"
        )
    if len(found) > 1:
        listed = "\n".join(
            f"  --test {place.scope!r} --ordinal {place.ordinal}    {' '.join(entry.answer)[:50]}"
            for entry, places in found
            for place in places[:3]
        )
        raise CasLLMError(
            f"{naming.short(key)} has {len(found)} different answers; choose the one to edit:\n"
            f"{listed}"
        )
    return found[0][0]


def _refuse_damaged(store: Store, held: Catalogue, key: str) -> None:
    """Raise what is wrong with an answer of *key*, or with a tape that may name it."""
    for name in held.damaged:
        if name.startswith(layout.TAPES):
            raise StoreError(
                f"{name} cannot be read, so that nobody knows whether it uses this answer; nothing "
                "was changed. Mend it first: cas-llm verify --repair",
                path=store.root / name,
            )
    called = {(turn.key, turn.digest) for tape in held.tapes for turn in tape.turns}
    called |= {(entry.key, entry.digest) for entry in held.shared}
    for digest in held.damaged:
        if (key, digest) in called:
            store.load(digest)
            raise StoreError(
                f"the answer {naming.short(digest)} could not be read a moment ago; nothing was "
                "changed. Look at the disk, then: cas-llm verify",
                path=layout.object_path(store.root, digest),
            )


def _wanted(place: Naming, test: str, ordinal: int) -> bool:
    right_test = not test or test == place.scope or f"::{place.scope}".endswith(f"::{test}")
    return right_test and ordinal in {0, place.ordinal}


def _answer(old: Answer, body: bytes, entry: Entry) -> Answer:
    from cas_llm.providers import provider_for

    response = old.response
    provider = provider_for(entry.api.partition("@")[0])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(
        old,
        response=replace(
            response, body=body, chunks=replacing.cut(response.chunks, response.body, body)
        ),
        answer=provider.answer(provider.message(body, response.header("content-type"))),
        provenance={**old.provenance, "edited_at": now, "edited_from": entry.digest},
        marks=tuple(sorted({*old.marks, "edited"})),
    )


def _refuse_secrets(files: dict[str, bytes]) -> None:
    from cas_llm.redact.scan import scan_for_secrets

    for name, data in files.items():
        if name.endswith((".json", ".txt")):
            scan_for_secrets(data, where=name)
