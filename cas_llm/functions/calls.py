"""A cached function: each call becomes a request, and a session decides what becomes of it.

Sits on the session beside the adapters: where they translate an HTTP library's requests, this
translates calls. What a function does is never looked at; give it a new `version` when it changes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, ParamSpec, Self, TypeVar, cast
from urllib.parse import urlencode

from cas_llm.errors import ConfigError
from cas_llm.functions import values
from cas_llm.gitrepo import git_root
from cas_llm.modes import Mode
from cas_llm.session import Forward, Scope, Serve, Wait, misses, policy
from cas_llm.session.actions import Action
from cas_llm.session.bindings import Binding, enter, leave
from cas_llm.session.explicit import Explicit
from cas_llm.transports.streams import in_thread, pause
from cas_llm.wire import Request

P = ParamSpec("P")
R = TypeVar("R")

_JSON = (("content-type", "application/json"),)
_WAIT_SECONDS = 0.005
_running: ContextVar[frozenset[Request]] = ContextVar("cas_llm_running", default=frozenset())


def cached(
    function: Callable[..., Any] | None = None,
    /,
    *,
    ignore: Sequence[str] = (),
    version: str = "",
    namespace: str = "",
) -> Any:
    """Record what a function returns and replay it; sync and async functions and methods.

    A call is a request of the API ``python``: its key holds the function's module and name, the
    *version*, and the bound arguments with defaults applied, less those named in *ignore*. The
    source is not in the key: give a new *version* when the function changes what it returns.
    Without a session (``use()``, pytest) the settings of the working directory decide.

    Arguments and results are JSON values, dataclasses or pydantic models; a result is rebuilt from
    the return annotation. An exception is raised and not stored. See `Cached` for ``peek`` and
    ``refresh``.

    Raises:
        TypeError: *function* is a lambda or a generator, or *ignore* names no parameter; and
            before a call, an argument or the return annotation has no JSON form.

    """
    if function is None:
        return functools.partial(cached, ignore=ignore, version=version, namespace=namespace)
    names = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    return Cached(function, names, version, namespace)


@dataclass(frozen=True)
class _Call:
    """One call on its way: the request it is, where it belongs, and what to call."""

    request: Request
    binding: Binding
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def scope(self) -> Scope:
        return self.binding.scope

    def begin(self, *, anew: bool) -> Action:
        return self.binding.session.begin_call(self.request, self.scope, anew=anew)


class Cached(Generic[P, R]):
    """A function whose calls are recorded; called like the function itself.

    ``peek(...)`` gives the recorded result and never calls; ``refresh(...)`` calls and stores a
    new take. Both take the function's own arguments.
    """

    def __init__(
        self,
        function: Callable[P, R],
        ignore: tuple[str, ...] = (),
        version: str = "",
        namespace: str = "",
        bound: tuple[Any, ...] = (),
    ) -> None:
        _check(function, ignore)
        functools.update_wrapper(self, function)
        self._function = function
        self._ignore = ignore
        self._version = version
        self._namespace = namespace
        self._bound = bound
        self._signature = inspect.signature(function)
        self._explicit: Explicit | None = None
        self._is_async = inspect.iscoroutinefunction(function)
        if self._is_async and hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(self)  # 3.12 and later

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        if instance is None:
            return self
        bound = Cached(
            self._function, self._ignore, self._version, self._namespace, (instance, *self._bound)
        )
        bound._explicit = self._explicit_of()
        return cast("Self", bound)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The recorded result, or the function's own where the mode allows to call.

        Raises:
            CacheMiss: no such call is recorded and the mode forbids to call.
            TypeError: an argument or the result has no JSON form.

        """
        return self._start(self._call(args, kwargs), anew=False)

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The recorded result of a call; the function is never called, nor awaited.

        Raises:
            KeyError: no such call is recorded.

        """
        call = self._call(args, kwargs)
        response = call.binding.session.peek(call.request, call.scope)
        if response is None:
            raise KeyError(f"{self._path} is not recorded with these arguments")
        return self._rebuilt(response.body)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function and store its result as a new take.

        Raises:
            ConfigError: the mode is REPLAY, or the test's recordings are locked.

        """
        call = self._call(args, kwargs)
        said = call.binding.session.settings.mode_said
        source = f"{self._path}.refresh()"
        if said.mode is Mode.REPLAY:
            raise ConfigError(
                f"the mode is replay ({said.source}), which never calls; "
                "run it with CAS_LLM_MODE=fallback",
                source=source,
            )
        if call.scope.locked:
            raise ConfigError(f"the recordings of {call.scope.name} are locked", source=source)
        return self._start(call, anew=True)

    @functools.cached_property
    def _path(self) -> str:
        return f"{_module_of(self._function)}:{self._function.__qualname__}"

    @functools.cached_property
    def _rebuild(self) -> Callable[[Any], Any] | None:
        try:
            return values.rebuilder(values.return_annotation(self._function))
        except TypeError as error:
            raise TypeError(f"{self._path}: its return annotation {error}") from None

    def _explicit_of(self) -> Explicit:
        if self._explicit is None:
            self._explicit = Explicit(source=f"@cached {self._path}")
        return self._explicit

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        args = (*self._bound, *args)
        self._rebuild  # noqa: B018 - what can't be rebuilt later must not be called now
        query = urlencode([("version", self._version)] if self._version else [])
        headers = ((policy.NAMESPACE_HEADER, self._namespace),) if self._namespace else ()
        request = Request(
            "CALL",
            f"python:{self._path}{query and '?'}{query}",
            headers,
            json.dumps(self._arguments(args, kwargs), ensure_ascii=False).encode(
                "utf-8", "surrogatepass"
            ),
        )
        return _Call(request, self._explicit_of().binding(), args, kwargs)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found = {}
        for name, value in bound.arguments.items():
            if name in self._ignore:
                continue
            many = self._signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            try:
                found[name] = values.tagged(list(value) if many else value, f"argument {name!r}")
            except values.NotJSON as error:
                raise TypeError(
                    f"{self._path}: {error}; arguments must be JSON values, dataclasses or "
                    f"pydantic models. Pass one, or keep it out of the key: "
                    f"@cached(ignore=[{name!r}])"
                ) from None
        return found

    def _start(self, call: _Call, *, anew: bool) -> R:
        return self._run_async(call, anew=anew) if self._is_async else self._run(call, anew=anew)  # type: ignore[return-value]

    def _run(self, call: _Call, *, anew: bool) -> Any:
        self._refuse_circle(call)
        action = call.begin(anew=anew)
        while isinstance(action, Wait):
            while not action.over():
                time.sleep(_WAIT_SECONDS)
            action = action.again()
        if isinstance(action, Serve):
            return self._served(call, action)
        forward = cast("Forward", action)
        with _body(call, forward) as inner:
            result = self._function(*call.args, **call.kwargs)
            self._heard(forward, result)
        forward.recorder.end()
        call.scope.enclose(forward.key, inner)
        return result

    async def _run_async(self, call: _Call, *, anew: bool) -> Any:
        self._refuse_circle(call)
        action = call.begin(anew=anew)
        while isinstance(action, Wait):
            while not action.over():
                await pause(_WAIT_SECONDS)
            action = action.again()
        if isinstance(action, Serve):
            return self._served(call, action)
        forward = cast("Forward", action)
        with _body(call, forward) as inner:
            result = await cast("Any", self._function(*call.args, **call.kwargs))
            self._heard(forward, result)
        await in_thread(forward.recorder.end)
        call.scope.enclose(forward.key, inner)
        return result

    def _refuse_circle(self, call: _Call) -> None:
        """A call that waits for its own result would wait for ever."""
        if call.request in _running.get():
            raise RecursionError(f"{self._path} calls itself with the same arguments")

    def _served(self, call: _Call, serve: Serve) -> Any:
        if serve.mark.outcome == "hit":
            return self._rebuilt(serve.response.body)
        problem = next(p for p in reversed(call.scope.problems) if p.key == serve.mark.key)
        raise misses.error_for([problem])

    def _heard(self, forward: Forward, result: Any) -> None:
        """Tell the recorder of *result*, once it is sure that a hit would give the same."""
        rebuild = self._rebuild
        try:
            stored = values.dumped(result, "the result", rebuilt=rebuild is not None)
        except values.NotJSON as error:
            hint = "" if rebuild else "; say what it is by the function's return annotation"
            self._refuse_result(f"{error}{hint}")
        if rebuild is not None:
            again = rebuild(json.loads(json.dumps(stored)))
            if values.tagged(again, "it") != values.tagged(result, "the result"):
                self._refuse_result(
                    f"the result is {result!r:.200}, of which a hit would make {again!r:.200}"
                )
        text = json.dumps(stored, ensure_ascii=False)
        forward.recorder.head(200, _JSON)
        forward.recorder.chunk(text.encode("utf-8", "surrogatepass"))

    def _refuse_result(self, reason: str) -> NoReturn:
        raise TypeError(
            f"{self._path}: {reason}. Results are JSON values, or dataclasses and pydantic models "
            "that the return annotation names; nothing was stored"
        )

    def _rebuilt(self, body: bytes) -> Any:
        stored = json.loads(body)
        if self._rebuild is None:
            return stored
        try:
            return self._rebuild(stored)
        except ValueError as error:  # pydantic's validation error is one
            raise TypeError(
                f"{self._path}: the recorded result does not fit the return annotation any more; "
                f"record it anew: refresh(...), or @cached(version=...)\n{error}"
            ) from error


@contextlib.contextmanager
def _body(call: _Call, forward: Forward) -> Iterator[Scope]:
    """What a live body asks of providers is counted in a scope of its own."""
    inner = call.scope.body()
    token = enter(Binding(call.binding.session, inner))
    running = _running.set(_running.get() | {call.request})
    try:
        yield inner
    except BaseException as error:
        forward.recorder.fail(error)
        raise
    finally:
        _running.reset(running)
        leave(token)


def _check(function: Callable[..., Any], ignore: tuple[str, ...]) -> None:
    name = getattr(function, "__qualname__", None)
    if not callable(function) or name is None:
        raise TypeError(f"@cached wraps a function, not {function!r}; put it below @staticmethod")
    if name.endswith("<lambda>"):
        raise TypeError("@cached needs a function with a name; all lambdas of a module share one")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"@cached {name}: a generator has no result to record; return a list")
    known = inspect.signature(function).parameters
    for unknown in [word for word in ignore if word not in known]:
        raise TypeError(
            f"@cached {name}: ignore names {unknown!r}, but it takes {', '.join(known) or 'none'}"
        )


def _module_of(function: Callable[..., Any]) -> str:
    """The module's name; for a script its path, as all scripts call themselves alike."""
    if function.__module__ != "__main__":
        return function.__module__
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return str(spec.name)
    code = getattr(inspect.unwrap(function), "__code__", None)
    path = Path(code.co_filename if code else "").absolute()
    if not path.is_file():
        return "__main__"
    top = git_root(path.parent) or path.parent
    return ".".join(path.relative_to(top).with_suffix("").parts)
