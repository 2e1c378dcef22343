"""One call, one text: completions without a client, recorded and replayed like any other."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

from cas_llm.client.asking import Ask, Stream, ask_for, count, family_of, miss_of, structured
from cas_llm.client.costs import Adds
from cas_llm.client.images import Image
from cas_llm.client.progress import progress
from cas_llm.modes import Mode
from cas_llm.providers.text import text_of

Model = TypeVar("Model")


def get_completion(
    user_prompt: str,
    *,
    system_prompt: str = "",
    model: str | None = None,
    temperature: float | None = 0.1,
    mode: Mode | str | None = None,
    images: Image | Iterable[Image] = (),
    report_progress: bool = False,
    print_cost: bool = False,
    cost_tracker: Adds | None = None,
    use_responses_api: bool = False,
    return_raw: bool = False,
    **create_kwargs: Any,
) -> Any:
    """The text a model answers with.

    Args:
        user_prompt: what to ask.
        system_prompt: instructions; none are sent where it is empty.
        model: ``provider/name``, or a name for OpenAI. The providers are openai, openrouter, groq,
            mistral, gemini and ollama; any other name before a slash is a vendor at OpenRouter.
        temperature: None leaves it out, as reasoning models want.
        mode: a mode for this call; without it what holds around the call decides.
        images: paths, bytes, URLs or base64.
        report_progress: stream the answer with a progress line on standard error.
        print_cost: print what the call cost on standard error.
        cost_tracker: told of the cost, for example a `CostTracker`.
        use_responses_api: ask OpenAI's Responses API instead of chat completions.
        return_raw: give the SDK's response instead of its text.
        create_kwargs: anything else the SDK's ``create`` takes; part of the key.

    Raises:
        CacheMiss: the request has no recording and the mode forbids to call.
        PlaceholderKey: the provider would be asked, and its key is not set.
        ValueError: arguments that do not go together.

    """
    ask = ask_for(
        user_prompt,
        system_prompt=system_prompt,
        model=model,
        temperature=temperature,
        mode=mode,
        images=images,
        report_progress=report_progress,
        print_cost=print_cost,
        cost_tracker=cost_tracker,
        use_responses_api=use_responses_api,
        return_raw=return_raw,
        create_kwargs=create_kwargs,
    )
    message = _asked(ask)
    return message if return_raw else text_of(message)


def get_structured_completion(
    user_prompt: str,
    response_format: type[Model],
    *,
    system_prompt: str = "",
    model: str | None = None,
    temperature: float | None = 0.1,
    mode: Mode | str | None = None,
    images: Image | Iterable[Image] = (),
    print_cost: bool = False,
    cost_tracker: Adds | None = None,
    use_responses_api: bool = False,
    return_raw: bool = False,
    **create_kwargs: Any,
) -> Any:
    """The instance of *response_format*, a pydantic class, that a model answers with.

    Its JSON schema goes with the request and so is part of the key. The other arguments are those
    of `get_completion`.

    Raises:
        CacheMiss: the request has no recording and the mode forbids to call.
        PlaceholderKey: the provider would be asked, and its key is not set.
        ValueError: arguments that do not go together; or the model refused, or its answer is cut
            off or does not fit.

    """
    ask = ask_for(
        user_prompt,
        system_prompt=system_prompt,
        model=model,
        temperature=temperature,
        mode=mode,
        images=images,
        report_progress=False,
        print_cost=print_cost,
        cost_tracker=cost_tracker,
        use_responses_api=use_responses_api,
        return_raw=return_raw,
        create_kwargs=create_kwargs,
        response_format=response_format,
    )
    message = _asked(ask)
    return message if return_raw else structured(message, response_format)


def _asked(ask: Ask) -> Any:
    """The SDK's response, or the text of a stream."""
    import openai

    client = _client(ask.place.base_url, ask.place.key)
    family = family_of(client, ask)
    try:
        raw = family.with_raw_response.create(**ask.arguments)
    except openai.APIStatusError as error:
        miss = miss_of(error.response, client.recorded_in(), ask.place)
        if miss is None:
            raise
        raise miss from None
    message = raw.parse()
    if ask.streamed:
        return _streamed(ask, message, raw.http_response)
    count(ask, message.model_dump(warnings=False), raw.http_response)
    return message


def _streamed(ask: Ask, events: Any, response: Any) -> str:
    stream = Stream(responses=ask.responses)
    with progress(ask.place.model) as tell:
        for event in events:
            tell(stream.take(event))
    count(ask, stream.message, response)
    return stream.text


@lru_cache(maxsize=16)
def _client(base_url: str, key: str) -> Any:
    from cas_llm.client.openai import OpenAI

    return OpenAI(base_url=base_url, api_key=key)
