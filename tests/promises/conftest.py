"""What the tests of promises share: a store of their own and a way to ask."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that nothing else knows of."""
    return tmp_path / "cache_store"


@pytest.fixture
def client(provider) -> Iterator[openai.OpenAI]:
    """A client built before anything is switched on, as most programs build theirs."""
    with openai.OpenAI(base_url=provider.url, api_key="none", max_retries=2) as client:
        yield client
