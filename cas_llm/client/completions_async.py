"""One-call completions for event loops; see `completions` for what the arguments mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cas_llm.client.asking import Ask, Stream, ask_for, count, family_of, miss_of, structured
from cas_llm.client.costs import Adds
from cas_llm.client.images import Image
from cas_llm.client.progress import progress
from cas_llm.modes import Mode
from cas_llm.providers.text import text_of

Model = TypeVar("Model")


async def get_completion_async(
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
    """`get_completion` for event loops."""
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
    message = await _asked(ask)
    return message if return_raw else text_of(message)


async def get_structured_completion_async(
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
    """`get_structured_completion` for event loops."""
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
    message = await _asked(ask)
    return message if return_raw else structured(message, response_format)


async def _asked(ask: Ask) -> Any:
    """The SDK's response, or the text of a stream."""
    import openai

    from cas_llm.client.openai import AsyncOpenAI

    # Made anew for each call: an open connection belongs to the event loop that opened it.
    async with AsyncOpenAI(base_url=ask.place.base_url, api_key=ask.place.key) as client:
        family = family_of(client, ask)
        try:
            raw = await family.with_raw_response.create(**ask.arguments)
        except openai.APIStatusError as error:
            miss = miss_of(error.response, client.recorded_in(), ask.place)
            if miss is None:
                raise
            raise miss from None
        message = raw.parse()
        if ask.streamed:
            return await _streamed(ask, message, raw.http_response)
        count(ask, message.model_dump(warnings=False), raw.http_response)
        return message


async def _streamed(ask: Ask, events: Any, response: Any) -> str:
    stream = Stream(responses=ask.responses)
    with progress(ask.place.model) as tell:
        async for event in events:
            tell(stream.take(event))
    count(ask, stream.message, response)
    return stream.text
