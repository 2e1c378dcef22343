"""Every road from Python to a provider: it leads there unguarded, and is refused when guarded."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading

import pytest

from cas_llm import tripwire
from cas_llm.errors import LiveCallBlocked
from cas_llm.tripwire import arming

aiohttp = pytest.importorskip("aiohttp")
aiodns = pytest.importorskip("aiodns")
httpx = pytest.importorskip("httpx")
requests = pytest.importorskip("requests")
uvloop = pytest.importorskip("uvloop")
pytest.importorskip("trio")

from support.loopback import PROVIDER  # noqa: E402 - its libraries were asked for above
from support.roads import (  # noqa: E402
    LINE,
    LOCALHOST_ROADS,
    ROADS,
    Trip,
    async_pooled,
    by_requests,
    by_urllib,
    pooled,
    streams,
)

every_road = pytest.mark.parametrize(
    ("host", "road"),
    [pytest.param(PROVIDER, road, id=name) for name, road in ROADS.items()]
    + [pytest.param("localhost", road, id=name) for name, road in LOCALHOST_ROADS.items()],
)


@pytest.fixture
def trip(provider, trust, certificate, names):
    return Trip(provider, trust, certificate)


@every_road
def test_an_unguarded_road_leads_to_the_provider(
    host, road, provider, trust, certificate, names, refuse
):
    """A guard that agrees lets every road through: the refusals below are the guard's doing."""
    refuse("another.example.com")
    road(Trip(provider, trust, certificate, host))
    assert len(provider.requests) == 1


@every_road
def test_a_guarded_road_is_refused_at_once(
    host, road, provider, trust, certificate, names, refuse, calls
):
    """The explanation comes out of the library, no name is looked up, no connection is made."""
    refuse(host)
    refusal = calls(lambda: road(Trip(provider, trust, certificate, host)))
    assert refusal.host == host
    assert (names, provider.connections, provider.requests) == ([], 0, [])
    assert tripwire.attempts()[-1].refusal == str(refusal)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("above", [True, False], ids=["whole", "without the aiohttp patch"])
def test_aiohttp_with_aiodns_is_refused(
    run, above, provider, trust, certificate, dns, refuse, calls, monkeypatch
):
    """A resolver that never asks the socket module asks the guard."""
    if not above:
        monkeypatch.delitem(arming.PATCHES.table, "aiohttp.connector")
    trip = Trip(provider, trust, certificate)

    async def call():
        resolver = aiohttp.AsyncResolver(nameservers=["127.0.0.1"], udp_port=dns.port)
        connector = aiohttp.TCPConnector(resolver=resolver, ssl=trust)
        session = aiohttp.ClientSession(connector=connector)
        async with session as client, client.get(trip.url) as answer:
            assert answer.status == 200
        await resolver.close()

    run(call())
    assert (len(provider.requests), len(dns.questions) > 0) == (1, True)
    provider.requests.clear()
    dns.questions.clear()
    refuse(PROVIDER)
    refusal = calls(lambda: run(call()))
    assert refusal.how == ("HTTP request" if above else "name look-up")
    assert (provider.requests, dns.questions) == ([], [])


@pytest.mark.parametrize("proxied", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("name", ["urllib", "requests", "httpx", "httpx on asyncio"])
def test_a_proxy_does_not_hide_the_provider(
    name, proxied, trip, provider, names, refuse, calls, monkeypatch
):
    """With HTTPS_PROXY nobody looks the provider up, and it is refused all the same."""
    monkeypatch.setenv(proxied, f"http://127.0.0.1:{provider.port}")
    ROADS[name](trip)
    assert (provider.tunnels, len(provider.requests)) == ([f"{PROVIDER}:{trip.port}"], 1)
    refuse(PROVIDER)
    calls(lambda: ROADS[name](trip))
    assert (names, len(provider.requests)) == ([], 1)


def test_a_plain_text_proxy_is_not_sent_the_request(trip, provider, refuse, calls):
    """A proxy for http:// is sent the whole URL, in which the provider is seen."""
    proxies = {"http": f"http://127.0.0.1:{provider.port}"}
    url = trip.url.replace("https", "http")
    with requests.Session() as session:
        assert session.get(url, proxies=proxies, timeout=5).status_code == 200
        refuse(PROVIDER)
        calls(lambda: session.get(url, proxies=proxies, timeout=5))
    assert len(provider.requests) == 1


def test_aiohttp_through_a_proxy_is_refused(trip, provider, refuse, calls, monkeypatch):
    """TLS set-up inside the tunnel is judged by the server name."""
    monkeypatch.delitem(arming.PATCHES.table, "aiohttp.connector")
    refuse(PROVIDER)

    async def call():
        connector = aiohttp.TCPConnector(ssl=trip.trust)
        async with aiohttp.ClientSession(connector=connector) as client:
            await client.get(trip.url, proxy=f"http://127.0.0.1:{provider.port}")

    assert calls(lambda: asyncio.run(call())).how == "TLS set-up"
    assert provider.requests == []


@pytest.mark.parametrize("name", ["requests", "httpx", "http.client", "raw"])
def test_a_connection_pooled_before_the_guard_is_refused(name, trip, provider, refuse, calls):
    """A connection that is open already carries no second request."""
    with contextlib.ExitStack() as stack:
        again = pooled(name, trip, stack)
        again()
        refuse(PROVIDER)
        calls(again)
    assert (provider.connections, len(provider.requests)) == (1, 1)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("client", ["httpx", "aiohttp", "streams"])
def test_an_async_connection_pooled_before_the_guard_is_refused(
    run, client, provider, trust, certificate, names, refuse, calls
):
    """The same on event loops, also where the TLS layer bound its write method before."""
    trip = Trip(provider, trust, certificate, "localhost")

    async def call():
        async with contextlib.AsyncExitStack() as stack:
            again = await async_pooled(client, trip, stack)
            await again()
            refuse("localhost")
            await again()

    calls(lambda: run(call()))
    assert (provider.connections, len(provider.requests)) == (1, 1)


def test_a_thread_is_refused(trip, provider, names, refuse, monkeypatch):
    """A bare thread gets the refusal, and the log names the thread."""
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda about: raised.append(about.exc_value))
    refuse(PROVIDER)
    thread = threading.Thread(target=by_requests, args=(trip,), name="worker-7")
    thread.start()
    thread.join(5)
    assert isinstance(raised[0], LiveCallBlocked)
    assert tripwire.attempts()[-1].thread == "worker-7"
    assert provider.connections == 0


def test_an_address_is_known_by_the_name_it_was_looked_up_for(refuse, calls, monkeypatch):
    """A connect to an address is judged by the look-up let through before."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.7", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    refuse("nobody.example.com")
    with tripwire.allowed(PROVIDER):
        socket.getaddrinfo(PROVIDER, 443)
    refuse(PROVIDER)
    with socket.socket() as plain:
        refusal = calls(lambda: plain.connect_ex(("198.51.100.7", 443)))
    assert (refusal.host, refusal.how) == (PROVIDER, "connect")


def test_an_address_shared_with_another_host_is_left_to_tls(refuse, monkeypatch):
    """Two names on one address of a content network: the connect may be for the harmless one."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.7", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    monkeypatch.setattr(socket.socket, "connect", lambda _self, _address: None, raising=False)
    refuse(PROVIDER)
    with tripwire.allowed(PROVIDER):
        socket.getaddrinfo(PROVIDER, 443)
    socket.getaddrinfo("example.com", 443)
    with socket.socket() as plain:
        plain.connect(("198.51.100.7", 443))


def test_an_address_itself_can_be_refused(refuse, calls, provider):
    """A guard may name an IP literal."""
    refuse("127.0.0.1")
    calls(lambda: socket.create_connection(("127.0.0.1", provider.port)))
    with socket.socket() as plain:
        calls(lambda: plain.connect(("127.0.0.1", provider.port)))
    assert provider.connections == 0


def test_tls_set_up_is_judged_by_server_name(trust, refuse, calls, provider):
    """A connection by address that asks for the provider's certificate is the provider's."""
    refuse(PROVIDER)
    with socket.create_connection(("127.0.0.1", provider.port)) as raw:
        calls(lambda: trust.wrap_socket(raw, server_hostname=PROVIDER))
    calls(lambda: trust.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=PROVIDER))
    assert provider.requests == []


def test_a_server_of_the_test_is_no_attempt(certificate, refuse):
    """The server side of TLS is never judged."""
    guard = refuse(PROVIDER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert guard.asked == []


def test_a_unix_socket_is_no_attempt(tmp_path, refuse):
    """Addresses that hold no host pass untouched."""
    guard = refuse(PROVIDER)
    path = os.fspath(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    assert guard.asked == []


@pytest.mark.parametrize("road", [by_urllib, by_requests])
def test_a_proxy_is_not_asked_for_a_tunnel(road, trip, provider, refuse, calls, monkeypatch):
    """http.client is refused before CONNECT, so that the proxy doesn't reach out either."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{provider.port}")
    refuse(PROVIDER)
    calls(lambda: road(trip))
    assert provider.tunnels == []


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_is_refused_before_it_looks_up(run, trip, refuse, calls):
    """The loop's own create_connection asks, because its race of addresses swallows refusals."""
    refuse(PROVIDER)
    assert calls(lambda: run(streams(trip))).how == "connect"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_connecting_a_socket_is_refused(run, provider, refuse, calls):
    """`loop.sock_connect` to an address that is refused connects nothing, and is logged once."""
    refuse("127.0.0.1")

    async def call():
        with socket.socket() as plain:
            plain.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", provider.port))

    calls(lambda: run(call()))
    assert provider.connections == 0


def test_a_writer_of_a_pooled_connection_gets_the_refusal_itself(trip, provider, refuse, calls):
    """On asyncio the write raises; nothing has to be read to learn of it."""

    async def call():
        _, writer = await asyncio.open_connection(trip.host, trip.port, ssl=trip.trust)
        try:
            refuse(PROVIDER)
            writer.write(LINE)
        finally:
            writer.close()

    assert calls(lambda: asyncio.run(call())).how == "TLS write"
    assert provider.requests == []
