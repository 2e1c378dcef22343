"""`cas-llm ls`: recordings and the filters on them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.projects import Project
from support.provider import ScriptedProvider
from support.recordings import fill, key_of

from cas_llm.cli import naming
from cas_llm.cli.edit import edit_answer, text_change
from cas_llm.cli.ls import Filter, parse_age, select
from cas_llm.errors import CasLLMError, ConfigError
from cas_llm.session.catalogue import Entry, Naming, age_text, catalogue
from cas_llm.store import Store

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "cache_store", provider)


def asks(store: Store, **wanted: object) -> list[str]:
    """The last turns of the recordings that a filter lets through."""
    found = select(catalogue(store).entries, Filter(**wanted), store, datetime.now(UTC))
    return [" ".join(entry.ask) for entry in found]


def test_every_answer_is_listed_once_in_the_order_of_recording(store: Store) -> None:
    """Two answers to one request are two lines; who else uses one adds none."""
    assert asks(store) == ["apart", "same", "same", "flow", "reply"]
    first = catalogue(store).entries[1]
    assert first.tests == ("use::one", "use::two")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"api": "openai"}, 5),
        ({"api": "loopback"}, 5),
        ({"api": "anthropic"}, 0),
        ({"model": "gpt-4o-mini*"}, 4),
        ({"test": "use::one"}, 3),
        ({"test": "use::*"}, 4),
        ({"test": "use::t"}, 0),
        ({"text": "FLOW"}, 1),
        ({"text": "Be brief"}, 4),
        ({"older_than": timedelta(hours=1)}, 0),
        ({"newer_than": timedelta(hours=1)}, 5),
        ({"newer_than": timedelta(hours=1), "text": "reply"}, 1),
    ],
)
def test_a_filter_lets_through_what_it_names(
    store: Store, wanted: dict[str, object], found: int
) -> None:
    """Filters add up; text is looked for in prompts too, long parts included."""
    assert len(asks(store, **wanted)) == found


def test_square_brackets_of_a_test_id_are_no_pattern(store: Store) -> None:
    """A parametrised test is found by its id and by a star."""
    naming_of = Naming("tests/test_a.py::test_x[a-b]", 0, 1)
    entry = Entry("a" * 64, "b" * 64, (naming_of,))
    names = ("tests/test_a.py", "tests", "tests/test_a.py::test_x", "*[a-*]", naming_of.scope)
    for pattern in names:
        assert select([entry], Filter(test=pattern), store, NOW) == (entry,)
    assert select([entry], Filter(test="test_a"), store, NOW) == ()


def test_a_superseded_answer_is_said_to_be_one(store: Store) -> None:
    """After an edit the old answer stays listed, and is no longer current."""
    done = edit_answer(store, key_of(store, "flow"), text_change("Edited."))
    current = {entry.digest: entry.current for entry in catalogue(store).entries}
    assert (current[done.old], current[done.new]) == (False, True)


def test_a_damaged_answer_is_counted_and_the_rest_listed(store: Store) -> None:
    """One broken file does not hide the others."""
    entry = catalogue(store).entries[0]
    (store.root / "objects" / entry.digest[:2] / f"{entry.digest[2:]}.json").write_bytes(b"{}")
    held = catalogue(Store(store.root))
    assert (len(held.entries), held.damaged) == (4, (entry.digest,))


def test_an_age_is_a_number_and_a_unit() -> None:
    """Anything else is refused with the option's name."""
    assert parse_age("30d", "--older-than") == timedelta(days=30)
    assert parse_age("2W", "--older-than") == timedelta(weeks=2)
    for text in ("", "d", "3x", "-1d", "1.5h"):
        with pytest.raises(ConfigError, match="--older-than"):
            parse_age(text, "--older-than")


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, "now"), (5, "5 min"), (180, "3 h"), (2000, "33 h"), (99999, "69 d")]
)
def test_an_age_is_told_in_one_unit(minutes: int, text: str) -> None:
    """The largest unit that keeps two digits or so."""
    assert age_text(NOW - timedelta(minutes=minutes), NOW) == text
    assert age_text(None, NOW) == "?"


def test_a_prefix_must_be_long_enough_and_fit_one_key(store: Store) -> None:
    """Four digits at least; several keys are listed."""
    key = key_of(store, "flow")
    assert naming.find(store, key[:12]).key == key
    assert naming.key(store, key.upper()[:10]) == key
    for word, said in (("ab", "at least 4"), ("0000", "nothing recorded"), ("zzz", "cas-llm ls")):
        with pytest.raises(CasLLMError, match=said):
            naming.find(store, word)
    twin = store.root / "requests" / key[:2] / f"{key[2:6]}{'0' * 58}.json"
    twin.write_bytes(b"")
    with pytest.raises(CasLLMError, match="fits 2 keys"):
        naming.find(store, key[:5])


def test_a_test_is_found_by_its_id_or_the_end_of_it(store: Store) -> None:
    """The name alone is enough; what fits several tests lists them."""
    for word in ("use::one", "one"):
        assert naming.find(store, word).tapes[0].scope == "use::one"
    with pytest.raises(CasLLMError, match=r"fits 2 tests[\s\S]*use::one[\s\S]*use::two"):
        naming.find(store, "use")


def test_the_command_prints_a_table_or_json(project: Project, provider: ScriptedProvider) -> None:
    """A line an answer, with its test and its last turn; JSON holds whole keys."""
    store = fill(project.path / "cache_store", provider)
    said = project.cas_llm("ls", "--text", "flow")
    for word in (key_of(store, "flow")[:12], "use::one", "openai@loopback", "> flow", "1 of 5"):
        assert word in said.stdout, said
    told = json.loads(project.cas_llm("ls", "--json").stdout)
    assert (len(told["recordings"]), told["unreadable"]) == (5, 0)
    assert project.cas_llm("ls", "--older-than", "x").code == 2


@pytest.mark.parametrize("command", ["ls", "stats"])
def test_what_cannot_be_read_is_counted_and_ends_with_one(
    project: Project, provider: ScriptedProvider, damage, command: str
) -> None:
    """Both say on standard error how many, and what mends it; JSON has the number."""
    store = fill(project.path / "cache_store", provider)
    damage(store, "flow")
    said = project.cas_llm(command)
    assert (said.code, "1 recording cannot be read: cas-llm verify --repair" in said.stderr) == (
        1,
        True,
    ), said
    told = project.cas_llm(command, "--json")
    assert (told.code, json.loads(told.stdout)["unreadable"]) == (1, 1)
