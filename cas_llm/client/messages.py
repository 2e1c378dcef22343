"""A chat's messages, without their braces: ``[system("Be brief."), user("Say hello.")]``.

Plain dicts, as every SDK of OpenAI's shape takes them.
"""

from __future__ import annotations


def system(text: str) -> dict[str, str]:
    """What the model is told before anybody speaks."""
    return _says("system", text)


def user(text: str) -> dict[str, str]:
    """What is asked."""
    return _says("user", text)


def assistant(text: str) -> dict[str, str]:
    """What the model said in an earlier turn."""
    return _says("assistant", text)


def _says(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}
