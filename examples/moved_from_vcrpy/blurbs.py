"""Blurbs and genres for a book shop's catalogue."""

import os

from openai import OpenAI

MODEL = "gpt-4o-mini"
BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
PROMPT = "You write for the catalogue of a book shop. Answer in one sentence."


def blurb(title):
    """One sentence that makes people want to read *title*."""
    return _say(f"Write a blurb for: {title}")


def genre(title):
    """The genre of *title*, from its blurb."""
    return _say(f"Which genre has a book with this blurb? {blurb(title)}").rstrip(".").lower()


def _say(text):
    said = OpenAI(base_url=BASE_URL).chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": PROMPT}, {"role": "user", "content": text}],
    )
    return said.choices[0].message.content
