"""`cas-llm explain`: a key taken apart, and the last run's misses."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import openai as openai_sdk
import pytest
from support.projects import Project
from support.provider import ScriptedProvider
from support.recordings import SYSTEM, block, client, fill, key_of

import cas_llm
from cas_llm.cli.explain import explain_key, problems_of
from cas_llm.session.report import problem_document, read_last_run, write_last_run
from cas_llm.store import Store


def missed(store: Store, provider: ScriptedProvider) -> list[dict[str, object]]:
    """The problems of a run whose request differs from a recorded one in five places."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "same"}]
    odd = {"temperature": 1, "top_p": 0.5, "seed": 1, "max_tokens": 3, "stop": "x"}
    with (
        client(provider) as openai,
        pytest.raises(cas_llm.CacheMiss) as told,
        block(store.root, "replay", "one"),
        contextlib.suppress(openai_sdk.APIStatusError),
    ):
        openai.chat.completions.create(model="gpt-4o-mini", messages=messages, **odd)
    return [problem_document(problem) for problem in told.value.misses]


@pytest.fixture
def store(tmp_path: Path, provider: ScriptedProvider) -> Store:
    """See `support.recordings.fill`."""
    return fill(tmp_path / "cache_store", provider)


def test_a_key_is_taken_apart(store: Store) -> None:
    """Each member of the record and of the body is named; parts go by digest."""
    explained = explain_key(store, key_of(store, "flow"))
    names = [reason.name for reason in explained.reasons]
    assert {"api", "method", "path", "$.messages", "$.model", "$.stream"} <= set(names)
    assert [ext for _, ext in explained.parts] == ["txt"]
    assert explained.redacted == ()


def test_the_last_runs_problems_are_kept_until_a_run_without(
    store: Store, provider: ScriptedProvider
) -> None:
    """They come back as they were written; a clean run takes them away."""
    problems = missed(store, provider)
    write_last_run(store, problems)
    assert read_last_run(store) == problems
    write_last_run(store, [])
    assert read_last_run(store) == []


def test_nothing_is_kept_where_there_is_no_store(tmp_path: Path) -> None:
    """A project without a store gets no folder from a run that missed."""
    store = Store(tmp_path / "cache_store")
    write_last_run(store, [{"kind": "not recorded"}])
    assert not store.root.exists()
    assert read_last_run(store) == []


def test_a_damaged_report_of_the_last_run_is_none(store: Store) -> None:
    """What is kept for convenience never stands in the way."""
    path = store.root / ".local" / "last-run.json"
    for data in (b"", b"{", b"[]", b'{"format": "other/1", "problems": []}'):
        path.write_bytes(data)
        assert read_last_run(store) == []


def test_problems_are_chosen_by_test_or_key() -> None:
    """Part of a test's id or the beginning of a key; nothing chooses all."""
    problems = [{"scope": "tests/a.py::test_x", "key": "abcd" * 16}, {"scope": "b", "key": ""}]
    assert problems_of(problems, "") == problems
    assert problems_of(problems, "test_x") == problems[:1]
    assert problems_of(problems, "ABCDab") == problems[:1]
    assert problems_of(problems, "nowhere") == []


def test_the_command_shows_every_place_that_differs(
    project: Project, provider: ScriptedProvider
) -> None:
    """Where the run showed three, the command shows all, for the run, the test and the key."""
    store = fill(project.path / "cache_store", provider)
    problems = missed(store, provider)
    write_last_run(store, problems)
    for words in ((), ("one",), (problems[0]["key"][:12],)):
        said = project.cas_llm("explain", *words)
        assert said.code == 0, said
        for path in ("$.temperature", "$.top_p", "$.seed", "$.max_tokens", "$.stop"):
            assert path in said.stdout, said
    assert json.loads(project.cas_llm("explain", "--json").stdout)["problems"] == problems


def test_the_command_explains_a_recorded_key(project: Project, provider: ScriptedProvider) -> None:
    """What is in it, what is not, and why; a test without a miss is a clear error."""
    store = fill(project.path / "cache_store", provider)
    said = project.cas_llm("explain", key_of(store, "flow")[:10])
    for word in ("part of the key", "$.messages", "authorization", "not part of the key"):
        assert word in said.stdout, said
    assert "had no misses" in project.cas_llm("explain").stdout
    unknown = project.cas_llm("explain", "test_nowhere")
    assert (unknown.code, "cas-llm show test_nowhere" in unknown.stderr) == (1, True)


def test_a_name_that_missed_nothing_is_shown_the_way(project: Project) -> None:
    """A test that passed has its keys in `show`; an unknown word is not advised to be run."""
    project.cas_llm("init")
    told = project.cas_llm("explain", "nonsense")
    assert told.code == 1
    assert "cas-llm show nonsense" in told.stderr
    assert "pytest nonsense" not in told.stderr
