"""What a recording run keeps, repeats, pays for and leaves alone."""

import json
from dataclasses import replace

import pytest
from support.answers import answer
from support.inner import CAPTURE, FALLBACK, summary_of
from support.provider import Reply

from cas_llm.store import Recording, Store

SAME = """
    def test_one(): ask("hello")
    def test_two(): ask("hello")
"""


def test_a_test_that_lives_on_borrowed_recordings_is_named_and_mended_for_nothing(inner):
    """Replay serves another test's answer and says so; one FALLBACK run writes the tape."""
    inner.tests(SAME.partition("    def test_two")[0]).record(passed=1)
    inner.tests(SAME)
    said = summary_of(inner.run(passed=2))
    assert "1 test without a tape of its own" in said
    assert "tests/test_it.py::test_two" in said
    said = summary_of(inner.record(passed=2))
    assert "0 calls   new: no recording in 1 test" in said
    said = summary_of(inner.run(passed=2))
    assert "without a tape" not in said
    assert inner.provider.count == 1


@pytest.mark.slow
def test_a_failure_over_anothers_answer_says_whose_it_is_and_how_to_ask(inner):
    """Served again it could only fail again; the command asks for the test's own."""
    inner.tests("def test_one(): assert ask('hello') == 'answer 1: hello'").record(passed=1)
    inner.tests(
        """
        def test_one(): assert ask("hello") == "answer 1: hello"
        def test_two(): assert ask("hello") == "answer 2: hello"
        """
    )
    said = inner.run(passed=1, failed=1).stdout
    assert "served from another's recording" in said
    assert "\n  tests/test_it.py::test_one\n" in said
    command = "pytest tests/test_it.py::test_two --cas-llm=capture"
    assert f"Ask for its own:  {command}" in said
    inner.run(*command.split()[1:], passed=1)
    assert "served from another's" not in inner.run(passed=2).stdout


@pytest.mark.slow
def test_a_call_that_nobody_answered_is_told_with_its_host(inner):
    """An SDK says "Connection error" and no more; nothing is said where a test just failed."""
    inner.provider.script(lambda _received: Reply(body=b"{}", close_after=1, reset=True))
    said = inner.tests("def test_it(): ask('hello')").record(failed=1).stdout
    assert f"no answer from 127.0.0.1:{inner.provider.port}   " in said
    assert "OPENAI_BASE_URL" in said
    said = inner.tests("def test_it(): assert False").record(failed=1).stdout
    assert "no answer from" not in said


def test_equal_requests_of_one_run_are_one_call_in_fallback_and_in_capture(inner):
    """Two tests, one question: the second gets the run's own answer; each has its tape."""
    inner.tests(SAME).record(passed=2)
    assert (inner.provider.count, len(inner.tapes())) == (1, 2)
    inner.run(CAPTURE, passed=2)
    assert (inner.provider.count, len(inner.tapes())) == (2, 4)
    inner.run(passed=2)


def test_a_repetition_in_a_test_is_recorded_anew_by_capture(inner):
    """In order, and replayed in order; in FALLBACK a repetition is a hit."""
    inner.tests("def test_it():\n    print([ask('hi') for _ in range(3)])").record(passed=1)
    assert inner.provider.count == 1
    inner.run(CAPTURE, passed=1)
    assert inner.provider.count == 4
    again = inner.run("-s", passed=1).stdout
    assert "['answer 2: hi', 'answer 3: hi', 'answer 4: hi']" in again


def test_a_locked_test_is_not_captured_anew(inner):
    """Its recordings stay; what it lacks is recorded all the same."""
    inner.tests(
        """
        @pytest.mark.cas_llm(locked=True)
        def test_locked(): print(ask("locked"))
        def test_free(): ask("free")
        """
    )
    inner.record(passed=2)
    inner.run(CAPTURE, passed=2)
    assert inner.provider.count == 3
    assert len(inner.tapes("test_locked")) == 1


@pytest.mark.slow
def test_a_failed_capture_is_not_paid_for_twice(inner):
    """Its answers wait; the next FALLBACK takes them before the recorded ones."""
    text = "def test_it():\n    answer = ask('hi')\n    print(answer)\n    assert {}"
    inner.tests(text.format("True")).record(passed=1)
    failed = inner.tests(text.format("False")).run(CAPTURE, failed=1)
    assert "1 recorded, kept until the test passes" in summary_of(failed)
    assert "answer 1: hi" in inner.run("-s", failed=1).stdout
    inner.tests(text.format("answer"))
    mended = inner.run("-s", FALLBACK, passed=1)
    assert "answer 2: hi" in mended.stdout
    assert "0 calls (1 waiting answer used)" in summary_of(mended)
    assert "answer 2: hi" in inner.run("-s", passed=1).stdout
    assert inner.provider.count == 2


def test_a_miss_in_replay_says_that_an_answer_waits(inner):
    """Replay never serves it."""
    inner.tests("def test_it(): assert ask('hi') == 'no'").record(failed=1)
    result = inner.run(failed=1)
    assert "An answer waits for this test to pass: cas-llm pending" in result.stdout


def steady(received):
    """A live model at temperature 0: the same words each time under another id."""
    text = "fixed" if "fix" in received.body.decode() else f"word {received.number}"
    body = json.loads(answer(received, {}).body)
    body["choices"][0]["message"]["content"] = text
    return Reply.of(body)


@pytest.mark.slow
def test_capturing_the_same_words_under_new_ids_adds_nothing(inner):
    """Ids, times and fingerprints are noise; a changed word is not."""
    inner.provider.script(steady)
    inner.tests("def test_it(): ask('fix')").record(passed=1)
    before = inner.hashes()
    inner.run(CAPTURE, passed=1)
    assert inner.provider.count == 2
    assert inner.hashes() == before
    inner.tests("def test_it(): ask('vary')").record(passed=1)
    inner.run(CAPTURE, passed=1)
    assert len(inner.tapes()) == 3


def edit_by_hand(inner):
    """A new take of the only tape, whose answer says something else and is marked as edited."""
    store = Store(inner.project.path / "cache_store")
    (path,) = store.manifest.tape_paths()
    tape = store.manifest.load_tape(path)
    old = store.load(tape.turns[0].digest)
    body = old.response.body.replace(b"answer 1: hi", b"edited by hand")
    new = replace(old, response=replace(old.response, body=body), marks=("edited",))
    digest = store.save(Recording(store.objects.get_request(old.key), new))
    store.add_tape(replace(tape, take=1, turns=(replace(tape.turns[0], digest=digest),)))
    store.close()


def test_an_answer_edited_by_hand_is_not_captured_anew_unless_told(inner):
    """CAPTURE serves it; ``--cas-llm-replace-edited`` asks again."""
    inner.tests("def test_it(): print(ask('hi'))").record(passed=1)
    edit_by_hand(inner)
    kept = inner.run(CAPTURE, "-s", passed=1)
    assert "edited by hand" in kept.stdout
    assert inner.provider.count == 1
    asked = inner.run(CAPTURE, "--cas-llm-replace-edited", "-s", passed=1)
    assert "answer 2: hi" in asked.stdout


@pytest.mark.slow
def test_two_branches_takes_of_one_test_are_reported_as_a_tie(inner):
    """The pick is deterministic; the summary names the test."""
    project = inner.tests("def test_it(): ask('hi')").project
    project.commit("Test")
    for branch in ("one", "two"):
        project.git("checkout", "-q", "-b", branch, "main")
        inner.record(passed=1)
        project.commit(branch)
    project.git("merge", "-q", "--no-edit", "one")
    said = summary_of(inner.run(passed=1))
    assert "1 test was recorded on two branches" in said
    assert "tests/test_it.py::test_it" in said
    assert project.status == ""


@pytest.mark.slow
def test_a_fixture_that_two_branches_recorded_is_reported_as_a_tie(inner):
    """Also where it makes the test of one branch miss: the tie is why."""
    project = inner.tests(
        """
        import pytest
        from llm import ask
        @pytest.fixture(scope="session")
        def person(): return ask("Invent a person")
        """,
        "tests/conftest.py",
    ).project
    project.file(".gitignore", "__pycache__\n").commit("A fixture")
    for branch in ("one", "two"):
        project.git("checkout", "-q", "-b", branch, "main")
        test = f"def test_{branch}(person): ask('{branch} speaks as ' + person)"
        inner.tests(test, f"tests/test_{branch}.py").record(passed=1)
        project.commit(branch)
    project.git("merge", "-q", "--no-edit", "one")
    said = summary_of(inner.run(passed=1, failed=1))
    assert "recorded on two branches" in said
    assert "tests/conftest.py::person" in said


def test_an_edited_source_keeps_its_tape_and_a_renamed_test_borrows_it(inner):
    """What is asked counts, not how the test is written or called."""
    inner.tests("def test_it():\n    ask('hi')").record(passed=1)
    inner.tests("def test_it():\n    assert ask('hi')").run(passed=1)
    said = summary_of(inner.tests("def test_new():\n    ask('hi')").run(passed=1))
    assert "1 test without a tape of its own" in said
    assert inner.provider.count == 1
