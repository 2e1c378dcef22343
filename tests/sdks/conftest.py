"""What the contract of the SDKs rests on: which SDKs, their settings, a store of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sdks.adapter import Adapter, adapter_named

IN_DEVELOPMENT = ("openai", "anthropic", "google_genai")
"""The SDKs that the development environment has; the others are the matrix's."""


def chosen() -> list[Adapter]:
    """The adapters that ``SDK_ADAPTERS`` names, else those of the development environment."""
    said = os.environ.get("SDK_ADAPTERS", "").split()
    if said:
        return [adapter_named(name) for name in said]
    return [one for one in map(adapter_named, IN_DEVELOPMENT) if one.installed]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each SDK, or each feature of each SDK."""
    if "feature" in metafunc.fixturenames:
        pairs = [(one, feature) for one in chosen() for feature in one.features]
        metafunc.parametrize(
            ("sdk", "feature"), pairs, ids=[f"{one.name}-{feature}" for one, feature in pairs]
        )
    elif "sdk" in metafunc.fixturenames:
        metafunc.parametrize("sdk", chosen(), ids=lambda one: one.name)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that nothing else knows of."""
    return tmp_path / "cache_store"


@pytest.fixture
def key(sdk: Adapter, monkeypatch: pytest.MonkeyPatch) -> str:
    """The SDK's settings and a key that is nobody's, in the environment: its variable."""
    for name, value in sdk.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(sdk.variable, "x" * 20)
    return sdk.variable
