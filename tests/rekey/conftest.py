"""What the tests of rekey share: a store of their own."""

import pytest
from support.shelf import Shelf


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "cache_store")
