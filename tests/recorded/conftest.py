"""A real model's answers, replayed from this repository's own `cache_store/`.

`pytest -p cas_llm.pytest_plugin tests/recorded --cas-llm=fallback` starts the model and records
what is missing.
"""

import pytest

PLUGIN = "cas_llm.pytest_plugin"
NOWHERE = "http://127.0.0.1:9/v1"


def pytest_ignore_collect(collection_path, config):
    """Leave these tests to a run of their own, in which the plugin is on."""
    return True if not config.pluginmanager.hasplugin(PLUGIN) else None


@pytest.fixture(scope="session")
def model_url(request):
    """Where the model answers; in replay an address at which nothing listens."""
    if request.config.getoption("cas_llm_mode") in {None, "replay"}:
        yield NOWHERE
        return
    from cas_llm.local_model import LocalModel

    with LocalModel() as model:
        yield model.url
