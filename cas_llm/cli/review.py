"""`cas-llm review`: decide about new answers one by one, or by name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cas_llm.cli.hints import command, shown
from cas_llm.cli.options import JsonOption, StoreOption, settings_of
from cas_llm.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from cas_llm.cli.deciding import Done
    from cas_llm.cli.reviewing import Item
    from cas_llm.store.past.memory import Memory

_HELP = """\
  a  accept it          r  reject it: what was served before is served again
  s  skip it            A  accept this and all that is left
  q  quit               1, 2, …  of tapes that tie, take this one"""
_WIDEST = 120


def review(
    *,
    accept: Annotated[
        list[str] | None, typer.Option("--accept", metavar="KEY|TEST|all", help="Accept these.")
    ] = None,
    reject: Annotated[
        list[str] | None, typer.Option("--reject", metavar="KEY|TEST|all", help="Reject these.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only list what there is.")] = False,
    base: Annotated[
        str, typer.Option("--base", metavar="REV", help="Takes since REV; default: uncommitted.")
    ] = "HEAD",
    undo: Annotated[
        bool, typer.Option("--undo", help="Let the answers wait again that were rejected last.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept or reject answers that wait, tapes that tie, and takes that are new.

    Nothing is lost: what is rejected is set aside, or another take is put above it. At a terminal
    it asks about one after another. Example: cas-llm review --accept all
    """
    from cas_llm.cli import reviewing
    from cas_llm.cli.output import print_json
    from cas_llm.store.past.memory import Memory

    if sum(map(bool, (listed, undo, accept or reject))) > 1:
        raise ConfigError("give --list, --undo, or what to decide", source="review")
    root = settings_of(store).store
    memory = Memory(root)
    if undo:
        _undo(memory, as_json=as_json)
        return
    commit = _commit(memory, base)
    decided = bool(accept or reject)
    found = reviewing.items(memory, commit, every=decided)
    if decided:
        done = list(_decided(memory, found, accept or (), reject or (), base=base))
        print_json({"done": [_done_document(one) for one in done]}) if as_json else _say_done(
            done, root
        )
    elif as_json:
        print_json({"items": [_document(item) for item in found]})
    elif not found:
        _say_nothing(base)
    elif listed or not is_asked():
        _print(found, store)
    else:
        _ask(memory, found, base)


def is_asked() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _commit(memory: Memory, base: str) -> str:
    from cas_llm.cli.diff import titled

    return titled(memory, base).commit if memory.top else ""


def _decided(
    memory: Memory,
    found: Sequence[Item],
    accept: Iterable[str],
    reject: Iterable[str],
    *,
    base: str,
) -> Iterator[Done]:
    """All that is asked for by name, done; nothing is where a word names nothing."""
    from cas_llm.cli import deciding
    from cas_llm.cli.reviewing import TIE

    chosen = [(item, True, word) for item, word in _named(found, accept)]
    rejected = [(item, False, word) for item, word in _named(found, reject)]
    both = {item.name for item, _, _ in chosen} & {item.name for item, _, _ in rejected}
    if both:
        raise ConfigError(f"{min(both)}: accept it or reject it, not both", source="review")
    for item, accepts, _ in (*chosen, *rejected):
        # Before anything is done: what cannot be done is no reason to have done half.
        deciding.refuse(item, accepts=accepts)
    for item, accepts, word in (*chosen, *rejected):
        if not accepts:
            yield deciding.reject(memory, item)
            continue
        choice = 0
        if item.kind == TIE:
            digests = [tape.digest.startswith(word.casefold()) for tape in item.tapes]
            choice = digests.index(True) if any(digests) else 0
        yield deciding.accept(memory, item, choice, base=base)


def _named(found: Sequence[Item], words: Iterable[str]) -> list[tuple[Item, str]]:
    from cas_llm.cli import reviewing

    chosen: dict[tuple[str, str], tuple[Item, str]] = {}
    for word in words:
        fits = [item for one in found if (item := reviewing.narrowed(one, word)) is not None]
        if not fits and word != "all":
            raise reviewing.nothing(word)
        # What says what was said before is decided only where it is named.
        for item in (one for one in fits if one.is_changed or word != "all"):
            chosen.setdefault((item.kind, item.name), (item, word))
    return list(chosen.values())


def _ask(memory: Memory, found: Sequence[Item], base: str) -> None:
    """One item after another, until somebody has decided, or has enough."""
    from cas_llm.cli import deciding
    from cas_llm.cli.output import say

    done: list[Done] = []
    for number, item in enumerate(found, 1):
        say()
        _say(f"{number} of {len(found)}   {_title(item)}", "bold")
        _show(item)
        answer = _answer(item)
        if answer == "q":
            break
        if answer == "A":
            rest = found[number - 1 :]
            done += _told(deciding.accept(memory, one, base=base) for one in rest)
            break
        if answer == "r":
            done += _told([deciding.reject(memory, item)])
        elif answer != "s":
            choice = int(answer) - 1 if answer.isdigit() else 0
            done += _told([deciding.accept(memory, item, choice, base=base)])
    left = len(found) - len(done)
    say(f"\n{len(done)} decided, {left} left" + (": cas-llm review" if left else ""))


def _answer(item: Item) -> str:
    """One of ``a r s A q``, or the number of a tape that ties."""
    from cas_llm.cli.output import say

    numbers = [str(n) for n in range(1, len(item.tapes) + 1)] if item.kind == "tie" else []
    letters = [*numbers, "a", "r", "s", "A", "q"]
    while True:
        try:
            said = input(f"accept, reject, skip, all, quit, help [{'/'.join(letters)}/?] ").strip()
        except EOFError:
            return "q"
        if said in letters:
            return said
        say(_HELP)


def _told(done: Iterable[Done]) -> list[Done]:
    told = []
    for one in done:
        _say(f"  {one.action}: {one.what}")
        _say(f"  undo: {one.undo}", "dim")
        told.append(one)
    return told


def _title(item: Item) -> str:
    from cas_llm.cli.reviewing import PENDING, SHARES, TIE

    name = item.name if item.kind != SHARES else f"shared request {item.name[:12]}"
    if item.kind == PENDING:
        return f"{name}   {len(item.waiting)} waiting"
    if item.kind == TIE:
        digests = "  ".join(f"{n} {tape.digest[:12]}" for n, tape in enumerate(item.tapes, 1))
        return f"{name}   {len(item.tapes)} tapes of take {item.tapes[0].take} tie:  {digests}"
    where = "committed" if item.committed else "not committed"
    return f"{name}   new take {item.take}, {where}"


def _show(item: Item) -> None:
    from cas_llm.cli.diff import print_lines
    from cas_llm.cli.diffing import text
    from cas_llm.cli.diffing.blocks import blocks
    from cas_llm.cli.output import console

    width = min(console().width, _WIDEST)
    for block in blocks(item.changes):
        print_lines(list(text.block_lines(block, width, named=False)))


def _print(found: Sequence[Item], store: Path | None) -> None:
    from cas_llm.cli.diffing import brief
    from cas_llm.cli.diffing.page import said
    from cas_llm.cli.output import counted, say

    for item in found:
        _say(_title(item))
        for change in item.changes[:3]:
            _say(f"    {said(change.drift)}  {brief.told(change)}")
        if len(item.changes) > 3:
            say(f"    and {len(item.changes) - 3} more")
    decide = command("review", "--accept", "KEY|TEST|all", store=store).replace("'", "")
    say(f"{counted(len(found), 'item')}. Next: {decide}, or --reject …; one by one at a terminal")


def _say_nothing(base: str) -> None:
    from cas_llm.cli.output import say

    since = "" if base == "HEAD" else f" since {base}"
    say(f"Nothing to review{since}: nothing waits, nothing ties, no new take.")


def _say_done(done: Sequence[Done], root: Path) -> None:
    from cas_llm.cli.output import say

    for one in done:
        _say(f"{one.action} {one.item.name}: {one.what}")
        _say(f"  undo: {one.undo}")
    if done:
        say(f"Next: pytest && git add {shown(root)}")
    else:
        say("Nothing to review.")


def _undo(memory: Memory, *, as_json: bool) -> None:
    from cas_llm.cli import aside
    from cas_llm.cli.output import counted, print_json, say
    from cas_llm.store import Store

    count = aside.bring_back(Store(memory.root))
    if as_json:
        print_json({"waiting": count})
    else:
        say(f"{counted(count, 'answer')} waiting again. Next: cas-llm review")


def _document(item: Item) -> dict[str, Any]:
    from cas_llm.cli.diffing.document import changes

    return {
        "kind": item.kind,
        "name": item.name,
        "committed": item.committed,
        "tapes": [tape.digest for tape in item.tapes],
        "waiting": [one.waiting.key for one in item.waiting],
        "changes": changes(item.changes),
    }


def _done_document(one: Done) -> dict[str, Any]:
    return {
        "kind": one.item.kind,
        "name": one.item.name,
        "action": one.action,
        "what": one.what,
        "undo": one.undo,
    }


def _say(text: str, style: str = "") -> None:
    """Print a line in which there are names, or words of an answer."""
    from cas_llm.cli.diff import print_lines
    from cas_llm.cli.diffing.text import line

    print_lines([line(text, style)])
