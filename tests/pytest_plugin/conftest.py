"""What the plugin's tests share: a project whose tests ask a scripted provider."""

import pytest
from support.inner import Inner


@pytest.fixture
def inner(project, provider) -> Inner:
    """A project with ``[tool.cas-llm]`` and ``tests/llm.py``."""
    return Inner(project, provider)
