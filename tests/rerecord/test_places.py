"""Where a recorded API is today, and what lets a request in: the environment says."""

from __future__ import annotations

import pytest

from cas_llm.rerecord.places import NoPlace, credentials, origin
from cas_llm.session.policy import PLACEHOLDER

KEY = "-".join(["sk", "y" * 8])


@pytest.mark.parametrize(
    ("api", "environ", "hosts", "base_url", "at"),
    [
        ("openai", {}, {}, "", "https://api.openai.com"),
        ("openai", {"OPENAI_BASE_URL": "http://gate:1/v1"}, {}, "", "http://gate:1"),
        ("openai", {"OPENAI_BASE_URL": "http://gate:1/v1"}, {}, "http://b/v1", "http://b"),
        (
            "openai@loopback",
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
            {},
            "",
            "http://127.0.0.1:9",
        ),
        ("openai@mine", {}, {"llm.example.org": "openai@mine"}, "", "https://llm.example.org"),
        ("openai@mine", {}, {"127.0.0.1:9": "openai@mine"}, "", "http://127.0.0.1:9"),
        ("openai@groq", {}, {}, "", "https://api.groq.com"),
        ("openai@llm.example.org", {}, {}, "", "https://llm.example.org"),
        ("anthropic", {}, {}, "", "https://api.anthropic.com"),
        ("openai@ollama", {"OLLAMA_HOST": "127.0.0.1:11434"}, {}, "", "http://127.0.0.1:11434"),
    ],
)
def test_an_api_is_where_it_is_said_to_be(
    api: str, environ: dict[str, str], hosts: dict[str, str], base_url: str, at: str
) -> None:
    """The option first, then the variable, then what is mapped, then the provider's own host."""
    assert origin(api, environ, hosts, base_url) == at


def test_an_api_that_is_nowhere_names_the_variable() -> None:
    """A server on this machine had a port that nobody wrote down."""
    with pytest.raises(NoPlace, match="set OPENAI_BASE_URL, or give --base-url"):
        origin("openai@loopback", {}, {}, "")


@pytest.mark.parametrize(
    ("api", "variable", "header"),
    [
        ("openai", "OPENAI_API_KEY", ("authorization", f"Bearer {KEY}")),
        ("anthropic", "ANTHROPIC_API_KEY", ("x-api-key", KEY)),
        ("gemini", "GEMINI_API_KEY", ("x-goog-api-key", KEY)),
        ("gemini", "GOOGLE_API_KEY", ("x-goog-api-key", KEY)),
        ("openai@azure", "AZURE_OPENAI_API_KEY", ("api-key", KEY)),
        ("openai@groq", "GROQ_API_KEY", ("authorization", f"Bearer {KEY}")),
        ("openai@loopback", "OPENAI_API_KEY", ("authorization", f"Bearer {KEY}")),
    ],
)
def test_the_key_comes_from_the_environment(
    api: str, variable: str, header: tuple[str, str]
) -> None:
    """Each provider's variable, in the header that its SDK uses."""
    at = "http://127.0.0.1:1" if "loopback" in api else "https://there"
    assert credentials(api, at, {variable: KEY}) == (header,)


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": PLACEHOLDER}])
def test_a_missing_key_is_named(environ: dict[str, str]) -> None:
    """The stand-in of replay is none; a server on this machine needs none."""
    with pytest.raises(NoPlace, match="OPENAI_API_KEY is not set"):
        credentials("openai", "https://api.openai.com", environ)
    assert credentials("openai@loopback", "http://127.0.0.1:1", environ) == ()


@pytest.mark.parametrize("api", ["gemini@vertex", "bedrock"])
def test_what_is_signed_is_left_to_its_sdk(api: str) -> None:
    """No signature is made here."""
    with pytest.raises(NoPlace, match="signed by its SDK"):
        credentials(api, "https://there", {})


@pytest.mark.parametrize("ending", ["\n", "\u2603"])
def test_a_key_that_no_header_can_hold_is_told_without_it(ending: str) -> None:
    """A line break at its end comes from a file, and its error would quote it."""
    key = "-".join(["sk", "w" * 8]) + ending
    with pytest.raises(NoPlace, match="OPENAI_API_KEY holds a line break") as told:
        credentials("openai", "https://api.openai.com", {"OPENAI_API_KEY": key})
    assert "www" not in str(told.value)
