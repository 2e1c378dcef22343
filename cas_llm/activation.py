"""Switching cas-llm on: for a block, a function, or the whole process.

Everything here is public and re-exported by the package.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextvars import Token
from pathlib import Path
from typing import Any, TypeVar

from cas_llm import config
from cas_llm.config import Rank
from cas_llm.errors import ConfigError, StoreError
from cas_llm.modes import Mode
from cas_llm.session import Kind, Scope, Session, families, misses
from cas_llm.session.bindings import Binding, current, enter, leave, pop, push
from cas_llm.session.closing import passed
from cas_llm.session.log import Sums
from cas_llm.session.placeholders import Placeholders
from cas_llm.session.report import problem_document, write_last_run
from cas_llm.session.runtime import runtime_for
from cas_llm.store import Answer
from cas_llm.transports import install as transports
from cas_llm.wire import Request, Response

_Function = TypeVar("_Function", bound=Callable[..., Any])


class use:  # noqa: N801 - used like a function, as contextlib's own are
    """Record and replay the LLM calls of a block or a function; sync and async.

    *mode* is one of `Mode` or a word for it; without it the settings decide. A *name* makes the
    block a scope with a tape of its own, written when the block ends without an exception. Inside a
    test an unnamed block's calls stay the test's. *store*, *namespace*, *repeat*, *exhausted* and
    *normalise* override the settings of the same name, and *hosts* are added to theirs; but what
    the command line or the environment says wins, as it does for the mode. ``live=True`` says
    ``mode="disabled"``. In replay, keys that are not set have stand-ins while the block lasts.

    Leaving the block raises `CacheMiss` if a request had no recording and the code swallowed it.

    Raises:
        ConfigError: a value is not one the setting may have.

    """

    def __init__(
        self,
        mode: Mode | str | None = None,
        *,
        name: str | None = None,
        store: str | Path | None = None,
        hosts: Sequence[str] | Mapping[str, str] = (),
        namespace: str = "",
        repeat: str | None = None,
        exhausted: str | None = None,
        normalise: Sequence[str] | str = (),
        live: bool | None = None,
    ) -> None:
        if live:
            if mode is not None:
                raise ConfigError(
                    "live=True means mode='disabled'; give one of them", source="use()"
                )
            mode = Mode.DISABLED
        if name is not None and not (isinstance(name, str) and name.strip()):
            raise ConfigError(f"name must be text that is not empty, not {name!r}", source="use()")
        self._mode = None if mode is None else config.read_option("mode", mode, "use()")
        self._name = name
        given = {
            "store": store,
            "hosts": None if hosts == () else hosts,
            "namespace": None if namespace == "" else namespace,
            "repeat": repeat,
            "exhausted": exhausted,
            "normalise": None if normalise == () else normalise,
        }
        self._overrides: dict[str, Any] = {
            setting: config.read_option(setting, value, "use()")
            for setting, value in given.items()
            if value is not None
        }
        if store is not None:
            # Of where the block was written down, not of where it is entered.
            self._overrides["store"] = str(Path(store).absolute())
        self._begin()

    def __enter__(self) -> Session:
        binding = self._binding()
        keys = Placeholders(binding.session.settings)
        keys.put()
        transports.install()
        push(binding)
        token = enter(binding)
        transports.announce(binding)
        with self._lock:
            self._entered.append((binding, token, len(binding.scope.problems), keys))
        return binding.session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        with self._lock:
            binding, token, before, keys = self._entered.pop()
        keys.take_back()
        leave(token)
        pop(binding)
        outer = current()
        if outer is None:
            transports.silence()
        else:
            transports.announce(outer)
        transports.uninstall()
        scope, session = binding.scope, binding.session
        if outer is None or outer.scope is not scope:
            session.runtime.settle(scope)
        if not scope.joined:
            families.adopt_problems(session.runtime.run, scope, session.runtime.log)
        try:
            if self._name and kind is None and session.settings.mode.records and not scope.problems:
                passed(scope, session.runtime)
            if outer is None or outer.session.runtime is not session.runtime:
                session.runtime.store.flush()
        except StoreError as refused:
            if error is None:
                raise
            # The program's own exception says more; this is told beside it.
            error.add_note(str(refused))
        finally:
            if outer is None or outer.scope is not scope:
                scope.closed = scope.kind is not Kind.SHARED
        problems = scope.problems[before:]
        if problems and outer is None:
            write_last_run(session.runtime.store, [problem_document(p) for p in problems])
        if kind is None and problems and (outer is None or outer.scope is not scope):
            raise misses.error_for(problems)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: _Function) -> _Function:
        """Run *function* inside a block of its own each time it is called.

        A generator's block holds from its first value to its end.

        Raises:
            ConfigError: *function* is a class.

        """
        if inspect.isclass(function):
            raise ConfigError(
                "use() decorates functions; on a class use @pytest.mark.cas_llm", source="use()"
            )
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def iterate_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                async with self._again(), contextlib.aclosing(function(*args, **kwargs)) as values:
                    async for value in values:
                        yield value

            return iterate_async  # type: ignore[return-value]
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def iterate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                with self._again():
                    return (yield from function(*args, **kwargs))

            return iterate  # type: ignore[return-value]
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                async with self._again():
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    def _begin(self) -> None:
        self._entered: list[tuple[Binding, Token[Binding | None], int, Placeholders]] = []
        self._lock = threading.Lock()

    def _again(self) -> use:
        """This block once more, so that calls of a function may overlap."""
        block = copy.copy(self)
        block._begin()  # noqa: SLF001 - its own class
        return block

    def _binding(self) -> Binding:
        outer = current()
        base = outer.session.settings if outer else config.load(Path.cwd())
        settings = base.says(self._mode, Rank.USE, "use()").but("use()", **self._overrides)
        if outer is None or settings.store != base.store:
            session = Session(settings, runtime_for(settings))
            scope = Scope()
        else:
            session, scope = outer.session.derived(settings), outer.scope
        if self._name:
            scope = Scope(f"use::{self._name}", Kind.BLOCK, staged=True)
        elif outer is None:
            scope = Scope()
        return Binding(session, scope)


_process: list[use] = []


def install(mode: Mode | str | None = None, **options: Any) -> Session:
    """Record and replay the whole process's LLM calls from now on; takes what `use` takes.

    Calling it again replaces what was installed.
    """
    if _process:
        uninstall()
    block = use(mode, **options)
    session = block.__enter__()
    _process.append(block)
    return session


def uninstall() -> None:
    """Undo `install`; nothing happens if nothing is installed."""
    if _process:
        _process.pop().__exit__(None, None, None)


def set_mode(mode: Mode | str) -> None:
    """Change the mode of what holds here: the innermost block's, or the installed session's.

    Raises:
        ConfigError: no such mode, or nothing is switched on.

    """
    binding = current()
    if binding is None:
        raise ConfigError(
            "cas-llm is not switched on; call cas_llm.install() or use()", source="set_mode()"
        )
    settings = binding.session.settings.says(mode, Rank.USE, "set_mode()")
    binding.session.settings = settings
    transports.announce(binding)


@contextlib.contextmanager
def expect_miss() -> Iterator[list[misses.Problem]]:
    """A block in which a request has no recording, on purpose.

    Gives the list of misses, filled when the block ends; they count neither against the test nor
    against the run.

    Raises:
        AssertionError: every request had a recording.

    """
    binding = _here("expect_miss()")
    problems, log = binding.scope.problems, binding.session.runtime.log
    before = len(problems)
    found: list[misses.Problem] = []
    try:
        yield found
    finally:
        families.adopt_problems(binding.session.runtime.run, binding.scope, log)
        found.extend(problem for problem in problems[before:] if problem.is_miss)
        for problem in found:
            problems.remove(problem)
            if problem in log.problems:
                log.problems.remove(problem)
                log.sums.missed -= not problem.told_elsewhere
    if not found:
        raise AssertionError("expect_miss(): every request had a recording")


def mock(request: Request | Mapping[str, Any], answer: Any, *, status: int = 200) -> None:
    """Let *answer* be the answer to *request* in this scope, in memory only.

    *request* is a wire request, or the body of a chat completion; *answer* is text for the
    assistant to say, the whole response body as JSON, or bytes.
    """
    from cas_llm.keys import Rules, key_record
    from cas_llm.providers import identify

    binding = _here("mock()")
    if not isinstance(request, Request):
        body = json.dumps(dict(request)).encode()
        url = "https://api.openai.com/v1/chat/completions"
        request = Request("POST", url, (("content-type", "application/json"),), body)
    settings = binding.session.settings
    rules = Rules(normalise=settings.normalise, namespace=settings.namespace)
    redact = binding.session.runtime.redactor(settings).text
    key = key_record(request, identify(request, settings.hosts).name, rules, redact).key
    if isinstance(answer, str):
        answer = _chat_completion(answer, json.loads(request.body or b"{}"))
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    response = Response(status, (("content-type", "application/json"),), data)
    mocked = Answer(key, response, run=binding.session.runtime.run.id, marks=("scripted",))
    binding.scope.home.mocks[key] = mocked


def _chat_completion(text: str, request: Mapping[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def costs() -> Sums:
    """Counts and money of the running session: served, live, spent, saved.

    Raises:
        ConfigError: nothing is switched on.

    """
    return _here("costs()").session.runtime.log.sums


def _here(caller: str) -> Binding:
    binding = current()
    if binding is None:
        raise ConfigError(
            "cas-llm is not switched on here; use it inside a test, cas_llm.use() or after "
            "cas_llm.install()",
            source=caller,
        )
    return binding
