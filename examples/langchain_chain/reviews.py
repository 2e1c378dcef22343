"""Sorts the reviews of a book shop's customers, with a LangChain chain."""

import os

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

MODEL = "smollm2-135m-instruct"
BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
PROMPT = ChatPromptTemplate.from_messages(
    [("user", "Is this review positive or negative? {review}")]
)


def chain():
    """A review goes in, what the model makes of it comes out."""
    model = ChatOpenAI(model=MODEL, base_url=BASE_URL, temperature=0.0, max_tokens=24)
    return PROMPT | model | StrOutputParser()


def feeling(text):
    """What *text* says first: positive, negative, or nothing that is known."""
    words = text.lower()
    found = {word: words.find(word) for word in ("positive", "negative") if word in words}
    return min(found, key=found.get, default="unknown")


def sort(reviews):
    """Every review with its feeling, asked in one batch."""
    answers = chain().batch([{"review": review} for review in reviews])
    return dict(zip(reviews, map(feeling, answers), strict=True))
