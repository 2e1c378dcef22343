"""What the contract tests share: a store of their own."""

from pathlib import Path

import pytest


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that nothing else knows of."""
    return tmp_path / "cache_store"
