"""Answers a shop's letters with Claude, whole or word by word."""

from anthropic import Anthropic

MODEL = "claude-haiku-4-5"
PROMPT = "You answer letters to a bicycle shop, politely and in two sentences."


def answer(letter):
    """The whole answer to *letter*, and what it took in tokens."""
    said = Anthropic().messages.create(**_request(letter))
    text = "".join(block.text for block in said.content if block.type == "text")
    return text, said.usage.input_tokens + said.usage.output_tokens


def read_out(letter, heard):
    """Pass the answer to *heard* piece by piece; the reason why it ended."""
    with Anthropic().messages.stream(**_request(letter)) as stream:
        for piece in stream.text_stream:
            heard(piece)
        return stream.get_final_message().stop_reason


def _request(letter):
    return {
        "model": MODEL,
        "max_tokens": 200,
        "system": PROMPT,
        "messages": [{"role": "user", "content": letter}],
    }
