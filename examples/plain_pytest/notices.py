"""Short forms of a library's notices, for the display at its door."""

import os

from openai import OpenAI

MODEL = "smollm2-135m-instruct"
BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
PROMPT = "Summarise in one sentence:"


def short(notice):
    """One sentence that says what *notice* says."""
    return _say(f"{PROMPT} {notice}")


def slogans(subject, count):
    """*count* ideas for a poster: the same question, asked anew each time."""
    return [_say(f"Invent a slogan for a poster about {subject}.", 1.0) for _ in range(count)]


def _say(text, temperature=0.0):
    client = OpenAI(base_url=BASE_URL)
    said = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": text}],
        temperature=temperature,
        max_tokens=40,
    )
    return said.choices[0].message.content.strip()
