"""`@cached`: a call of a function is a request like any other."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

import cas_llm
from cas_llm import cached, config, use
from cas_llm.session import runtime


class Item(BaseModel):
    name: str
    price: float | None = None


@dataclass
class Order:
    items: list[Item]
    size: tuple[int, int] = (1, 2)


class Counter:
    """Counts the calls of the functions below."""

    n = 0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    Counter.n = 0


@cached
def double(x: Any, *more: Any, by: int = 2, **rest: Any) -> Any:
    Counter.n += 1
    return {"x": x, "by": by, "n": Counter.n}


@cached(ignore=["client"])
def order(client: Any, item: Item) -> dict[str, list[Order] | None]:
    Counter.n += 1
    return {"a": [Order([item, Item(name="b")])], "b": None}


@cached
async def later(x: int) -> Item:
    Counter.n += 1
    await asyncio.sleep(0.01)
    return Item(name=str(x))


def tapes() -> list[Any]:
    return [json.loads(p.read_text()) for p in Path("cache_store/manifest/tapes").rglob("*.json")]


def test_a_repetition_is_a_hit_and_a_replay_never_calls() -> None:
    """The function runs once; however often it is asked, each answer is the recorded one."""
    with use("fallback", name="a"):
        first = double(1)
        assert [double(1), double(x=1, by=2)] == [first, first]
    with use("replay", name="a"):
        assert [double(1), double(1), double.peek(1)] == [first] * 3
    assert Counter.n == 1


def test_capture_calls_once_a_scope() -> None:
    """In CAPTURE the call is made anew, and its repetitions in the scope are hits."""
    with use("fallback", name="a"):
        before = double(1)
    runtime.forget(runtime.runtime_for(config.load(Path.cwd())))
    with use("capture", name="a"):
        assert double(1) == double(1) != before
    assert Counter.n == 2
    with use("replay", name="a"):
        assert double(1)["n"] == 2


def test_results_are_rebuilt_as_the_annotation_says() -> None:
    """Dataclasses and models come back as what they were, also in lists, dicts and optionals."""
    item = Item(name="a", price=1.5)
    with use("fallback", name="a"):
        live = order(object(), item)
    with use("replay", name="a"):
        hit = order(None, item)
    assert hit == live
    assert hit["a"][0].items[0].model_dump() == item.model_dump()
    assert type(hit["a"][0]) is Order
    assert hit["a"][0].size == (1, 2)


async def test_async_functions_share_one_call() -> None:
    """Identical calls at the same time make one call."""
    async with use("fallback", name="a"):
        found = await asyncio.gather(*[later(3) for _ in range(5)])
    assert found == [Item(name="3")] * 5
    assert Counter.n == 1
    async with use("replay", name="a"):
        assert await later(3) == found[0]
        assert later.peek(3) == found[0]


def test_a_miss_names_the_arguments_that_differ() -> None:
    """A replay without a recording raises, and says which argument has which other value."""
    with use("fallback", name="a"):
        double(1, by=3)
    with pytest.raises(cas_llm.CacheMiss) as raised, use("replay", name="a"):
        double(1, by=4)
    assert "$.by   3 -> 4" in str(raised.value)
    assert 'test_cached:double   "x=1, more=[], by=4' in str(raised.value)
    assert "1 function run" in str(raised.value)
    assert raised.value.misses[0].key


def test_exceptions_are_raised_and_not_stored() -> None:
    """A call that failed is made again."""

    @cached
    def fails() -> int:
        Counter.n += 1
        if Counter.n == 1:
            raise OSError("once")
        return Counter.n

    with use("fallback", name="a"):
        with pytest.raises(OSError, match="once"):
            fails()
        assert fails() == fails() == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1}, "argument 'x' is a set"),
        ([{"a": Path()}], r"argument 'x'\[0\]\['a'\] is a PosixPath"),
        ({1: 2}, "a member's name in argument 'x' is an int"),
        (float("nan"), "no NaN"),
        (b"x", "argument 'x' is a bytes"),
    ],
)
def test_an_argument_without_a_json_form_is_refused_before_the_call(value: Any, said: str) -> None:
    """The error names the argument, the place in it and its type."""
    with pytest.raises(TypeError, match=said):
        double(value)
    assert Counter.n == 0


def test_arguments_of_different_types_are_different_calls() -> None:
    """A model, a dataclass, a tuple and the JSON that looks alike never share an answer."""

    class Other(BaseModel):
        name: str
        price: float | None = None

    alike = [
        Item(name="a"),
        Other(name="a"),
        {"name": "a", "price": None},
        {"$type": "x", "name": "a"},
        {"$$type": "x", "name": "a"},
        [1, 2],
        (1, 2),
        "1",
        1,
        True,
    ]
    with use("fallback"):
        assert [number(value) for value in alike] == [*range(1, len(alike) + 1)]


@cached
def number(value: Any) -> int:
    Counter.n += 1
    return Counter.n


def test_a_result_without_a_json_form_is_refused_and_not_stored() -> None:
    """What a hit could not give back is an error at once, not later."""

    @cached
    def bare() -> Any:
        return Item(name="a")

    @cached
    def narrowed() -> Item:
        return Sub(name="a", more=1)

    @cached
    def unknown() -> set[int]:
        Counter.n += 1
        return {1}

    with use("fallback", name="a"):
        with pytest.raises(TypeError, match="the result is an Item; say what it is"):
            bare()
        with pytest.raises(TypeError, match="of which a hit would make"):
            narrowed()
        with pytest.raises(TypeError, match=r"return annotation set\[int\] can't be rebuilt"):
            unknown()
    assert Counter.n == 0
    assert tapes() == []


class Sub(Item):
    more: int


class Shop:
    """A class with cached methods."""

    @cached(ignore=["self"])
    def price(self, name: str) -> int:
        Counter.n += 1
        return Counter.n

    @cached
    def strict(self, name: str) -> int:
        return 1


def test_a_method_ignores_self_only_where_told_to() -> None:
    """With self ignored two objects share recordings; else the error says how to ignore it."""
    with use("fallback"):
        assert Shop().price("a") == Shop().price("a") == Shop().price.peek("a") == 1
        with pytest.raises(TypeError, match=r"argument 'self' is a Shop.*ignore=\['self'\]"):
            Shop().strict("a")


def test_what_cannot_be_cached_is_refused_where_it_is_decorated() -> None:
    """Lambdas, generators and unknown names in ignore are errors of the decoration."""
    with pytest.raises(TypeError, match="lambda"):
        cached(lambda: 1)
    with pytest.raises(TypeError, match="ignore names 'y', but it takes x"):
        cached(ignore=["y"])(lambda_with_name)

    def generator() -> Any:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        cached(generator)


def lambda_with_name(x: int) -> int:
    return x


def test_version_and_namespace_are_in_the_key_and_the_source_is_not() -> None:
    """Equal calls of two versions are two recordings; a changed body is the same one."""

    def make(body: int, **options: Any) -> Any:
        def answer() -> int:
            return body

        return cached(**options)(answer)

    with use("fallback"):
        assert make(1)() == 1
        assert make(2)() == 1
        assert make(3, version="2")() == 3
        assert make(4, namespace="mine")() == 4
        assert make(5, version="2")() == 3


def test_peek_never_calls() -> None:
    """Without a recording it raises KeyError."""
    with use("fallback"), pytest.raises(KeyError, match="double is not recorded"):
        double.peek(1)
    assert Counter.n == 0


def test_refresh_calls_and_stores_a_new_take() -> None:
    """Later calls get the refreshed answer; what was recorded before stays on disk."""
    with use("fallback"):
        assert [double(1)["n"], double.refresh(1)["n"], double(1)["n"]] == [1, 2, 2]
    with use("replay"):
        assert double(1)["n"] == 2
    entries = [p.name.split(".")[1] for p in Path("cache_store/manifest/shared").rglob("*.*")]
    assert sorted(entries) == ["0", "1"]


def test_refresh_on_a_tape_replaces_what_the_scope_got() -> None:
    """A named block's tape holds the refreshed answer."""
    with use("fallback", name="a"):
        double(1)
        assert double.refresh(1)["n"] == double(1)["n"] == 2
    with use("replay", name="a"):
        assert double(1)["n"] == 2
    assert len(tapes()[0]["turns"]) == 1


def test_refresh_is_refused_in_replay() -> None:
    """The error says who wants a replay."""
    with (
        use("replay"),
        pytest.raises(cas_llm.ConfigError, match=r"double.refresh\(\): the mode is replay"),
    ):
        double.refresh(1)


def test_a_call_of_itself_is_an_error_not_a_wait() -> None:
    """A function that needs its own result says so."""

    @cached
    def circle(n: int) -> int:
        return circle(n)

    with use("fallback"), pytest.raises(RecursionError, match="same arguments"):
        circle(1)


def test_outside_a_session_the_settings_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without use() a call is recorded in the store of the working directory."""
    assert double(7) == double(7)
    assert Counter.n == 1
    monkeypatch.setenv("CAS_LLM_MODE", "replay")
    assert double(7)["n"] == 1
    with pytest.raises(cas_llm.CacheMiss, match="not recorded"):
        double(8)


def test_llm_calls_of_a_live_body_lie_within(provider: Any) -> None:
    """They are on the tape inside the call's turn, counted apart from the scope's own."""
    client = openai.OpenAI(base_url=provider.url, api_key="x")

    @cached
    def ask(text: str) -> str:
        return say(text) + say(text)

    def say(text: str) -> str:
        messages = [{"role": "user", "content": text}]
        return (
            client.chat.completions.create(model="m", messages=messages).choices[0].message.content
        )

    with use("capture", name="a"):
        found = [ask("hi"), say("hi")]
    # The two asks within are two recordings; the third is the scope's own first ask.
    (tape,) = tapes()
    assert [len(turn.get("within", ())) for turn in tape["turns"]] == [2, 0]
    calls = provider.count
    with use("replay", name="a"):
        assert [ask("hi"), say("hi")] == found
    assert provider.count == calls


def test_a_secret_in_an_argument_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments and results are redacted like any request."""
    secret = "sk-" + "proj-" + "Ab3" * 16
    with use("fallback", name="a"):
        double(secret)
    texts = [path.read_text() for path in Path("cache_store").rglob("*.json")]
    assert texts
    assert not any(secret in text for text in texts)
