"""Moving a store to other key rules, offline: the same answers under the keys that hold now.

`plan` says what would come of it and `write` does it. Both only add: new key records, a new take
of each tape, new shared entries. An answer stays as it is, with the key it was recorded under.
Knows no session and no mode, and never asks a provider.
"""

from __future__ import annotations

from cas_llm.rekey.clashes import Clash
from cas_llm.rekey.plan import Plan, Stuck, foreseen, plan
from cas_llm.rekey.target import Target
from cas_llm.rekey.writing import write

__all__ = ["Clash", "Plan", "Stuck", "Target", "foreseen", "plan", "write"]
