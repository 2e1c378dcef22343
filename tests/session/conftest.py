"""What the session's tests share: a store of their own, a provider, and desks over both."""

from pathlib import Path

import pytest
from support.desk import Desk, Upstream

from cas_llm import config
from cas_llm.config import Rank
from cas_llm.session import Runtime, Session
from cas_llm.session.runs import Run


@pytest.fixture
def upstream():
    return Upstream()


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "cache_store"


@pytest.fixture
def desk(tmp_path, root, upstream):
    """``desk(mode, **settings)`` is a new run on the store; with ``joins=desk`` the same run."""
    runtimes = []

    def make(mode="fallback", *, joins=None, replace_edited=False, **settings):
        base = config.load(tmp_path, {}).but("a test", **{"store": str(root), **settings})
        base = base.says(mode, Rank.USE, "a test")
        run = Run(joins.runtime.run.folder, joins.runtime.run.id) if joins else None
        runtime = Runtime(base, run)
        runtimes.append(runtime)
        return Desk(Session(base, runtime, replace_edited=replace_edited), upstream)

    yield make
    for runtime in runtimes:
        runtime.store.close()
        runtime.run.close()
