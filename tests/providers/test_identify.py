"""The API of a request follows from its address and body, never from the path alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas_llm.providers import Api, identify, is_loopback, is_provider_host, looks_like_llm
from cas_llm.wire import Request

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
INPUT = {"model": "m", "input": "hi"}
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}


def post(url, body=CHAT, **headers):
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request("POST", url, pairs, json.dumps(body).encode())


AZURE = "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1"
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("url", "body", "name"),
    [
        ("https://api.openai.com/v1/chat/completions", CHAT, "openai"),
        ("https://eu.api.openai.com/v1/responses", INPUT, "openai"),
        ("https://API.OpenAI.com./v1/responses", INPUT, "openai"),
        (AZURE, CHAT, "openai@azure"),
        ("https://me.services.ai.azure.com/anthropic/v1/messages", CHAT, "anthropic@azure"),
        ("https://api.groq.com/openai/v1/chat/completions", CHAT, "openai@groq"),
        ("https://openrouter.ai/api/v1/chat/completions", CHAT, "openai@openrouter"),
        ("https://openrouter.ai/api/v1/messages", CHAT, "anthropic@openrouter"),
        ("https://api.anthropic.com/v1/messages", CHAT, "anthropic"),
        ("https://api.anthropic.com/v1/chat/completions", CHAT, "openai@anthropic"),
        (
            "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent",
            CONTENTS,
            "gemini",
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            CHAT,
            "openai@gemini",
        ),
        (f"{VERTEX}/google/models/g:generateContent", CONTENTS, "gemini@vertex"),
        (f"{VERTEX}/anthropic/models/c:rawPredict", CHAT, "anthropic@vertex"),
        ("https://api.cohere.com/v2/chat", CHAT, "cohere"),
        (f"{BEDROCK}/model/x/invoke", CHAT, "bedrock"),
        (f"{BEDROCK}/openai/v1/chat/completions", CHAT, "openai@bedrock"),
        ("https://api.deepseek.com/responses", INPUT, "openai@deepseek"),
        ("http://localhost:8080/v1/chat/completions", CHAT, "openai@loopback"),
        ("http://[::1]:1/v1/messages", CHAT, "anthropic@loopback"),
        ("https://my.host:8443/v1/chat/completions", CHAT, "openai@my.host"),
        ("https://my.host/v1/chat/completions", {"model": "m"}, "http@my.host"),
        ("https://my.host/forms/1/responses", INPUT, "http@my.host"),
        ("https://my.host/orders", CHAT, "http@my.host"),
    ],
)
def test_an_address_has_one_name(url, body, name):
    """Family, provider and host make the name, as the key needs it."""
    api = identify(post(url, body))
    assert (api.name, api.family) == (name, name.partition("@")[0])


def test_the_user_map_goes_before_the_table():
    """A mapped gateway has the name that the user gave it, by port or without."""
    gateway = post("http://127.0.0.1:4000/v1/chat/completions")
    assert identify(gateway, {"127.0.0.1:4000": "openai@gw"}) == Api("openai@gw", "openai", True)
    assert identify(gateway, {"127.0.0.1": "openai"}).known
    assert not identify(gateway, {"127.0.0.1:4001": "openai"}).known
    https = post("https://gw.example/v1/chat/completions")
    assert identify(https, {"gw.example:443": "openai"}).name == "openai"


def test_the_user_agent_never_changes_the_name():
    """The same request from another SDK has the same key."""
    url = "https://my.host/v1/models"
    plain = Request("GET", url)
    sdk = Request("GET", url, (("user-agent", "OpenAI/Python 3.52.0"),))
    assert identify(plain) == identify(sdk)


@pytest.mark.parametrize(
    "agent",
    [
        "OpenAI/Python 1.0",
        "AsyncOpenAI/Python 3.5",
        "AzureOpenAI/Python 2",
        "AsyncAzureOpenAI/Python 2",
        "OpenAI/JS 4.1",
        "Anthropic/Python 0.40",
        "AsyncAnthropicBedrock/Python 0.4",
        "AnthropicVertex/Python 1",
        "google-genai-sdk/1.2 gl-python/3.11",
        "mistral-client-python/1.5",
        "Groq/Python 0.1",
        "litellm/1.40",
    ],
)
def test_the_user_agent_of_an_sdk_is_proof(agent):
    """Whatever an LLM's SDK sends is an LLM's request."""
    assert looks_like_llm(Request("GET", "http://x/v1/files", (("user-agent", agent),)))


@pytest.mark.parametrize("agent", ["", "python-httpx/0.27", "Mozilla/5.0 (X11)", "MyOpenAIlike"])
def test_other_user_agents_prove_nothing(agent):
    """A plain HTTP client's request counts only by its path and body."""
    assert not looks_like_llm(Request("GET", "http://x/v1/files", (("user-agent", agent),)))


@pytest.mark.parametrize(
    ("url", "body", "counts"),
    [
        ("http://x/v1/chat/completions", CHAT, True),
        ("http://x/api/v1/responses", INPUT, True),
        ("http://x/responses", INPUT, True),
        ("http://x/v1/messages", CHAT, True),
        ("http://x/models/g:generateContent", CONTENTS, True),
        ("http://x/v1/chat/completions", {"text": "hi"}, False),
        ("http://x/forms/1/responses", INPUT, False),
        ("http://x/v1/responses", {"answers": [1]}, False),
        ("http://x/users/3/messages", {"to": "b", "text": "hi"}, False),
        ("http://x/v1/threads/3/messages", CHAT, False),
        ("http://x/v1/embeddings", {"texts": []}, False),
    ],
)
def test_path_and_body_must_both_fit(url, body, counts):
    """Neither a known path nor a fitting body is enough."""
    assert looks_like_llm(post(url, body)) is counts
    assert not looks_like_llm(Request("GET", url))


def test_provider_hosts_are_whole_names():
    """A look-alike host isn't a provider's."""
    for host in ("api.openai.com", "a.b.openai.azure.com", "API.GROQ.COM", "api.x.ai."):
        assert is_provider_host(host)
    for host in ("openai.com", "api.openai.com.evil.example", "xapi.openai.com", "", "*.api.x.ai"):
        assert not is_provider_host(host)
    assert not is_provider_host("storage.googleapis.com")
    assert not is_provider_host("s3.us-east-1.amazonaws.com")


def test_loopback_is_this_machine():
    """Names and addresses of this machine, and no others, are loopback."""
    for host in (
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
    ):
        assert is_loopback(host)
    for host in ("", "10.0.0.1", "localhost.example", "128.0.0.1"):
        assert not is_loopback(host)


URLS = st.text(max_size=30) | st.sampled_from(
    ["http://[", "http://x:99999/", "http://x:y/", "//", ""]
)
URLS |= st.sampled_from(["/v1/messages", ":predict", "/openai/", "/responses"]).map(
    "https://api.x.ai{}".format
)


@given(st.text(max_size=6), URLS, st.binary(max_size=40), st.text(max_size=20))
def test_no_request_makes_it_raise(method, url, body, agent):
    """Every request has an API, and a yes or no."""
    request = Request(method, url, (("user-agent", agent),), body)
    assert identify(request).family
    assert looks_like_llm(request) in {True, False}
