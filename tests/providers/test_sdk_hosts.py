"""The hosts of the SDKs' regions belong to their providers, and telemetry is one route only."""

import pytest

from cas_llm.providers import is_telemetry
from cas_llm.providers.hosts import provider_of_host
from cas_llm.wire import Request


@pytest.mark.parametrize("region", ["eu", "us"])
def test_mistrals_regions_are_mistrals(region):
    """Its SDK calls them for `server="eu"` and `server="us"`."""
    assert provider_of_host(f"api.{region}.mistral.ai") == "mistral"
    assert provider_of_host(f"api.{region}.mistral.ai.example.com") == ""


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://api.openai.com/v1/traces/ingest", True),
        ("https://API.openai.com:443/v1/traces/ingest?a=1", True),
        ("https://api.openai.com/v1/traces", False),
        ("https://api.openai.com/v1/responses", False),
        ("https://example.com/v1/traces/ingest", False),
        ("http://[", False),
    ],
)
def test_telemetry_is_told_by_host_and_route(url, told):
    """Nothing else is taken for it, and a URL that cannot be read is not."""
    assert is_telemetry(Request("POST", url)) is told
