"""What the crash tests interrupt: the ways in which recordings come into a store, and go on.

Each `Work` does what users do, through the session or the command line's own functions, and says
at each step what it acknowledged: an answer the program got, a test that passed, an edit that
returned. `examine` is what a fresh process finds afterwards and whether the same work then ends.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.desk import Desk, Upstream, a_test, chat, completion, key_of, said
from support.forks import Tell, fork

from cas_llm import config
from cas_llm.cli import edit as editing
from cas_llm.cli import held, pending
from cas_llm.cli.verify import checks, mend
from cas_llm.config import Rank
from cas_llm.digest import digest_of
from cas_llm.session import Runtime, Scope, Session
from cas_llm.session.runs import Run
from cas_llm.store import Store
from cas_llm.store.proof.verify import Finding, verify

TEST, OTHER = "tests/test_a.py::test_one", "tests/test_a.py::test_two"
LONG = "Read this again and again. " * 120
ASKS = ("hi", LONG, "and now?")
EDITED = "edited by hand"
DANGLING = {"CAS010", "CAS011", "CAS012"}


@dataclass
class Found:
    """What was wrong after a crash, in words; all empty where all is well."""

    torn: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.torn or self.dangling or self.lost or self.unfinished)


@dataclass
class Bench:
    """One process at work on the store at `root`; `ack` tells what the program was given.

    Whatever the provider says begins with `label`, so that it is known who paid for it.
    """

    root: Path
    label: str = "a"
    durable: bool = True
    run: Run | None = None
    acknowledge: Callable[[str, str], None] = lambda _what, _value: None

    def __post_init__(self) -> None:
        self.upstream = Upstream(answer=self._answer)
        self.desks: list[Desk] = []

    def _answer(self, request: Any) -> dict[str, Any]:
        text = json.loads(request.body)["messages"][-1]["content"]
        return completion(f"{self.label}{self.upstream.count}: {text[:10]}")

    def desk(self, mode: str = "fallback", **settings: Any) -> Desk:
        """A session in *mode*: a run of its own, unless the bench belongs to one."""
        base = config.load(self.root.parent, {})
        base = base.but("a test", store=str(self.root), durable=self.durable, **settings)
        desk = Desk(
            Session(base.says(mode, Rank.USE, "a test"), self._runtime(base)), self.upstream
        )
        self.desks.append(desk)
        return desk

    def _runtime(self, base: Any) -> Runtime:
        run = Run(self.run.folder, self.run.id) if self.run else None
        return Runtime(base, run)

    def ask(self, desk: Desk, text: str, scope: Scope, *, number: int = 1) -> str:
        """Ask, and acknowledge what the program was given."""
        response = desk.ask(chat(text), scope)
        if response.status != 200:
            return f"{response.status}: {response.body.decode()}"
        got = said(response)
        self.acknowledge(f"{number} {text}", got)
        return got

    def close(self) -> None:
        """Let go of all stores."""
        for desk in self.desks:
            desk.runtime.store.close()
            desk.runtime.run.close()
        self.desks.clear()


@dataclass(frozen=True)
class Work:
    """A piece of work: what lies there before, what is done, and what must hold afterwards.

    `beside` is done by a second process at the same time.
    """

    name: str
    before: Callable[[Bench], None]
    do: Callable[[Bench], None]
    after: Callable[[Bench, dict[str, str], Found], None]
    beside: Callable[[Bench], None] | None = None
    rotten: bool = False


def examine(work: Work, root: Path, acknowledged: dict[str, str], *, durable: bool) -> Found:
    """What a fresh process finds in the store at *root*, and after it did the work again."""
    found = Found()
    if not work.rotten:
        look(root, found, whole=False)
    bench = Bench(root, "b", durable=durable)
    try:
        work.after(bench, acknowledged, found)
    except Exception as error:
        found.unfinished.append(f"{type(error).__name__}: {error}")
    bench.close()
    look(root, found, whole=True)
    return found


def look(root: Path, found: Found, *, whole: bool, level: int = 2) -> None:
    """Note what is torn or dangling; where the store is *whole*, anything `verify` calls wrong."""
    if (root / "format").exists():
        for finding in verify(root, _checks(), level=level):
            if finding.severity == "error" and (whole or finding.code != "CAS002"):
                kind = found.dangling if finding.code in DANGLING else found.torn
                kind.append(str(finding))
    store = Store(root)
    for waiting in store.pending.all():
        if not store.pending.is_whole(waiting.run, waiting.digest):
            found.dangling.append(f"pending {waiting.digest[:12]} of {waiting.scope}")
    for folder in store.pending.root.glob("*/*/??"):
        for path in folder.iterdir():
            if digest_of(path.read_bytes()) != folder.name + path.name.partition(".")[0]:
                found.torn.append(f"pending {path.name}")
    store.close()


_checks = functools.cache(checks)


def _served(
    bench: Bench, mode: str, scope: Scope, texts: tuple[str, ...], desk: Desk | None = None
) -> list[str]:
    desk = desk or bench.desk(mode)
    return [bench.ask(desk, text, scope) for text in texts]


def _expect(found: Found, what: str, got: str, *wanted: str) -> None:
    if got not in wanted:
        found.lost.append(f"{what[:20]}: got {got[:200]!r}, not {' or '.join(map(repr, wanted))}")


def _finishes(found: Found, replayed: list[str], wanted: list[str], paid: int, least: int) -> None:
    if replayed != wanted:
        found.unfinished.append(f"replays {replayed}, not {wanted}")
    if paid > least:
        found.unfinished.append(f"paid for {paid} answers, {least} were missing")


# -- a test is recorded for the first time ------------------------------------------------------


def _nothing(_bench: Bench) -> None:
    return


def _test(bench: Bench) -> None:
    desk, scope = bench.desk(), a_test(TEST)
    for text in ASKS:
        bench.ask(desk, text, scope)
    _end(bench, desk, scope)
    desk.runtime.store.flush()


def _end(bench: Bench, desk: Desk, scope: Scope) -> None:
    """The test ends: one that was told of trouble fails, so that nothing of it is promoted."""
    if not scope.problems:
        desk.passed(scope)
        bench.acknowledge("passed", "yes")


def _after_test(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    if "passed" in acknowledged:
        for text, got in zip(ASKS, _served(bench, "replay", a_test(TEST), ASKS), strict=True):
            _expect(found, text, got, acknowledged[f"1 {text}"])
    desk, scope = bench.desk(), a_test(TEST)
    heard = _served(bench, "", scope, ASKS, desk)
    for text, got in zip(ASKS, heard, strict=True):
        if f"1 {text}" in acknowledged:
            _expect(found, text, got, acknowledged[f"1 {text}"])
    desk.passed(scope)
    known = sum(f"1 {text}" in acknowledged for text in ASKS)
    replayed = _served(bench, "replay", a_test(TEST), ASKS)
    _finishes(found, replayed, heard, bench.upstream.count, len(ASKS) - known)
    if waiting := desk.runtime.store.pending.all():
        found.unfinished.append(f"{len(waiting)} answers wait still")


# -- a killed run's answers are served and promoted ---------------------------------------------


def _leave_waiting(bench: Bench) -> None:
    desk, scope = bench.desk(), a_test(TEST)
    for text in ASKS:
        bench.ask(desk, text, scope)


def _after_promotion(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    _after_test(bench, {f"1 {text}": f"t{n}: {text[:10]}" for n, text in enumerate(ASKS, 1)}, found)
    for what, got in acknowledged.items():
        if what != "passed":
            _expect(found, what, got, *(f"t{n}: {text[:10]}" for n, text in enumerate(ASKS, 1)))


# -- a script records, under no name ------------------------------------------------------------


def _script(bench: Bench) -> None:
    desk, scope = bench.desk(), Scope()
    for text in ASKS:
        bench.ask(desk, text, scope)
    desk.runtime.store.flush()


def _after_script(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    known = [text for text in ASKS if f"1 {text}" in acknowledged]
    for text in known:
        (got,) = _served(bench, "replay", Scope(), (text,))
        _expect(found, text, got, acknowledged[f"1 {text}"])
    heard = _served(bench, "fallback", Scope(), ASKS)
    replayed = _served(bench, "replay", Scope(), ASKS)
    _finishes(found, replayed, heard, bench.upstream.count, len(ASKS) - len(known))


# -- a script asks the same again and again, anew -----------------------------------------------


def _repeats(bench: Bench) -> None:
    desk, scope = bench.desk("capture", repeat="each"), Scope()
    for number in (1, 2, 3):
        bench.ask(desk, "hi", scope, number=number)


def _after_repeats(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    wanted = [acknowledged[f"{n} hi"] for n in (1, 2, 3) if f"{n} hi" in acknowledged]
    got = _served(bench, "replay", Scope(), ("hi",) * len(wanted))
    for number, (one, other) in enumerate(zip(got, wanted, strict=True), 1):
        _expect(found, f"{number} hi", one, other)
    desk, scope = bench.desk("capture", repeat="each"), Scope()
    heard = _served(bench, "", scope, ("hi",) * 3, desk)
    replayed = _served(bench, "replay", Scope(), ("hi",) * 3)
    _finishes(found, replayed, heard, bench.upstream.count, 3)


# -- a recorded test is captured anew -----------------------------------------------------------


def _capture(bench: Bench) -> None:
    desk, scope = bench.desk("capture"), a_test(TEST)
    for text in ASKS:
        bench.ask(desk, text, scope)
    _end(bench, desk, scope)


def _after_capture(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    got = _served(bench, "replay", a_test(TEST), ASKS)
    for number, (text, one) in enumerate(zip(ASKS, got, strict=True), 1):
        new = [f"a{n}: {text[:10]}" for n in range(1, number + 1)]
        old = [] if "passed" in acknowledged else [f"t{number}: {text[:10]}"]
        _expect(found, text, one, *new, *old)
    desk, scope = bench.desk(), a_test(TEST)
    heard = _served(bench, "", scope, ASKS, desk)
    for text, one in zip(ASKS, heard, strict=True):
        if f"1 {text}" in acknowledged:
            _expect(found, text, one, acknowledged[f"1 {text}"])
    desk.passed(scope)
    replayed = _served(bench, "replay", a_test(TEST), ASKS)
    _finishes(found, replayed, heard, bench.upstream.count, 0)


# -- an answer is edited by hand ----------------------------------------------------------------


def _before_edit(bench: Bench) -> None:
    for scope in (TEST, OTHER):
        desk, opened = bench.desk(), a_test(scope)
        bench.ask(desk, "hi", opened)
        desk.passed(opened)
    desk, scope = bench.desk("capture", repeat="each"), Scope()
    for number in (1, 2, 3):
        bench.ask(desk, "often", scope, number=number)


def _edit(bench: Bench) -> None:
    store = Store(bench.root, durable=bench.durable)
    desk = bench.desk()
    editing.edit_answer(store, key_of(desk, chat("hi")), editing.text_change(EDITED))
    bench.acknowledge("hi", EDITED)
    often = key_of(desk, chat("often"))
    editing.edit_answer(store, often, editing.text_change(EDITED), ordinal=2)
    bench.acknowledge("often", EDITED)
    store.close()


def _after_edit(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    old = [] if "hi" in acknowledged else ["t1: hi"]
    for scope in (TEST, OTHER):
        (got,) = _served(bench, "replay", a_test(scope), ("hi",))
        _expect(found, f"hi of {scope}", got, EDITED, *old)
    got = _served(bench, "replay", Scope(), ("often",) * 3)
    old = [] if "often" in acknowledged else ["t3: often"]
    for number, (one, wanted) in enumerate(
        zip(got, (["t2: often"], [EDITED, *old], ["t4: often"]), strict=True), 1
    ):
        _expect(found, f"{number} often", one, *wanted)
    desk = bench.desk()
    store = desk.runtime.store
    for scope in (TEST, OTHER):
        key = key_of(desk, chat("hi"))
        editing.edit_answer(store, key, editing.text_change(EDITED), test=scope)
    often = key_of(desk, chat("often"))
    editing.edit_answer(store, often, editing.text_change(EDITED), ordinal=2)
    replayed = [_served(bench, "replay", a_test(s), ("hi",))[0] for s in (TEST, OTHER)]
    replayed += _served(bench, "replay", Scope(), ("often",) * 3)
    wanted = [EDITED, EDITED, "t2: often", EDITED, "t4: often"]
    _finishes(found, replayed, wanted, bench.upstream.count, 0)


# -- what rotted is recorded over, or restored from git -----------------------------------------


def _rot(bench: Bench) -> None:
    _recorded(bench)
    part = next(bench.root.glob("objects/??/*.txt"))
    part.write_bytes(part.read_bytes()[:100])


def _recorded(bench: Bench) -> None:
    desk, scope = bench.desk(), a_test(TEST)
    for text in ASKS:
        bench.ask(desk, text, scope)
    desk.passed(scope)


def _after_mend(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    _after_capture(bench, acknowledged, found)
    desk, scope = bench.desk("capture"), a_test(TEST)
    heard = _served(bench, "", scope, ASKS, desk)
    desk.passed(scope)
    replayed = _served(bench, "replay", a_test(TEST), ASKS)
    _finishes(found, replayed, heard, bench.upstream.count, len(ASKS))


def _break_what_git_holds(bench: Bench) -> None:
    _recorded(bench)
    folder = bench.root.parent
    for arguments in (("add", "-A"), ("commit", "-q", "-m", "Record")):
        subprocess.run(["git", "-C", folder, *arguments], check=True)
    for path in (*bench.root.glob("requests/??/*"), *bench.root.glob("manifest/tapes/**/*.json")):
        path.write_bytes(path.read_bytes()[:50])
    next(bench.root.glob("objects/??/*.txt")).unlink()


def _repair(bench: Bench) -> None:
    def again() -> list[Finding]:
        return list(verify(bench.root, _checks(), level=2))

    for mended in mend(bench.root, again(), again)[0]:
        bench.acknowledge(mended.path, "restored" if mended.restored else mended.what)


def _after_repair(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    for path, what in acknowledged.items():
        _expect(found, path, what, "restored")
        if any(finding.path == path for finding in verify(bench.root, _checks(), level=2)):
            found.lost.append(f"{path} was restored and is damaged")
    _repair(bench)
    replayed = _served(bench, "replay", a_test(TEST), ASKS)
    _finishes(found, replayed, [f"t{n}: {t[:10]}" for n, t in enumerate(ASKS, 1)], 0, 0)


# -- waiting answers are accepted by hand -------------------------------------------------------


def _accept(bench: Bench) -> None:
    store = Store(bench.root, durable=bench.durable)
    chosen = held.items(store)
    if chosen:
        pending.accept(store, chosen)
    bench.acknowledge("passed", "yes")
    store.close()


def _after_accept(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    wanted = [f"t{n}: {text[:10]}" for n, text in enumerate(ASKS, 1)]
    if "passed" in acknowledged:
        for text, got, want in zip(
            ASKS, _served(bench, "replay", a_test(TEST), ASKS), wanted, strict=True
        ):
            _expect(found, text, got, want)
    _accept(bench)
    replayed = _served(bench, "replay", a_test(TEST), ASKS)
    _finishes(found, replayed, wanted, bench.upstream.count, 0)


# -- two processes of one run -------------------------------------------------------------------


def _beside(bench: Bench) -> None:
    desk, scope = bench.desk(), Scope()
    for text in (*ASKS, "mine alone"):
        bench.ask(desk, text, scope)


def _after_pair(bench: Bench, acknowledged: dict[str, str], found: Found) -> None:
    for text in (*ASKS, "mine alone"):
        mine = [
            acknowledged[f"{who}1 {text}"]
            for who in ("", "beside ")
            if f"{who}1 {text}" in acknowledged
        ]
        (got,) = _served(bench, "replay", Scope(), (text,)) if mine else ("",)
        if mine:
            _expect(found, text, got, *mine)
        if len(set(mine)) > 1:
            found.unfinished.append(f"{text[:20]}: one run gave {mine}")
    if "beside 1 mine alone" not in acknowledged:
        found.unfinished.append("the process beside did not come to its end")


WORKS = {
    work.name: work
    for work in (
        Work("test", _nothing, _test, _after_test),
        Work("promotion", _leave_waiting, _test, _after_promotion),
        Work("script", _nothing, _script, _after_script),
        Work("repeats", _repeats, _repeats, _after_repeats),
        Work("capture", _recorded, _capture, _after_capture),
        Work("edit", _before_edit, _edit, _after_edit),
        Work("mend", _rot, _capture, _after_mend, rotten=True),
        Work("repair", _break_what_git_holds, _repair, _after_repair, rotten=True),
        Work("accept", _leave_waiting, _accept, _after_accept),
        Work("two at once", _nothing, _script, _after_pair, beside=_beside),
    )
}


def laid_out(work: Work, folder: Path, *, durable: bool) -> Path:
    """A project with a git repository in which *work* can be done; returns the store's folder."""
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    shutil.rmtree(folder / ".git" / "hooks", ignore_errors=True)
    bench = Bench(folder / "cache_store", "t", durable=durable)

    def before(_tell: Tell) -> None:
        work.before(bench)
        bench.close()

    # By a process that is gone: what waits of a living one is its own.
    code, _ = fork(before).join()
    assert code == 0, f"{work.name} cannot be laid out"
    return bench.root
