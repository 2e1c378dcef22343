"""What the child processes of a scope tell the process that opened it.

Small JSON files in the run's folder: the uses a tape is made of, the problems a test must fail
with, and each child's counts.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cas_llm.session import misses
from cas_llm.session.log import Log
from cas_llm.session.misses import Problem
from cas_llm.session.report import log_document
from cas_llm.session.runs import Run, short_scope
from cas_llm.session.scopes import Scope, Use

_USES = "uses"
_PROBLEMS = "problems"
_LOGS = "logs"


def tell_use(run: Run, scope: Scope, use: Use) -> None:
    """Let the scope's own process know that it was given an answer here."""
    _tell(
        run,
        _USES,
        scope,
        {
            "order": use.order,
            "key": use.key,
            "ordinal": use.ordinal,
            "digest": use.digest,
            "ask": list(use.ask),
            "answer": list(use.answer),
            "fresh": use.fresh,
            "within": [list(pair) for pair in use.within],
            "tape": use.tape,
        },
    )


def adopt(run: Run, scope: Scope) -> None:
    """Bring what the scope's children were given into the scope."""
    for told in _told(run, _USES, scope):
        for name in ("ask", "answer"):
            told[name] = tuple(told[name])
        told["within"] = tuple((key, digest) for key, digest in told["within"])
        scope.use(Use(**told))


def tell_problem(run: Run, scope: Scope, problem: Problem) -> None:
    """Let the scope's own process know of a problem here."""
    lines = misses.explain(problem).splitlines()[1:]
    detail = "\n".join(line.strip() for line in lines if not line.startswith("  Record it:"))
    _tell(
        run,
        _PROBLEMS,
        scope,
        {
            "kind": problem.kind,
            "scope": problem.scope,
            "what": f"{problem.what} (in child process {os.getpid()})",
            "key": problem.key,
            "api": problem.api,
            "model": problem.model,
            "ask": problem.ask,
            "detail": detail,
            "told_elsewhere": True,
            "price": problem.price,
            "fixture": problem.fixture,
        },
    )


def problems(run: Run, scope: Scope) -> list[Problem]:
    """The problems the scope's children had; each is given once."""
    return [Problem(**told) for told in _told(run, _PROBLEMS, scope)]


def adopt_problems(run: Run, scope: Scope, log: Log) -> None:
    """Bring the problems the scope's children had into the scope and into *log*."""
    for problem in problems(run, scope):
        scope.problems.append(problem)
        log.trouble(problem)


def tell_log(run: Run, log: Log) -> None:
    """Let the run know of this child's counts so far."""
    folder = run.folder / _LOGS
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{os.getpid()}"
    document = log_document(log)
    # The process that opened the scope reports these itself.
    document["problems"] = []
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(folder / f"{os.getpid()}.json")


def logs(run: Run) -> list[dict[str, Any]]:
    """The counts of the run's children."""
    folder = run.folder / _LOGS
    paths = sorted(folder.glob("[!.]*.json")) if folder.is_dir() else []
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _tell(run: Run, kind: str, scope: Scope, document: dict[str, Any]) -> None:
    folder = run.folder / kind / short_scope(scope.owner)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{secrets.token_hex(4)}"
    partial = folder / f".{name}"
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.rename(folder / f"{name}.json")


def _told(run: Run, kind: str, scope: Scope) -> Iterator[dict[str, Any]]:
    folder = run.folder / kind / short_scope(scope.owner)
    paths: list[Path] = sorted(folder.glob("[!.]*.json")) if folder.is_dir() else []
    for path in paths:
        yield json.loads(path.read_text(encoding="utf-8"))
        path.unlink(missing_ok=True)
