"""Which session and scope a request belongs to, in any thread, task or executor.

A binding is found in this order: the running context (a ``use()`` block), the thread (it inherits
from whoever started it), and else the process's newest open one. A binding whose scope is closed
is passed over, so that a pool's old thread works for whoever gives it work now.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cas_llm.session import Session
    from cas_llm.session.scopes import Scope

_ATTRIBUTE = "_cas_llm_binding"


@dataclass(eq=False)
class Binding:
    """A session with the scope its requests are counted in; `closed` once its user is done."""

    session: Session
    scope: Scope
    closed: bool = False

    @property
    def open(self) -> bool:
        """Whether requests may still be counted here."""
        return not (self.closed or self.scope.closed)


_context: ContextVar[Binding | None] = ContextVar("cas_llm_binding", default=None)
_stack: list[Binding | None] = []
_lock = threading.Lock()


def current() -> Binding | None:
    """The binding that holds here, or None where cas-llm was not asked for."""
    binding = _context.get()
    if binding is not None and binding.open:
        return binding
    inherited: Binding | None = threading.current_thread().__dict__.get(_ATTRIBUTE)
    if inherited is not None and inherited.open:
        return inherited
    # A test's binding stays on the stack for a moment after its scope is closed.
    return next((b for b in reversed(_stack[:]) if b is None or b.open), None)


def push(binding: Binding | None) -> None:
    """Make *binding* the process's own, for all that has no nearer one.

    None switches off what was pushed before, until it is popped.
    """
    with _lock:
        _stack.append(binding)
        if len(_stack) == 1:
            _inherit()


def pop(binding: Binding | None) -> None:
    """Take *binding* back; the one before it holds again."""
    if binding is not None:
        binding.closed = True
    with _lock:
        if binding in _stack:
            # The newest one: `None` may stand there more than once.
            del _stack[len(_stack) - 1 - _stack[::-1].index(binding)]
            if not _stack:
                _stop_inheriting()


def enter(binding: Binding) -> Token[Binding | None]:
    """Make *binding* the running context's own."""
    return _context.set(binding)


def leave(token: Token[Binding | None]) -> None:
    """Undo `enter`."""
    try:
        _context.reset(token)
    except ValueError:
        # Entered in one task and left in another, as async generators' fixtures do.
        _context.set(None)


_start: Any = threading.Thread.start
_submit: Any = ThreadPoolExecutor.submit


def _inherit() -> None:
    @functools.wraps(_start)
    def start(thread: threading.Thread) -> None:
        binding = current()
        if binding is not None:
            thread.__dict__.setdefault(_ATTRIBUTE, binding)
        _start(thread)

    @functools.wraps(_submit)
    def submit(
        pool: ThreadPoolExecutor, call: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        binding = current()
        if binding is None:
            future: Future[Any] = _submit(pool, call, *args, **kwargs)
            return future

        def run(*inner: Any, **named: Any) -> Any:
            token = _context.set(binding)
            try:
                return call(*inner, **named)
            finally:
                _context.reset(token)

        future = _submit(pool, run, *args, **kwargs)
        return future  # noqa: RET504

    for owner, name, replacement in (
        (threading.Thread, "start", start),
        (ThreadPoolExecutor, "submit", submit),
    ):
        setattr(owner, name, replacement)


def _stop_inheriting() -> None:
    for owner, name, original in (
        (threading.Thread, "start", _start),
        (ThreadPoolExecutor, "submit", _submit),
    ):
        setattr(owner, name, original)
