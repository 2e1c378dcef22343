"""Every road from Python to a provider; each fails unless it leads to an answer."""

import asyncio
import contextlib
import http.client
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import httpx
import requests
import trio
import uvloop
from support.loopback import PROVIDER

LINE = f"GET /v1/models HTTP/1.1\r\nHost: {PROVIDER}\r\n\r\n".encode()


class Trip:
    """What a road needs to know: the URL, the port, whom to trust."""

    def __init__(self, provider, trust, certificate, host=PROVIDER):
        self.port, self.trust, self.ca, self.host = provider.port, trust, str(certificate[0]), host
        self.url = f"https://{host}:{provider.port}/v1/models"


def by_urllib(trip):
    with urllib.request.urlopen(trip.url, context=trip.trust, timeout=5) as answer:
        assert answer.status == 200


def by_requests(trip):
    with requests.Session() as session:
        assert session.get(trip.url, verify=trip.ca, timeout=5).status_code == 200


def by_http_client(trip):
    connection = http.client.HTTPSConnection(trip.host, trip.port, context=trip.trust, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/v1/models")
        assert connection.getresponse().status == 200


def by_raw_socket(trip):
    with (
        socket.create_connection((trip.host, trip.port), timeout=5) as raw,
        trip.trust.wrap_socket(raw, server_hostname=trip.host) as tls,
    ):
        tls.sendall(LINE)
        assert tls.recv(12) == b"HTTP/1.1 200"


def by_gethostbyname(trip):
    with socket.socket() as plain:
        plain.settimeout(5)
        plain.connect((socket.gethostbyname(trip.host), trip.port))
        plain.sendall(LINE)
        assert plain.recv(12) == b"HTTP/1.1 200"


def by_httpx(trip):
    with httpx.Client(verify=trip.trust) as client:
        assert client.get(trip.url).status_code == 200


async def httpx_async(trip):
    async with httpx.AsyncClient(verify=trip.trust) as client:
        assert (await client.get(trip.url)).status_code == 200


async def aiohttp_threaded(trip):
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver(), ssl=trip.trust)
    async with aiohttp.ClientSession(connector=connector) as client, client.get(trip.url) as answer:
        assert answer.status == 200


async def streams(trip):
    reader, writer = await asyncio.open_connection(trip.host, trip.port, ssl=trip.trust)
    writer.write(LINE)
    assert await reader.read(12) == b"HTTP/1.1 200"
    writer.close()
    await writer.wait_closed()


async def trio_streams(trip):
    stream = await trio.open_ssl_over_tcp_stream(trip.host, trip.port, ssl_context=trip.trust)
    async with stream:
        await stream.send_all(LINE)
        assert (await stream.receive_some(12)) == b"HTTP/1.1 200"


def by_thread_pool(trip):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(by_urllib, trip).result()


ROADS = {
    "urllib": by_urllib,
    "requests": by_requests,
    "http.client": by_http_client,
    "raw socket": by_raw_socket,
    "gethostbyname": by_gethostbyname,
    "httpx": by_httpx,
    "httpx on asyncio": lambda trip: asyncio.run(httpx_async(trip)),
    "aiohttp": lambda trip: asyncio.run(aiohttp_threaded(trip)),
    "asyncio streams": lambda trip: asyncio.run(streams(trip)),
    "trio": lambda trip: trio.run(trio_streams, trip),
    "thread pool": by_thread_pool,
}

# uvloop resolves in C, out of a test's reach, so that these go to a name the machine knows.
LOCALHOST_ROADS = {
    "httpx on uvloop": lambda trip: uvloop.run(httpx_async(trip)),
    "aiohttp on uvloop": lambda trip: uvloop.run(aiohttp_threaded(trip)),
    "streams on uvloop": lambda trip: uvloop.run(streams(trip)),
}


def pooled(name, trip, stack):
    if name == "requests":
        session = stack.enter_context(requests.Session())
        return lambda: session.get(trip.url, verify=trip.ca, timeout=5).raise_for_status()
    if name == "httpx":
        client = stack.enter_context(httpx.Client(verify=trip.trust))
        return lambda: client.get(trip.url).raise_for_status()
    if name == "http.client":
        connection = http.client.HTTPSConnection(trip.host, trip.port, context=trip.trust)
        stack.callback(connection.close)

        def ask():
            connection.request("GET", "/v1/models")
            connection.getresponse().read()

        return ask
    raw = stack.enter_context(socket.create_connection((trip.host, trip.port)))
    tls = stack.enter_context(trip.trust.wrap_socket(raw, server_hostname=trip.host))

    def send():
        tls.sendall(LINE)
        assert b"200" in tls.recv(4096)

    return send


async def async_pooled(client, trip, stack):
    if client == "httpx":
        httpx_client = await stack.enter_async_context(httpx.AsyncClient(verify=trip.trust))

        async def get():
            (await httpx_client.get(trip.url)).raise_for_status()

        return get
    if client == "aiohttp":
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver(), ssl=trip.trust)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

        async def fetch():
            async with session.get(trip.url) as answer:
                await answer.read()

        return fetch
    reader, writer = await asyncio.open_connection(trip.host, trip.port, ssl=trip.trust)
    stack.callback(writer.close)

    async def send():
        writer.write(LINE)
        assert await asyncio.wait_for(reader.read(4096), 5)

    return send
