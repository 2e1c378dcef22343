"""A completion before and after the call: from a prompt to arguments, from an answer to text.

Pure but for images that are read from files; sync and async completions share it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cas_llm.client.costs import Adds, used
from cas_llm.client.images import Image, image_urls
from cas_llm.client.places import Place, place_of
from cas_llm.errors import ConfigError, PlaceholderKey
from cas_llm.modes import Mode, parse_mode
from cas_llm.providers.text import text_of
from cas_llm.session import misses, policy
from cas_llm.session.actions import Mark
from cas_llm.session.scopes import Scope

Model = TypeVar("Model")

_BUILT = {"messages", "input", "instructions", "stream", "model"}


@dataclass(frozen=True)
class Ask:
    """One completion to ask for: where, and with which arguments of the SDK's ``create``."""

    place: Place
    arguments: Mapping[str, Any]
    responses: bool
    streamed: bool
    return_raw: bool
    print_cost: bool
    cost_tracker: Adds | None


def ask_for(
    user_prompt: str,
    *,
    system_prompt: str,
    model: str | None,
    temperature: float | None,
    mode: Mode | str | None,
    images: Image | Iterable[Image],
    report_progress: bool,
    print_cost: bool,
    cost_tracker: Adds | None,
    use_responses_api: bool,
    return_raw: bool,
    create_kwargs: Mapping[str, Any],
    response_format: type | None = None,
) -> Ask:
    """The completion that the arguments of ``get_completion`` ask for.

    Raises:
        ValueError: arguments that do not go together, or an image that is none.
        ConfigError: *mode* is no mode, or *cost_tracker* cannot be told of costs.

    """
    _check_tracker(cost_tracker)
    place = place_of(model)
    _check(place, use_responses_api, report_progress and return_raw, return_raw, create_kwargs)
    urls = image_urls(images)
    build = _responses if use_responses_api else _chat
    arguments = {"model": place.model, **build(user_prompt, system_prompt, urls)}
    if temperature is not None:
        arguments["temperature"] = temperature
    if response_format is not None:
        arguments |= _format(response_format, responses=use_responses_api)
    arguments |= create_kwargs
    if report_progress:
        arguments["stream"] = True
        if not use_responses_api:
            arguments.setdefault("stream_options", {"include_usage": True})
    if mode is not None:
        said = str(parse_mode(mode, source="mode="))
        headers = arguments.get("extra_headers") or {}
        arguments["extra_headers"] = {**headers, policy.MODE_HEADER: said}
    return Ask(
        place=place,
        arguments=arguments,
        responses=use_responses_api,
        streamed=report_progress,
        return_raw=return_raw,
        print_cost=print_cost,
        cost_tracker=cost_tracker,
    )


def _check_tracker(tracker: Any) -> None:
    """Told before the call: afterwards the money is spent."""
    if tracker is not None and (
        isinstance(tracker, type) or not callable(getattr(tracker, "add", None))
    ):
        raise ConfigError(
            f"must have a method add(cost, usage), such as cas_llm.client.CostTracker(), "
            f"and {tracker!r} has none",
            source="cost_tracker=",
        )


def _check(
    place: Place, responses: bool, raw_stream: bool, return_raw: bool, more: Mapping[str, Any]
) -> None:
    for name in sorted(_BUILT & more.keys()):
        raise ValueError(
            f"{name}= is built from the other arguments; for full control use cas_llm.OpenAI"
        )
    if responses and place.name != "openai":
        raise ValueError(
            f"use_responses_api=True needs an OpenAI model, and {place.model!r} is served by "
            f"{place.name}; leave it out"
        )
    if raw_stream:
        raise ValueError(
            "report_progress=True streams, and a stream has no one raw response; "
            "leave out return_raw=True or report_progress=True"
        )
    if (more.get("n") or 1) > 1 and not return_raw:
        raise ValueError("n > 1 gives several texts; take them from return_raw=True")


def _chat(user: str, system: str, urls: list[str]) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content: Any = [{"type": "text", "text": user}, *parts] if parts else user
    instructions = [{"role": "system", "content": system}] if system else []
    return {"messages": [*instructions, {"role": "user", "content": content}]}


def _responses(user: str, system: str, urls: list[str]) -> dict[str, Any]:
    parts = [{"type": "input_image", "image_url": url} for url in urls]
    content = [{"type": "input_text", "text": user}, *parts]
    given: Any = [{"role": "user", "content": content}] if parts else user
    return {"instructions": system, "input": given} if system else {"input": given}


def _format(model: Any, *, responses: bool) -> dict[str, Any]:
    if not hasattr(model, "model_json_schema"):
        raise ValueError(f"response_format must be a pydantic model's class, not {model!r}")
    from openai.lib._pydantic import to_strict_json_schema

    said = {"name": model.__name__, "schema": to_strict_json_schema(model), "strict": True}
    if responses:
        return {"text": {"format": {"type": "json_schema", **said}}}
    return {"response_format": {"type": "json_schema", "json_schema": said}}


def family_of(client: Any, ask: Ask) -> Any:
    """The part of the SDK's *client* whose ``create`` is called.

    Raises:
        ValueError: the Responses API is asked for, and the installed openai is older than it.

    """
    if not ask.responses:
        return client.chat.completions
    if not hasattr(client, "responses"):
        raise ValueError(
            "use_responses_api=True needs a later openai; run:  pip install -U 'openai>=1.66'"
        )
    return client.responses


def miss_of(response: Any, scope: Scope, place: Place) -> Exception | None:
    """The error that a refused request stands for, or None if the provider itself refused it."""
    mark = response.extensions.get("cas_llm")
    if not isinstance(mark, Mark) or mark.outcome != "miss":
        return None
    found = [problem for problem in scope.problems if problem.key == mark.key]
    if not found:
        return None
    if found[-1].kind == misses.PLACEHOLDER:
        return PlaceholderKey(
            f"{place.key_variable} is not set, and {place.model} would be asked at {place.name}; "
            f"set it:  export {place.key_variable}=…",
            variable=place.key_variable,
        )
    return misses.error_for(found[-1:])


def count(ask: Ask, message: Mapping[str, Any], response: Any) -> None:
    """Print and track what the answer *message* cost, as far as *ask* wants that."""
    if not ask.print_cost and ask.cost_tracker is None:
        return
    mark = response.extensions.get("cas_llm")
    hit = isinstance(mark, Mark) and mark.outcome == "hit"
    usage = used(message, ask.place.api, ask.place.model, hit=hit)
    if ask.print_cost:
        print(usage, file=sys.stderr)  # noqa: T201 - asked for
    if ask.cost_tracker is not None:
        ask.cost_tracker.add(usage.cost, usage)


def structured(message: Any, model: type[Model]) -> Model:
    """The instance of *model* that the answer holds.

    Raises:
        ValueError: the model refused, or its answer is cut off or does not fit.

    """
    text, reason = text_of(message), _refusal(message.model_dump(warnings=False))
    if reason:
        raise ValueError(f"no {model.__name__} in the answer: {reason}")
    read: Any = model
    value: Model = read.model_validate_json(text)
    return value


def _refusal(message: Mapping[str, Any]) -> str:
    for choice in message.get("choices") or ():
        refusal = (choice.get("message") or {}).get("refusal")
        if refusal:
            return f"the model refused: {refusal}"
        if choice.get("finish_reason") in {"length", "content_filter"}:
            return f"it was cut off ({choice['finish_reason']})"
    for item in message.get("output") or ():
        for part in item.get("content") or ():
            if part.get("type") == "refusal":
                return f"the model refused: {part.get('refusal')}"
    if message.get("status") == "incomplete":
        return "it was cut off"
    return ""


class Stream:
    """The text and the last words of a streamed answer, event by event."""

    def __init__(self, *, responses: bool) -> None:
        self._responses = responses
        self._pieces: list[str] = []
        self.message: dict[str, Any] = {}

    def take(self, event: Any) -> str:
        """The text that *event* adds."""
        said = event.model_dump(warnings=False)
        piece = self._of_responses(said) if self._responses else self._of_chat(said)
        self._pieces.append(piece)
        return piece

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._pieces)

    def _of_chat(self, said: Mapping[str, Any]) -> str:
        for name in ("model", "usage"):
            if said.get(name) is not None:
                self.message[name] = said[name]
        deltas = [choice.get("delta") or {} for choice in said.get("choices") or ()]
        return "".join(delta.get("content") or "" for delta in deltas)

    def _of_responses(self, said: Mapping[str, Any]) -> str:
        if said.get("type") in {"response.completed", "response.incomplete", "response.failed"}:
            self.message = dict(said.get("response") or {})
        return str(said.get("delta") or "") if said.get("type", "").endswith("text.delta") else ""
