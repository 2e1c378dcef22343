"""Short words for the messages of a chat."""

import openai

from cas_llm.client import assistant, system, user


def test_messages_are_what_the_sdk_sends(provider):
    """Three roles, in the order they are given, and nothing else."""
    chat = [system("Be brief."), user("Say hello."), assistant("Hello."), user("Again.")]
    with openai.OpenAI(base_url=provider.url, api_key="any", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=chat)
    assert provider.calls[0].json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hello."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Again."},
    ]
