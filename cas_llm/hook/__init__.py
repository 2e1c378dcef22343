"""The programs that pre-commit starts: ``python -m cas_llm.hook NAME [--json]``.

A leaf, and one that is started for every commit: it imports what a rule needs only when there is
something to look at, and neither openai, typer nor rich at all.

====  ============================================================
code  meaning
====  ============================================================
0     nothing that blocks the commit
1     findings, or the hook could not find out: it says why
2     wrong usage or a bad setting
130   interrupted
====  ============================================================
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cas_llm.guard.staged import Staged
    from cas_llm.store.proof.census import Finding

NAMES = ("replayable", "stale", "verify", "secrets")
"""The hooks, as they are called after ``cas-llm-``."""

Rule = Callable[["Staged"], "list[Finding]"]


def main(arguments: Sequence[str]) -> int:
    """Run the hook that *arguments* name, on what is staged or pushed here; gives the exit code."""
    from cas_llm.errors import CasLLMError, ConfigError

    names = [word for word in arguments if not word.startswith("-")]
    options = [word for word in arguments if word.startswith("-")]
    if len(names) != 1 or names[0] not in NAMES or set(options) - {"--json"}:
        sys.stderr.write(f"usage: python -m cas_llm.hook {{{','.join(NAMES)}}} [--json]\n")
        return 2
    try:
        return _run(names[0], as_json="--json" in options)
    except CasLLMError as error:
        sys.stderr.write(f"cas-llm-{names[0]}: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        sys.stderr.write(f"cas-llm-{names[0]}: interrupted, and nothing is checked\n")
        return 130


def _run(name: str, *, as_json: bool) -> int:
    from cas_llm.guard import staged

    look = staged.of_environment(Path.cwd(), os.environ)
    findings = _rule(name)(look) if _concerns(name, look) else []
    if as_json or findings:
        from cas_llm.guard import telling

        sys.stdout.write(telling.as_json(findings) if as_json else telling.text(findings))
    return int(any(finding.severity == "error" for finding in findings))


def _concerns(name: str, staged: Staged) -> bool:
    """Whether there is anything to look at, so that the rule need be imported at all."""
    from cas_llm.guard.staged import changed_tests

    if name == "replayable" or staged.asks or staged.stores or staged.conflicts:
        return True
    return name == "stale" and any(changed_tests(staged))


def _rule(name: str) -> Rule:
    """The function that judges for the hook *name*, imported."""
    if name == "replayable":
        from cas_llm.guard.replayable import judge
    elif name == "stale":
        from cas_llm.guard.stale import judge
    elif name == "verify":
        from cas_llm.guard.integrity import judge
    else:
        from cas_llm.guard.secrets import judge
    return judge
