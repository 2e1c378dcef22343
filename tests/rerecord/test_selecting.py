"""What a person may name, and which recordings it means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.leaves import fill
from support.stores import RUN, TEST, every_kind

from cas_llm.errors import CasLLMError, ConfigError
from cas_llm.rerecord.selecting import Wanted, age, chosen, names, of_last_takes, scopes_of
from cas_llm.session.catalogue import Catalogue, catalogue
from cas_llm.store import Tape

NOW = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Forty leaves, one a second."""
    return catalogue(fill(tmp_path_factory.mktemp("leaves") / "cache_store", 40))


def test_nothing_is_meant_by_nothing(held: Catalogue) -> None:
    """Without a word, what there is to say is listed."""
    with pytest.raises(ConfigError, match="KEY, TEST, FILE or FOLDER, --model"):
        chosen(held, Wanted(), NOW)


def test_words_add_up_and_options_narrow(held: Catalogue) -> None:
    """Tests, keys and folders are added; model, text and age are each to hold."""
    key = held.entries[7].key
    both = chosen(held, Wanted((key[:9], "tests/test_q.py::test_9")), NOW)
    assert len(both) == 2
    assert len(chosen(held, Wanted(("tests",)), NOW)) == 40
    assert len(chosen(held, Wanted(("tests/test_q.py",), texts=("question 3",)), NOW)) == 11
    assert len(chosen(held, Wanted(models=("gpt-4o-mini",)), NOW)) == 40
    assert chosen(held, Wanted(models=("gpt-4o",)), NOW) == []
    old = chosen(held, Wanted(older_than=timedelta(seconds=20)), NOW)
    assert len(old) == 10
    stale = Wanted(stale=frozenset({held.entries[0].digest}))
    assert [one.entry for one in chosen(held, stale, NOW)] == [held.entries[0]]


def test_a_word_that_means_nothing_is_an_error(held: Catalogue) -> None:
    """Also where another word means something: it may be a slip of the pen."""
    with pytest.raises(CasLLMError, match="called 'test_99'"):
        chosen(held, Wanted(("test_9", "test_99")), NOW)


def test_only_what_is_in_use_is_meant(tmp_path: Path) -> None:
    """A superseded take's answers stay out; what programs recorded is named by `shared`."""
    held = catalogue(every_kind(tmp_path / "cache_store"))
    everything = chosen(held, Wanted(everything=True), NOW)
    assert {scope: len(found) for scope, found in scopes_of(everything).items()} == {
        "block": 1,
        TEST: 7,
        "shared": 2,
    }
    (shared, _) = chosen(held, Wanted(("shared",)), NOW)
    assert [place.scope for place in shared.places] == ["shared"]
    runs = {one.run for one in held.shared}
    assert len(runs) == 2
    assert RUN in runs


def test_what_only_an_earlier_text_of_a_test_asks_is_left(tmp_path: Path) -> None:
    """Both texts are in use, as a branch may have either; a run here asks the newer one's only."""
    store = fill(tmp_path / "cache_store", 2)
    first, second = sorted(catalogue(store).tapes, key=lambda tape: tape.scope)
    newer = Tape(first.scope, first.take + 1, "f" * 64, second.turns)
    store.add_tape(newer)
    held = catalogue(store)
    picked = chosen(held, Wanted(everything=True), NOW)
    kept, left = of_last_takes(picked, held)
    assert [one.entry.key for one in kept] == [second.turns[0].key]
    ((older, why),) = left
    assert older.entry.key == first.turns[0].key
    assert why == f"only an earlier text of {first.scope} asks for it"


@pytest.mark.parametrize(
    ("word", "scope", "is_meant"),
    [
        ("tests/test_a.py", "tests/test_a.py::test_x", True),
        ("./tests/", "tests/test_a.py::test_x", True),
        ("tests/test_a.py::TestB", "tests/test_a.py::TestB::test_x", True),
        ("test_x", "tests/test_a.py::TestB::test_x[1]", True),
        ("test_x[1]", "tests/test_a.py::test_x[1]", True),
        ("test_x[1]", "tests/test_a.py::test_x[2]", False),
        ("tests/test_a.py::test_x", "tests/test_a.py::test_x[a/b]", True),
        ("test", "tests/test_a.py::test_x", False),
        ("tests/test_a", "tests/test_a.py::test_x", False),
        ("nightly", "use::nightly", True),
    ],
)
def test_a_word_names_a_test_as_pytest_does(word: str, scope: str, is_meant: bool) -> None:
    """A file, a folder, a class, a name with its parameters or without; never a part of one."""
    assert names(word, scope) is is_meant


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("36h", timedelta(hours=36)),
        ("90d", timedelta(90)),
        ("2w", timedelta(14)),
        ("1Y", timedelta(365)),
    ],
)
def test_an_age_has_a_unit(text: str, found: timedelta) -> None:
    """Hours, days, weeks, months and years."""
    assert age(text) == found


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1 s"])
def test_what_is_no_age_is_said(text: str) -> None:
    """A number alone could be anything."""
    with pytest.raises(ConfigError, match="is no age"):
        age(text)


def test_an_age_beyond_all_time_is_the_longest_there_is() -> None:
    """Nothing is as old, and nothing breaks."""
    assert age("99999999999999y").days == timedelta.max.days
