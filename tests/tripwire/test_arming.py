"""Arming and disarming: what is asked, in which order, and what is left behind."""

import asyncio.base_events
import asyncio.sslproto
import contextlib
import http.client
import importlib
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from cas_llm import tripwire
from cas_llm.errors import LiveCallBlocked

aiohttp_connector = pytest.importorskip("aiohttp.connector")
pycares = pytest.importorskip("pycares")
uvloop = pytest.importorskip("uvloop")

PROVIDER = "api.openai.com"
PATCHED = [
    (socket, ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"]),
    (socket.socket, ["connect", "connect_ex"]),
    (asyncio.base_events.BaseEventLoop, ["create_connection"]),
    (uvloop.Loop, ["getaddrinfo", "create_connection"]),
    (ssl.SSLContext, ["wrap_socket", "wrap_bio"]),
    (ssl.SSLSocket, ["send", "write"]),
    (ssl.SSLObject, ["write"]),
    (asyncio.sslproto._SSLProtocolTransport, ["write", "writelines"]),
    (http.client.HTTPConnection, ["putrequest", "set_tunnel"]),
    (pycares.Channel, ["getaddrinfo", "query", "search"]),
    (aiohttp_connector.BaseConnector, ["connect"]),
]


def state():
    """What each patched owner itself holds under each name, and the code of each function."""
    held = [(owner, name, vars(owner).get(name)) for owner, names in PATCHED for name in names]
    codes = [getattr(found, "__code__", None) for _, _, found in held]
    return held, codes, list(sys.meta_path)


def same(before, after):
    pairs = zip(before[0], after[0], strict=True)
    return all(one[2] is two[2] for one, two in pairs) and before[1:] == after[1:]


def test_disarming_restores_every_attribute(refuse):
    """After the last guard every attribute, inherited or own, is the very object it was."""
    before = state()
    guard = refuse(PROVIDER)
    armed = state()
    assert all(
        one[2] is not two[2] or armed[1][at] is not before[1][at]
        for at, (one, two) in enumerate(zip(before[0], armed[0], strict=True))
    )
    tripwire.disarm(guard)
    assert same(before, state())


def test_arming_twice_is_arming_once(refuse):
    """A guard stands in the stack once, and one disarm takes it off."""
    before = state()
    guard = refuse(PROVIDER)
    tripwire.arm(guard)
    tripwire.disarm(guard)
    tripwire.disarm(guard)
    assert same(before, state())


def test_a_patch_made_over_the_tripwire_is_left_alone(refuse, monkeypatch):
    """What another tool put on top stays when the guard goes, and calls through afterwards."""
    guard = refuse(PROVIDER)
    wrapped = socket.getaddrinfo

    def above(*args, **kwargs):
        return wrapped(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", above)
    tripwire.disarm(guard)
    assert socket.getaddrinfo is above
    assert socket.getaddrinfo("localhost", 80)
    monkeypatch.undo()
    assert socket.getaddrinfo("localhost", 80)
    # The wrapper stays until the process ends and asks nobody; the next tests get the real one.
    socket.getaddrinfo = wrapped.__wrapped__


def test_the_innermost_guard_is_asked_first_and_all_must_agree(refuse, names):
    """Guards stack: one refusal is enough, and an inner one spares the outer the question."""
    outer, inner = refuse("example.com"), refuse(PROVIDER)
    with pytest.raises(LiveCallBlocked):
        socket.getaddrinfo(PROVIDER, 443)
    assert (len(inner.asked), len(outer.asked)) == (1, 0)
    with pytest.raises(LiveCallBlocked):
        socket.getaddrinfo("example.com", 443)
    assert outer.asked == inner.asked[1:] == [("example.com", 443, "name look-up")]
    tripwire.disarm(outer)
    assert socket.getaddrinfo("example.com", 443)


def test_a_host_is_compared_in_plain_form(refuse, names):
    """Case, a final dot and bytes are one host."""
    refuse(PROVIDER)
    for spelling in ("API.OpenAI.com", f"{PROVIDER}.", PROVIDER.encode()):
        with pytest.raises(LiveCallBlocked) as caught:
            socket.getaddrinfo(spelling, 443)
        assert caught.value.host == PROVIDER


def test_allowed_holds_for_that_host_in_every_thread_until_the_last_block_ends(refuse, names):
    """Blocks are counted, so that two overlapping calls don't end each other's."""
    refuse(PROVIDER, "example.com")
    first, second = tripwire.allowed(PROVIDER), tripwire.allowed(PROVIDER.upper())
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    thread = threading.Thread(target=socket.getaddrinfo, args=(PROVIDER, 443))
    thread.start()
    thread.join()
    with pytest.raises(LiveCallBlocked):
        socket.getaddrinfo("example.com", 443)
    second.__exit__(None, None, None)
    with pytest.raises(LiveCallBlocked):
        socket.getaddrinfo(PROVIDER, 443)
    assert names == [PROVIDER]


def test_attempts_are_logged_and_bounded(refuse, names):
    """Each refusal is an entry, what passes is one entry, and the log keeps the last thousand."""
    refuse(PROVIDER)
    here = threading.current_thread().name
    for _ in range(3):
        socket.getaddrinfo("example.com", 443)
    assert tripwire.attempts() == (tripwire.Attempt("example.com", "name look-up", here),)
    for _ in range(1005):
        with pytest.raises(LiveCallBlocked):
            socket.getaddrinfo(PROVIDER, 443)
    assert len(tripwire.attempts()) == 1000
    assert {str(attempt) for attempt in tripwire.attempts()} == {
        f"name look-up to {PROVIDER} in thread {here}: refused"
    }


def test_a_swallowed_refusal_is_in_the_log(refuse, names):
    """A library that catches everything can't hide the attempt."""
    refuse(PROVIDER)
    with contextlib.suppress(Exception):
        socket.getaddrinfo(PROVIDER, 443)
    assert [attempt.refusal for attempt in tripwire.attempts()] == [
        f"cas-llm: replay: name look-up to {PROVIDER} refused"
    ]


def test_a_refusal_is_not_an_os_error(refuse, names):
    """HTTP libraries retry an OSError, or wait for a time-out."""
    refuse(PROVIDER)
    with pytest.raises(LiveCallBlocked) as caught:
        socket.getaddrinfo(PROVIDER, 443)
    assert not isinstance(caught.value, OSError)


@pytest.mark.parametrize("name", ["pycares", "aiohttp.connector", "ssl", "http.client"])
def test_a_module_imported_later_is_patched_on_import(name):
    """Arming imports nothing; a watched module is patched when its import ends, and restored."""
    program = f"""
import sys
from cas_llm import tripwire
class Nobody:
    def judge(self, host, port, how): return None
guard = Nobody()
tripwire.arm(guard)
assert {name!r} not in sys.modules, "imported by the tripwire"
import {name} as module
owner = {{"pycares": "Channel", "aiohttp.connector": "BaseConnector", "ssl": "SSLContext",
         "http.client": "HTTPConnection"}}[{name!r}]
method = {{"pycares": "query", "aiohttp.connector": "connect", "ssl": "wrap_bio",
          "http.client": "putrequest"}}[{name!r}]
patched = vars(getattr(module, owner))[method]
assert "exec_module" not in vars(module.__loader__)
tripwire.disarm(guard)
assert vars(getattr(module, owner))[method] is patched.__wrapped__
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_reload_is_patched_again(refuse, monkeypatch):
    """A second import of a watched module makes new classes, which are patched too."""
    refuse(PROVIDER)
    monkeypatch.setattr(http, "client", http.client)  # the import replaces both
    monkeypatch.delitem(sys.modules, "http.client")
    fresh = importlib.import_module("http.client")
    with pytest.raises(LiveCallBlocked):
        fresh.HTTPConnection(PROVIDER).request("GET", "/")


def test_an_armed_guard_costs_microseconds(refuse):
    """A connect costs little more with a guard: measured, with a generous limit."""

    def seconds():
        begun = time.perf_counter()
        for _ in range(50):
            socket.create_connection(listener.getsockname()).close()
        return time.perf_counter() - begun

    with socket.create_server(("127.0.0.1", 0), backlog=500) as listener:
        plain = min(seconds() for _ in range(3))
        refuse(PROVIDER)
        guarded = min(seconds() for _ in range(3))
    assert guarded - plain < 50 * 0.0005
