"""`cas-llm review`: what waits, what ties, what is new; accepted or rejected, and nothing lost."""

from __future__ import annotations

import json
import os
import time

import pytest
from support.stores import asks, recorded, says, streams
from support.suites import ONE, TWO, Bench, answered
from support.terminal import said

from cas_llm.cli import deciding, review, reviewing
from cas_llm.cli.verify import checks
from cas_llm.errors import CasLLMError
from cas_llm.store import Recording, Shared, Store, Tape, layout
from cas_llm.store.past.memory import Memory
from cas_llm.store.proof.verify import verify

NEW = "tests/test_bot.py::test_new"
THEN = "2026-11-21T09:14:02Z"


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def wait(bench: Bench, scope: str, recording: Recording, *, captured: bool = False) -> str:
    """Let a recording wait for *scope*; its key."""
    store, (digest, files) = Store(bench.repository.root), recording.files()
    told = {"scope": scope, "key": recording.answer.key, "digest": digest, "captured": captured}
    store.pending.stage("0a1b2c3d", ordinal=1, files=files, **told)
    store.close()
    return recording.answer.key


def tapes(bench: Bench, scope: str) -> list[Tape]:
    """The scope's tapes, the lowest take first."""
    found = Store(bench.repository.root).manifest.tapes_of(scope)
    return sorted(found, key=lambda tape: (tape.take, tape.digest))


def answers(tape: Tape) -> list[str]:
    """What a tape's turns say."""
    return [" ".join(turn.answer) for turn in tape.turns]


def is_sound(bench: Bench) -> bool:
    """Whether verify finds nothing."""
    found = [*verify(bench.repository.root, checks(), workers=1)]
    print(*found, sep="\n")
    return not found


def decide(capsys, *arguments: str) -> list[dict]:
    """What a review says it did."""
    return json.loads(said(capsys, "review", *arguments, "--json")[0])["done"]


def listed(capsys, *arguments: str) -> list[tuple[str, str]]:
    """Kind and name of all there is to review."""
    found = json.loads(said(capsys, "review", *arguments, "--json")[0])["items"]
    return [(one["kind"], one["name"]) for one in found]


def test_all_there_is_to_review_is_listed_where_nobody_can_be_asked(bench, capsys):
    """What waits, what ties, what is new; and how to decide."""
    assert said(capsys, "review")[0] == (
        "Nothing to review: nothing waits, nothing ties, no new take.\n"
    )
    wait(bench, NEW, answered("new", "Hello"))
    bench.record(TWO, answered("two", "left"), take=1)
    bench.record(TWO, answered("two", "right"), take=1)
    bench.record(ONE, answered("one", "I cannot help with that."), take=1)
    assert listed(capsys) == [("waiting", NEW), ("tie", TWO), ("take", ONE)]
    out, _ = said(capsys, "review")
    assert out == said(capsys, "review", "--list")[0]
    assert f'{NEW}   1 waiting\n    new  "Hello"\n' in out
    assert f"{TWO}   2 tapes of take 1 tie:  1 " in out
    assert f'{ONE}   new take 1, not committed\n    refusal  "1" -> declines: ' in out
    assert out.endswith(
        "3 items. Next: cas-llm review --accept KEY|TEST|all, or --reject …; "
        "one by one at a terminal\n"
    )


def test_a_waiting_answer_is_accepted_and_then_taken_back(bench, capsys):
    """It becomes a take of its test; the command that was printed undoes that."""
    wait(bench, ONE, answered("one", "Another"), captured=True)
    (done,) = decide(capsys, "--accept", ONE)
    assert (done["action"], done["what"]) == ("accepted", "in the store: take 1")
    assert answers(tapes(bench, ONE)[-1]) == ["Another"]
    assert is_sound(bench)
    assert listed(capsys) == []
    assert done["undo"] == f"cas-llm review --reject {ONE}"
    (undone,) = decide(capsys, "--reject", ONE)
    assert [tape.take for tape in tapes(bench, ONE)] == [0]
    assert undone["undo"] == "cas-llm prune --undo"
    said(capsys, "prune", "--undo")
    assert answers(tapes(bench, ONE)[-1]) == ["Another"]


def test_a_rejected_answer_waits_again_when_that_is_undone(bench, capsys):
    """It was paid for: it is set aside byte for byte, the last review's first."""
    key = wait(bench, ONE, answered("one", "Another"))
    wait(bench, NEW, answered("new", "Hello"))
    (done,) = decide(capsys, "--reject", key[:8])
    assert done["undo"] == "cas-llm review --undo"
    assert listed(capsys) == [("waiting", NEW)]
    decide(capsys, "--reject", "all")
    assert listed(capsys) == []
    for _ in range(2):
        assert said(capsys, "review", "--undo")[0].startswith("1 answer waiting again.")
    assert sorted(listed(capsys)) == [("waiting", NEW), ("waiting", ONE)]
    assert "no answer that waited was rejected" in said(capsys, "review", "--undo", code=1)[1]
    decide(capsys, "--accept", ONE)
    assert answers(tapes(bench, ONE)[-1]) == ["Another"]


@pytest.mark.parametrize("how", ["accept", "reject", "digest"])
def test_a_tie_is_settled_by_a_take_above_both(bench, capsys, how):
    """Without a call; neither tape is touched, and nothing ties any more."""
    for text in ("left", "right"):
        bench.record(ONE, answered("one", text, at=THEN), take=1)
    bench.repository.commit()
    first, second = tapes(bench, ONE)[1:]
    chosen = {"accept": first, "reject": second, "digest": second}[how]
    word = second.digest[:12] if how == "digest" else ONE
    (done,) = decide(capsys, "--reject" if how == "reject" else "--accept", word)
    assert done["what"] == "settled by take 2, without a call"
    *before, settled = tapes(bench, ONE)
    assert before[1:] == [first, second]
    assert (settled.take, settled.turns) == (2, chosen.turns)
    assert listed(capsys) == []
    assert is_sound(bench)
    decide(capsys, "--reject", ONE)
    assert listed(capsys) == [("tie", ONE)]


def test_a_new_take_that_is_rejected_goes_to_the_trash_with_what_only_it_names(bench, capsys):
    """What others name stays, and the work tree is as it was committed."""
    both = answered("both", "same", at=THEN)
    bench.record(ONE, answered("one", "Another"), both, take=1)
    bench.record(NEW, both)
    (done,) = decide(capsys, "--reject", ONE)
    assert done["what"] == "moved to the trash; what was served before is served again"
    assert listed(capsys) == [("take", NEW)]
    assert is_sound(bench)
    assert decide(capsys, "--reject", NEW)[0]["what"].endswith("until it is recorded again")
    assert bench.repository.git("status", "--short", "--", "cache_store") == ""
    for _ in range(2):
        said(capsys, "prune", "--undo")
    assert sorted(listed(capsys)) == [("take", NEW), ("take", ONE)]
    assert is_sound(bench)


def test_a_committed_take_is_rejected_by_another_above_it(bench, capsys):
    """Recording only adds: the answers from before are named again, the new ones stay."""
    bench.record(ONE, answered("one", "Another"), answered("more", "5"), take=1)
    bench.repository.commit()
    assert listed(capsys) == []
    assert listed(capsys, "--base", "HEAD~1") == [("take", ONE)]
    (done,) = decide(capsys, "--base", "HEAD~1", "--reject", "test_one")
    assert done["what"] == (
        "the answers from before are take 2; 1 with changed requests stay as they are"
    )
    assert [answers(tape) for tape in tapes(bench, ONE)] == [["1"], ["Another", "5"], ["1", "5"]]
    assert is_sound(bench)
    assert listed(capsys) == []


def test_what_was_pruned_comes_back_with_the_take_that_names_it(bench, capsys):
    """The answer from before is in git alone."""
    old = tapes(bench, ONE)[0]
    bench.record(ONE, answered("one", "Another"), take=1)
    old.path(bench.repository.root).unlink()
    layout.object_path(bench.repository.root, old.turns[0].digest).unlink()
    bench.repository.commit()
    decide(capsys, "--base", "HEAD~1", "--reject", ONE)
    assert answers(tapes(bench, ONE)[-1]) == ["1"]
    assert is_sound(bench)


def test_where_every_request_changed_there_is_nothing_to_go_back_to(bench, capsys):
    """Said, with what can be done; nothing is written."""
    bench.record(ONE, answered("one, please", "Another"), take=1)
    bench.repository.commit()
    _, err = said(capsys, "review", "--base", "HEAD~1", "--reject", ONE, code=1)
    assert "nothing else was ever answered to these very requests" in err
    assert len(tapes(bench, ONE)) == 2


@pytest.mark.parametrize("committed", [False, True])
def test_a_shared_take_is_rejected_as_a_tests_is(bench, capsys, committed):
    """By its key; the sequence from before is the one in use."""
    store = Store(bench.repository.root)
    runs = {"old": "0a1b2c3d", "new": "1b2c3d4e"}
    made = [recorded(asks("shared"), says(text), run) for text, run in runs.items()]
    digests, key = [one.files()[0] for one in made], made[0].answer.key
    store.save(made[0])
    store.add_shared(Shared(key, 0, "0a1b2c3d", 1, digests[0]))
    bench.repository.commit()
    store.save(made[1])
    store.add_shared(Shared(key, 1, "1b2c3d4e", 1, digests[1]))
    store.close()
    if committed:
        bench.repository.commit()
    base = ("--base", "HEAD~1") if committed else ()
    assert listed(capsys, *base) == [("shared", key)]
    assert f"shared request {key[:12]}   new take 1, " in said(capsys, "review", *base)[0]
    decide(capsys, *base, "--reject", key[:10])
    entries = Store(bench.repository.root).manifest.shared_of(key)
    last = max(entries, key=lambda entry: entry.take)
    assert (last.digest, last.take) == (digests[0], 2 if committed else 0)
    assert is_sound(bench)


def test_what_a_run_that_still_works_holds_is_left_to_it(bench, capsys):
    """It is about to take the answer in, or to ask again."""
    wait(bench, ONE, answered("one", "Another"))
    (about,) = Store(bench.repository.root).pending.root.glob("*/run.json")
    about.write_text(json.dumps({"began": time.time(), "pid": os.getppid()}))
    assert listed(capsys) == []
    assert decide(capsys, "--reject", "all") == []
    assert [one.scope for one in Store(bench.repository.root).pending.all()] == [ONE]


def test_a_take_that_was_committed_meanwhile_is_not_moved(bench, capsys):
    """Only what no commit holds may go; somebody else may have decided while one was reading."""
    bench.record(ONE, answered("one", "Another"), take=1)
    memory = Memory(bench.repository.root)
    (item,) = reviewing.items(memory, bench.repository.git("rev-parse", "HEAD").strip())
    bench.repository.commit()
    with pytest.raises(CasLLMError, match="meanwhile; nothing was changed"):
        deciding.reject(Memory(bench.repository.root), item)
    assert len(tapes(bench, ONE)) == 2


def test_where_one_thing_cannot_be_decided_nothing_is(bench, capsys):
    """It is found before anything is done, so that nobody is left with half of it."""
    bench.record(TWO, answered("an edited question", "2"), take=1)
    bench.repository.commit()
    wait(bench, ONE, answered("one", "Another"))
    error = said(capsys, "review", "--base=HEAD~1", "--reject=all", code=1)[1]
    assert f"{TWO}: nothing else was ever answered to these very requests" in error
    assert ("waiting", ONE) in listed(capsys)


def test_what_was_accepted_is_not_asked_about_again(bench, capsys):
    """Until it is rejected, or recorded anew."""
    bench.record(ONE, answered("one", "Another"), take=1)
    bench.record(TWO, recorded(asks("two"), streams("a b")), take=1)
    assert [done["name"] for done in decide(capsys, "--accept", "all")] == [ONE, TWO]
    assert listed(capsys) == []
    bench.record(ONE, answered("one", "Yet another"), take=2)
    assert listed(capsys) == [("take", ONE)]


def test_words_that_fit_nothing_or_both_are_errors(bench, capsys):
    """Before anything is done."""
    bench.record(ONE, answered("one", "Another"), take=1)
    assert (
        "nothing to review is called 'nope'"
        in said(capsys, "review", "--accept", ONE, "--accept", "nope", code=1)[1]
    )
    _, err = said(capsys, "review", "--accept", ONE, "--reject", "all", code=2)
    assert f"{ONE}: accept it or reject it, not both" in err
    assert "give --list, --undo" in said(capsys, "review", "--list", "--undo", code=2)[1]
    assert listed(capsys) == [("take", ONE)]
    assert decide(capsys, "--reject", "all")[0]["name"] == ONE
    assert said(capsys, "review", "--accept", "all")[0] == "Nothing to review.\n"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """What somebody types, line by line, at a terminal; then nothing more."""

    def types(*lines: str) -> None:
        given = iter(lines)

        def answer(prompt: str) -> str:
            for line in given:
                return line
            raise EOFError

        monkeypatch.setattr("builtins.input", answer)
        monkeypatch.setattr(review, "is_asked", lambda: True)

    return types


def test_at_a_terminal_one_after_another_is_asked_about(bench, capsys, typed):
    """With its diff; help says the letters, and what is skipped stays."""
    wait(bench, NEW, answered("new", "Hello"))
    bench.record(ONE, answered("one", "I cannot help with that."), take=1)
    bench.record(TWO, answered("two", "2 and more"), take=1)
    typed("?", "a", "r", "s")
    out, _ = said(capsys, "review")
    assert f"1 of 3   {NEW}   1 waiting\n" in out
    assert "  -  1\n  +  I cannot help with that.\n" in out
    assert "s  skip it" in out
    assert out.endswith("\n2 decided, 1 left: cas-llm review\n")
    assert listed(capsys) == [("take", TWO)]
    assert answers(tapes(bench, NEW)[0]) == ["Hello"]
    assert [tape.take for tape in tapes(bench, ONE)] == [0]


def test_at_a_terminal_a_tie_is_settled_by_its_number(bench, capsys, typed):
    """And `A` accepts all that is left; the end of input quits."""
    for text in ("left", "right"):
        bench.record(ONE, answered("one", text, at=THEN), take=1)
    bench.record(TWO, answered("two", "2 and more"), take=1)
    second = tapes(bench, ONE)[2]
    typed()
    assert said(capsys, "review")[0].endswith("0 decided, 2 left: cas-llm review\n")
    typed("2", "A")
    assert said(capsys, "review")[0].endswith("2 decided, 0 left\n")
    assert tapes(bench, ONE)[-1].turns == second.turns


def test_without_a_repository_what_waits_is_reviewed(tmp_path, capsys, monkeypatch):
    """Nobody knows which takes are new there, so none is said to be."""
    bench = Bench(tmp_path / "plain")
    bench.record(ONE, answered("one", "1"))
    wait(bench, NEW, answered("new", "Hello"))
    monkeypatch.chdir(bench.repository.path)
    assert listed(capsys, "--store", "cache_store") == [("waiting", NEW)]
    assert decide(capsys, "--store", "cache_store", "--accept", NEW)[0]["action"] == "accepted"
    out, _ = said(capsys, "diff", "--pending", "--store", "cache_store")
    assert out.splitlines()[1:] == ["No recording differs."]


def test_waiting_answers_are_compared_with_what_they_would_replace(bench, capsys):
    """`cas-llm diff --pending`; writes nothing."""
    wait(bench, ONE, answered("one", "I cannot help with that."))
    wait(bench, NEW, answered("new", "Hello"))
    found = json.loads(said(capsys, "diff", "--pending", "--json")[0])
    (change,) = found["changes"]
    assert (change["before"]["text"], change["class"]) == ("1", "refusal")
    assert list(found["new_tests"]) == [NEW]
    assert (
        "cas-llm diff: answers that wait for their test\n" in said(capsys, "diff", "--pending")[0]
    )
    assert len(listed(capsys)) == 2
