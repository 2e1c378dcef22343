"""One-call completions: text in, text out, recorded like any other request."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import cas_llm
from cas_llm.client import CostTracker
from cas_llm.client.places import place_of

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


class City(BaseModel):
    name: str
    people: int


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: Any) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def test_a_completion_is_text_and_is_recorded(provider: Any) -> None:
    """The second call is a hit, also in REPLAY and without a key."""
    first = cas_llm.get_completion("hi", system_prompt="be kind")
    assert isinstance(first, str)
    assert cas_llm.get_completion("hi", system_prompt="be kind", mode="replay") == first
    assert provider.count == 1
    sent = provider.calls[0].json
    assert [m["role"] for m in sent["messages"]] == ["system", "user"]
    assert (sent["model"], sent["temperature"]) == ("gpt-4o-mini", 0.1)
    assert "x-cas-llm-mode" not in provider.calls[0].headers


def test_no_key_is_needed_to_replay(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a call that would be made needs the key, and names its variable."""
    first = cas_llm.get_completion("hi")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert cas_llm.get_completion("hi") == first
    with pytest.raises(cas_llm.CasLLMError, match="OPENAI_API_KEY is not set") as raised:
        cas_llm.get_completion("new")
    assert raised.value.variable == "OPENAI_API_KEY"
    assert provider.count == 1


def test_a_miss_is_a_cache_miss_with_its_explanation() -> None:
    """In REPLAY the error is cas-llm's own and says what differs."""
    cas_llm.get_completion("hi", temperature=None)
    with pytest.raises(cas_llm.CacheMiss, match='"hi" -> "ho"'):
        cas_llm.get_completion("ho", temperature=None, mode="replay")


def test_more_arguments_go_to_the_sdk_and_into_the_key(provider: Any) -> None:
    """Anything else the SDK takes is sent, and makes another request."""
    cas_llm.get_completion("hi", seed=1)
    cas_llm.get_completion("hi", seed=2, extra_headers={"x-mine": "1"})
    assert [call.json["seed"] for call in provider.calls] == [1, 2]
    assert provider.calls[1].headers["x-mine"] == "1"


def test_the_responses_api_answers_too(provider: Any) -> None:
    """use_responses_api asks /responses, with the system prompt as its instructions."""
    first = cas_llm.get_completion("hi", system_prompt="s", use_responses_api=True)
    assert cas_llm.get_completion("hi", system_prompt="s", use_responses_api=True) == first
    assert provider.calls[0].path.endswith("/responses")
    assert provider.calls[0].json["instructions"] == "s"
    assert provider.count == 1


@pytest.mark.parametrize("responses", [False, True])
def test_a_structured_completion_is_an_instance(provider: Any, responses: bool) -> None:
    """The schema goes with the request; a hit is the equal of the live object."""
    live = cas_llm.get_structured_completion("city?", City, use_responses_api=responses)
    hit = cas_llm.get_structured_completion("city?", City, use_responses_api=responses)
    assert isinstance(live, City)
    assert live.model_dump() == hit.model_dump()
    assert "people" in provider.calls[0].body.decode()
    assert provider.count == 1


def test_a_refusal_or_a_cut_answer_is_an_error(provider: Any) -> None:
    """No instance is made up where the model gave none."""
    from support.provider import Reply

    def answer(message: dict[str, Any], finish: str) -> None:
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        provider.script(
            lambda _: Reply.of(
                {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}
            )
        )

    answer({"content": None, "refusal": "never"}, "stop")
    with pytest.raises(ValueError, match="no City in the answer: the model refused: never"):
        cas_llm.get_structured_completion("a", City)
    answer({"content": '{"na'}, "length")
    with pytest.raises(ValueError, match=r"cut off \(length\)"):
        cas_llm.get_structured_completion("b", City)


async def test_the_async_twins_do_the_same(provider: Any) -> None:
    """They share recordings with the sync functions."""
    first = await cas_llm.get_completion_async("hi")
    assert cas_llm.get_completion("hi") == first == await cas_llm.get_completion_async("hi")
    city = await cas_llm.get_structured_completion_async("city?", City)
    assert cas_llm.get_structured_completion("city?", City) == city
    streamed = await cas_llm.get_completion_async("hi", report_progress=True)
    assert cas_llm.get_completion("hi", report_progress=True) == streamed
    with pytest.raises(cas_llm.CacheMiss):
        await cas_llm.get_completion_async("new", mode="replay")
    assert provider.count == 3


@pytest.mark.parametrize("responses", [False, True])
def test_progress_streams_and_replays(provider: Any, capsys: Any, responses: bool) -> None:
    """A streamed answer is recorded; where standard error is no terminal nothing is printed."""
    tracker = CostTracker()
    ask = {"report_progress": True, "use_responses_api": responses, "cost_tracker": tracker}
    first = cas_llm.get_completion("hi", **ask)
    assert cas_llm.get_completion("hi", **ask, mode="replay") == first
    assert "hi" in first
    assert provider.count == 1
    assert capsys.readouterr().err == ""
    assert tracker.total.calls == 2


def test_progress_shows_on_a_terminal(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the line is drawn on standard error, and the text is the same."""
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert "hi" in cas_llm.get_completion("hi", report_progress=True)
    assert "gpt-4o-mini" in screen.getvalue()


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (PNG, None),
        (base64.b64encode(PNG).decode(), None),
        (Path("a.png"), None),
        ("a.png", None),
        ("https://example.org/a.png", "https://example.org/a.png"),
    ],
)
def test_an_image_is_a_path_bytes_a_url_or_base64(provider: Any, form: Any, sent: Any) -> None:
    """Each form becomes a URL the API takes; the type is read from the bytes."""
    Path("a.png").write_bytes(PNG)
    cas_llm.get_completion("what?", images=[form])
    part = provider.calls[0].json["messages"][0]["content"][1]
    expected = sent or f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert part == {"type": "image_url", "image_url": {"url": expected}}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (b"%PDF", "is no PNG, JPEG, GIF or WebP"),
        ("no such thing!", "neither a file, nor a URL, nor base64"),
        (Path("absent.png"), "can't be read"),
        (3, "is an? int"),
    ],
)
def test_what_is_no_image_is_refused(form: Any, said: str) -> None:
    """The error names which one of the images it is."""
    with pytest.raises(ValueError, match=rf"images\[1\] .*{said}"):
        cas_llm.get_completion("what?", images=[PNG, form])


def test_costs_are_tracked_and_printed(provider: Any, capsys: Any) -> None:
    """A live call is spent, a hit is saved, and a price nobody knows is unknown."""
    provider.script(None)
    tracker = CostTracker()
    cas_llm.get_completion("hi", cost_tracker=tracker, print_cost=True)
    cas_llm.get_completion("hi", cost_tracker=tracker, print_cost=True)
    live, hit = capsys.readouterr().err.splitlines()
    assert "tokens" in live
    assert "replayed" in hit
    assert (tracker.total.calls, tracker.spent) == (2, 0.0)
    assert list(tracker.by_model) == ["gpt-4o-mini-2026-01-01"]
    tracker.reset()
    assert tracker.total.calls == 0


def test_a_tracker_keeps_spent_saved_and_unknown_apart() -> None:
    """What a hit would have cost is saved, and None is counted, not added."""
    from cas_llm.client.costs import used

    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    message = {"model": "gpt-4o-mini", "usage": usage}
    tracker = CostTracker()
    for hit in (False, True):
        one = used(message, "openai", "gpt-4o-mini", hit=hit)
        tracker.add(one.cost, one)
    odd = used(message | {"model": "nobody-knows"}, "openai", "x", hit=False)
    tracker.add(odd.cost, odd)
    assert tracker.spent == tracker.saved > 0
    assert tracker.unknown == 1
    assert "1 of unknown price" in str(tracker)


def test_any_tracker_with_add_will_do() -> None:
    """The protocol is one method."""
    seen: list[Any] = []

    class Mine:
        def add(self, cost: float | None, usage: Any) -> None:
            seen.append((cost, usage.output > 0))

    cas_llm.get_completion("hi", cost_tracker=Mine())
    assert seen == [(0.0, True)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"use_responses_api": True, "model": "groq/llama"}, "served by groq"),
        ({"report_progress": True, "return_raw": True}, "no one raw response"),
        ({"stream": True}, "stream= is built"),
        ({"messages": []}, "messages= is built"),
        ({"n": 2}, "n > 1"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments: Any, said: str) -> None:
    """Each wrong combination has an error of its own, before any call."""
    with pytest.raises(ValueError, match=said):
        cas_llm.get_completion("hi", **arguments)


def test_raw_is_the_sdks_response() -> None:
    """return_raw gives the object whose text the function would have given."""
    raw = cas_llm.get_completion("hi", return_raw=True)
    assert cas_llm.text_of(raw) == cas_llm.get_completion("hi")


@pytest.mark.parametrize(
    ("model", "name", "sent", "variable", "api"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o", "OPENAI_API_KEY", "openai"),
        ("openrouter/meta/llama", "openrouter", "meta/llama", "OPENROUTER_API_KEY", None),
        ("openrouter/auto", "openrouter", "openrouter/auto", "OPENROUTER_API_KEY", None),
        ("deepseek/chat", "openrouter", "deepseek/chat", "OPENROUTER_API_KEY", None),
        ("groq/llama", "groq", "llama", "GROQ_API_KEY", "openai@groq"),
        ("mistral/small", "mistral", "small", "MISTRAL_API_KEY", "openai@mistral"),
        ("gemini/flash", "gemini", "flash", "GEMINI_API_KEY", "openai@gemini"),
        ("ollama/llama3", "ollama", "llama3", "", "openai@loopback"),
        ("", "openai", "gpt-4o-mini", "OPENAI_API_KEY", "openai"),
    ],
)
def test_a_models_name_says_where_it_is_served(
    model: str, name: str, sent: str, variable: str, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name before the slash picks base URL and key variable."""
    monkeypatch.delenv("OPENAI_BASE_URL")
    place = place_of(model)
    assert (place.name, place.model, place.key_variable) == (name, sent, variable)
    assert place.api == (api or "openai@openrouter")


@pytest.mark.parametrize("tracker", [5, CostTracker])
def test_a_tracker_that_cannot_be_told_is_an_error_before_the_call(
    tracker: Any, provider: Any
) -> None:
    """Afterwards the money would be spent."""
    with pytest.raises(cas_llm.ConfigError, match="cost_tracker=: must have a method add"):
        cas_llm.get_completion("hi", cost_tracker=tracker)
    assert provider.count == 0


def test_a_mode_that_is_no_text_is_one_clear_error(provider: Any) -> None:
    """As one that is misspelt is."""
    with pytest.raises(cas_llm.ConfigError, match="mode=: mode must be text, not 5"):
        cas_llm.get_completion("hi", mode=5)
    assert provider.count == 0
