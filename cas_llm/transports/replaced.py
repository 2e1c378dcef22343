"""Whether a recorder that stands in the way has handed its LLM calls over to this one.

Under ``vcr = "replace"`` the stubs of vcrpy and cassetter stay for other hosts' sake, and let LLM
calls through; then they are no mock to stand aside for.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from cas_llm.session.bindings import current

_HOMES = frozenset({"vcr", "cassetter"})


def is_handed_over(function: Any) -> bool:
    """Whether *function* is another recorder's, and the session that holds has replaced it."""
    binding = current()
    if binding is None or binding.session.settings.vcr != "replace":
        return False
    home = getattr(getattr(function, "__code__", None), "co_filename", None)
    return isinstance(home, str) and not _HOMES.isdisjoint(Path(home).parts)


def own_connections(pool: Any) -> Any:
    """urllib3's *pool*, or where vcrpy's connections stand in it, a copy that opens its own.

    What vcrpy's connections give for a live answer is no stream of the library's any more.
    """
    genuine = getattr(pool.ConnectionCls, "_baseclass", None)
    if genuine is None:
        return pool
    own = copy.copy(pool)
    own.ConnectionCls = genuine
    vars(own).update(_get_conn=lambda *_args, **_named: own._new_conn(), _put_conn=_close)  # noqa: SLF001
    return own


def _close(connection: Any) -> None:
    if connection is not None:
        connection.close()
