"""Which session a request belongs to: context, thread, process."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cas_llm.session import Scope
from cas_llm.session.bindings import Binding, current, enter, leave, pop, push


@pytest.fixture
def opened():
    """``opened()`` pushes and enters a binding; what is still open is closed in the end."""
    stack = []

    def make():
        binding = Binding(None, Scope())
        push(binding)
        stack.append((binding, enter(binding)))
        return binding

    yield make
    for binding, token in reversed(stack):
        leave(token)
        pop(binding)


def in_thread(work):
    """What *work* gives in a bare thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(5)
    return found[0]


def test_without_a_block_nothing_holds():
    """And threads are started as ever."""
    start = threading.Thread.start
    assert current() is None
    assert in_thread(current) is None
    assert threading.Thread.start is start


def test_the_innermost_block_holds(opened):
    """In the thread that opened it."""
    opened()
    inner = opened()
    assert current() is inner


def test_a_thread_belongs_to_whoever_started_it(opened):
    """Also after another block was opened elsewhere meanwhile."""
    outer, go = opened(), threading.Event()
    found = []
    thread = threading.Thread(target=lambda: (go.wait(5), found.append(current())))
    thread.start()
    opened()
    go.set()
    thread.join(5)
    assert found == [outer]


def test_a_thread_started_by_a_thread_inherits(opened):
    """Down the generations."""
    binding = opened()
    opened_later = []

    def work():
        opened_later.append(in_thread(current))
        return current()

    assert in_thread(work) is binding
    assert opened_later == [binding]


def test_a_pools_old_thread_works_for_whoever_gives_it_work():
    """Its first user's block is over; the second user's holds."""
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            binding = Binding(None, Scope())
            push(binding)
            token = enter(binding)
            assert pool.submit(current).result() is binding
            leave(token)
            pop(binding)
        assert pool.submit(current).result() is None


def test_a_pools_stale_thread_falls_back_to_the_process(opened):
    """A thread that still runs after its block ended belongs to what the process has open."""
    outer = opened()
    first = Binding(None, Scope())
    push(first)
    token = enter(first)
    go, found = threading.Event(), []
    thread = threading.Thread(target=lambda: (go.wait(5), found.append(current())))
    thread.start()
    leave(token)
    pop(first)
    go.set()
    thread.join(5)
    assert found == [outer]


def test_a_closed_scope_is_passed_over(opened):
    """A test's scope that ended serves nobody, even where its binding is still around."""
    outer = opened()
    inner = opened()
    inner.scope.closed = True
    assert current() is outer
    assert in_thread(current) is outer


async def test_a_task_belongs_to_the_block_it_was_made_in(opened):
    """Context goes with it, also after the block's own task left it."""
    outer = opened()

    async def inside():
        inner = Binding(None, Scope())
        push(inner)
        token = enter(inner)
        await asyncio.sleep(0.01)
        found = current()
        leave(token)
        pop(inner)
        return found is inner

    assert all(await asyncio.gather(inside(), inside(), inside()))
    assert current() is outer


async def test_an_executor_call_belongs_to_its_submitter(opened):
    """`run_in_executor` and `to_thread`."""
    binding = opened()
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, current) is binding
    assert await asyncio.to_thread(current) is binding


def test_none_switches_off_until_it_is_taken_back(opened):
    """A test that is left alone inside a session."""
    binding = Binding(None, Scope())
    push(binding)
    push(None)
    assert current() is None
    pop(None)
    assert current() is binding
    pop(binding)


def test_leaving_in_another_context_is_no_error(opened):
    """Async generators' fixtures are set up in one task and torn down in another."""
    import contextvars

    binding = Binding(None, Scope())
    push(binding)
    token = contextvars.copy_context().run(enter, binding)
    leave(token)
    pop(binding)
    assert current() is None


def test_the_last_block_gives_threads_back(opened):
    """Thread.start and ThreadPoolExecutor.submit are the very same functions again."""
    before = threading.Thread.start, ThreadPoolExecutor.submit
    binding = Binding(None, Scope())
    push(binding)
    assert (threading.Thread.start, ThreadPoolExecutor.submit) != before
    pop(binding)
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == before
