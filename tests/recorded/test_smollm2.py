"""What a real model said once, it says for ever."""

import asyncio

import openai
import pytest

from cas_llm.local_model import MODEL


@pytest.fixture
def client(model_url):
    """The SDK's client, as an application makes it."""
    return openai.OpenAI(base_url=model_url, api_key="none", max_retries=0)


def user(text):
    return {"role": "user", "content": text}


def test_a_plain_chat_is_answered(client):
    """A chat completion replays as the SDK's own typed object."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[user("Name the capital of France.")], max_tokens=24
    )
    assert "Paris" in answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def test_a_stream_arrives_in_pieces(client):
    """A streamed answer replays chunk by chunk."""
    stream = client.chat.completions.create(
        model=MODEL, messages=[user("Count from one to five.")], max_tokens=24, stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert len(pieces) > 3
    assert "".join(pieces).strip()


def test_the_second_turn_follows_the_first(client):
    """A conversation quotes its own recorded answer, so its second turn is found."""
    messages = [user("Give me one English word for a small dog.")]
    first = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=16)
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        user("Use it in a short sentence."),
    ]
    second = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=24)
    assert second.choices[0].message.content.strip()


async def test_concurrent_calls_get_their_own_answers(model_url):
    """Calls made at once never swap their answers."""
    async with openai.AsyncOpenAI(base_url=model_url, api_key="none", max_retries=0) as client:

        async def ask(number):
            answer = await client.chat.completions.create(
                model=MODEL, messages=[user(f"Repeat the number {number}.")], max_tokens=12
            )
            return answer.choices[0].message.content

        once = await asyncio.gather(*(ask(number) for number in (3, 5, 8)))
        again = await asyncio.gather(*(ask(number) for number in (3, 5, 8)))
    assert once == again
    assert len(set(once)) > 1


def test_the_responses_api_is_answered(client):
    """The Responses API replays like chat completions."""
    answer = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=16)
    assert answer.output_text.strip()
