"""A store's tapes played back as the tests that they belong to would, with nothing to call."""

from __future__ import annotations

from pathlib import Path

from cas_llm import config
from cas_llm.cassettes.suite import Suite
from cas_llm.session import Kind, Scope, Serve, Session
from cas_llm.session.runtime import Runtime
from cas_llm.store import Answer
from cas_llm.wire import Request, Response


class Player:
    """Sessions in REPLAY on the store of the project in *root*."""

    def __init__(self, root: Path, store: Path) -> None:
        said = {"store": str(store), "mode": "replay"}
        settings = config.load(root, {}, command_line=said)
        self.session = Session(settings, Runtime(settings), every_request=True)
        self.suite = Suite(root)
        self._scopes: dict[str, Scope] = {}

    def play(self, test: str, request: Request) -> Response:
        """What the test *test* gets for its next ask of *request*; 424 is a miss."""
        scope = self._scopes.get(test)
        if scope is None:
            found = self.suite.test(test)
            origin = (str(found.path), found.line) if found else None
            scope = self._scopes[test] = Scope(test, Kind.TEST, origin=origin, staged=True)
        action = self.session.begin(request, scope)
        assert isinstance(action, Serve), action
        return action.response

    def held(self, test: str) -> list[Answer]:
        """The answers of the test's one tape, in order."""
        (tape,) = self.session.runtime.store.manifest.tapes_of(test)
        return [self.session.runtime.store.load(turn.digest) for turn in tape.turns]
