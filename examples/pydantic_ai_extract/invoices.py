"""Reads what matters out of an invoice's text, as a typed object."""

import os
from datetime import date

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
PROMPT = "Read the invoice. Amounts are in euros."


class Invoice(BaseModel):
    """What is booked."""

    sender: str
    due: date
    total: float = Field(gt=0)


def reader():
    """An agent whose answer is an `Invoice`; a total that isn't on the paper is asked again."""
    model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=BASE_URL))
    agent = Agent(model, output_type=Invoice, deps_type=str, instructions=PROMPT, retries=2)

    @agent.output_validator
    def check(context, invoice):
        if f"{invoice.total:.2f}" not in context.deps:
            raise ModelRetry(f"{invoice.total:.2f} is not on the invoice")
        return invoice

    return agent


async def read(text):
    """The `Invoice` in *text*."""
    return (await reader().run(text, deps=text)).output
