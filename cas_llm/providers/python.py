"""The family of function calls: the body is the arguments, the answer is the result.

Pure. No HTTP request has this family; `cas_llm.functions` makes its requests.
"""

from __future__ import annotations

from typing import Any

from cas_llm.providers.base import Generic
from cas_llm.providers.lines import compact, display
from cas_llm.providers.reading import mapping


class Python(Generic):
    """See the module."""

    family = "python"
    noise: tuple[str, ...] = ()

    def asked(self, body: Any) -> list[str]:
        """The blocks of `ask`: one line an argument."""
        return [f"{name}={compact(value)}" for name, value in mapping(body).items()]

    def answered(self, message: Any) -> list[str]:
        """The blocks of `answer`: text as it is, anything else as JSON."""
        return [message if isinstance(message, str) else compact(message)]

    def answer(self, message: Any) -> tuple[str, ...]:
        """See `Provider.answer`; a result is never an error, whatever its members are called."""
        return display(self.answered(message))

    def resolved_model(self, message: Any) -> str:  # noqa: ARG002 - a result names no model
        """See `Provider.resolved_model`."""
        return ""

    def text(self, message: Any) -> str:
        """The result, where it is text."""
        return message if isinstance(message, str) else ""
