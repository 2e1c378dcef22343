"""The rows of the matrix: which packages stand together, and which adapters are asked there."""

from __future__ import annotations

from dataclasses import dataclass

CONTRACT = ("test_contract.py", "own_parts.py")
"""What every row runs, beside this file."""


@dataclass(frozen=True)
class Row:
    """One environment: what is installed beside cas-llm, whom it asks, what it runs more.

    `fast` rows are the ones a change must pass; together they take less than three minutes.
    """

    name: str
    requirements: tuple[str, ...]
    adapters: tuple[str, ...]
    more: tuple[str, ...] = ()
    fast: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The test files of the row."""
        return CONTRACT + self.more


ROWS = (
    # 1.40 gives httpx a `proxies` argument, which httpx 0.28 took away.
    Row("openai-1.40", ("openai==1.40.0", "httpx<0.28"), ("openai",), fast=True),
    Row("openai-2", ("openai>=2,<3",), ("openai",)),
    Row("openai-3", ("openai>=3",), ("openai",), fast=True),
    Row("anthropic-0", ("anthropic<1",), ("anthropic",), fast=True),
    Row("anthropic-1", ("anthropic>=1,<2",), ("anthropic",)),
    Row("anthropic-2", ("anthropic>=2",), ("anthropic",)),
    Row("google-genai", ("google-genai",), ("google_genai",)),
    Row("google-genai-aiohttp", ("google-genai[aiohttp]",), ("google_genai",), fast=True),
    Row("mistralai", ("mistralai",), ("mistralai",)),
    Row("cohere", ("cohere",), ("cohere",)),
    Row("groq", ("groq",), ("groq",)),
    # mcp: litellm imports it as soon as a call has tools.
    Row("litellm", ("litellm", "mcp"), ("litellm", "litellm_anthropic")),
    Row("langchain-openai", ("langchain-openai", "langchain"), ("langchain_openai",)),
    Row("pydantic-ai", ("pydantic-ai-slim[openai]",), ("pydantic_ai",)),
    Row("openai-agents", ("openai-agents",), ("openai_agents",), more=("tracing.py",), fast=True),
    Row("instructor", ("instructor",), ("instructor",)),
)


def chosen(names: list[str], *, fast: bool) -> list[Row]:
    """The rows called *names*, or all, or the fast ones.

    Raises:
        ValueError: there is no such row.

    """
    if unknown := sorted({*names} - {row.name for row in ROWS}):
        known = ", ".join(row.name for row in ROWS)
        raise ValueError(f"no row {', '.join(unknown)}; there are {known}")
    return [row for row in ROWS if (not names or row.name in names) and (row.fast or not fast)]
