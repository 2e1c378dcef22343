"""The pipeline between an adapter and the store: a mode, a store, rules, and the log.

Speaks wire values only; no HTTP library is imported here, and nothing reaches the network.
"""

from __future__ import annotations

from cas_llm.session.actions import Action, Forward, Mark, Pass, Serve, Wait
from cas_llm.session.misses import Miss, Problem
from cas_llm.session.pipeline import Session
from cas_llm.session.runtime import Runtime
from cas_llm.session.scopes import Kind, Scope

__all__ = [
    "Action",
    "Forward",
    "Kind",
    "Mark",
    "Miss",
    "Pass",
    "Problem",
    "Runtime",
    "Scope",
    "Serve",
    "Session",
    "Wait",
]
