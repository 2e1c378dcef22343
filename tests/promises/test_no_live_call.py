"""In REPLAY no request reaches a provider: every road, with the session's own guard on it.

Names lead to a provider on loopback, so that a call that got through would be seen there.
"""

import asyncio
import contextlib
import multiprocessing
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

aiohttp = pytest.importorskip("aiohttp")
httpx = pytest.importorskip("httpx")
requests = pytest.importorskip("requests")
uvloop = pytest.importorskip("uvloop")
pytest.importorskip("aiodns")
pytest.importorskip("trio")

from support import children  # noqa: E402 - its libraries were asked for above
from support.loopback import (  # noqa: E402 - its libraries were asked for above
    PROVIDER,
    NameServer,
    lead_home,
    make_certificate,
    serving,
    without_proxies,
)
from support.roads import (  # noqa: E402
    LOCALHOST_ROADS,
    ROADS,
    Trip,
    async_pooled,
    by_urllib,
    pooled,
)

import cas_llm  # noqa: E402

ROOT = Path(cas_llm.__file__).parents[1]
SUPPORT = Path(__file__).parents[1] / "support"

loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Paths of a certificate for the provider's names, and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def provider(certificate, monkeypatch):
    """A provider over TLS; no proxy of the machine's own is between."""
    without_proxies(monkeypatch)
    server = serving(certificate)
    yield server
    server.close()


@pytest.fixture
def names(monkeypatch):
    """What was really looked up; every name leads to loopback."""
    return lead_home(monkeypatch)


@pytest.fixture
def trip(provider, certificate, names):
    """The way to the provider under its real name."""
    import ssl

    return Trip(provider, ssl.create_default_context(cafile=certificate[0]), certificate)


@pytest.fixture
def near(trip):
    """The way to it as localhost: uvloop resolves in C, out of a test's reach."""
    trip.host, trip.url = "localhost", f"https://localhost:{trip.port}/v1/models"
    return trip


@contextlib.contextmanager
def replaying(store, **options):
    """A block in REPLAY that must end with the explanation of what was refused in it."""
    with pytest.raises(cas_llm.CacheMiss) as ended, cas_llm.use("replay", store=store, **options):
        yield ended
    assert str(ended.value).startswith("cas-llm: ")


def refused(work, host=PROVIDER):
    """Run *work*, which must be refused with the explanation, and long before any time-out."""
    began = time.monotonic()
    with pytest.raises(cas_llm.LiveCallBlocked) as caught:
        work()
    assert time.monotonic() - began < 1
    text = str(caught.value)
    assert text.startswith("cas-llm: blocked")
    assert f" to {host}" in text
    assert "ignore_hosts in [tool.cas-llm]" in text
    assert caught.value.host == host


RECORDED = ("httpx", "aiohttp", "requests")
TRIPPED = [name for name in ROADS if not name.startswith(RECORDED)]


@pytest.mark.parametrize("name", TRIPPED)
def test_a_road_past_the_recorders_is_refused(name, trip, provider, names, store):
    """No name is looked up, no connection made; leaving the block says it again."""
    with replaying(store) as ended:
        refused(lambda: ROADS[name](trip))
    assert ended.value.misses[0].kind == "blocked"
    assert (names, provider.connections) == ([], 0)
    ROADS[name](trip)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("name", [name for name in ROADS if name.startswith(RECORDED)])
def test_a_road_with_a_recorder_is_a_miss(name, trip, provider, names, store):
    """The recorder answers before the tripwire has anything to judge, and before any look-up."""
    with replaying(store) as ended, pytest.raises(AssertionError):
        ROADS[name](trip)
    assert [miss.kind for miss in ended.value.misses] == ["not recorded"]
    assert (names, provider.connections) == ([], 0)
    ROADS[name](trip)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("name", [n for n in LOCALHOST_ROADS if not n.startswith(RECORDED)])
def test_uvloop_is_refused(name, near, provider, store):
    """A loop with sockets of its own."""
    with replaying(store, hosts=["localhost"]):
        refused(lambda: LOCALHOST_ROADS[name](near), "localhost")
    assert provider.connections == 0
    LOCALHOST_ROADS[name](near)
    assert len(provider.requests) == 1


@loops
def test_aiohttp_with_aiodns_is_a_miss(run, trip, provider, store):
    """A resolver that speaks DNS by itself is not asked."""
    server = NameServer()

    async def call():
        resolver = aiohttp.AsyncResolver(nameservers=["127.0.0.1"], udp_port=server.port)
        connector = aiohttp.TCPConnector(resolver=resolver, ssl=trip.trust)
        session = aiohttp.ClientSession(connector=connector)
        try:
            async with session as client, client.get(trip.url) as answer:
                return answer.status
        finally:
            await resolver.close()

    with contextlib.closing(server):
        with replaying(store):
            assert run(call()) == 424
        assert (server.questions, provider.connections) == ([], 0)
        assert run(call()) == 200
        assert len(provider.requests) == 1


def missed(response):
    """The response must be a miss that explains itself."""
    assert response.status_code == 424
    assert "cas-llm: not recorded" in response.text
    assert "Record it:" in response.text


async def get(trip):
    """A request through an async httpx client."""
    async with httpx.AsyncClient(verify=trip.trust) as client:
        return await client.get(trip.url)


def test_a_known_host_through_httpx_is_a_miss(trip, provider, names, store):
    """The recorder answers before the tripwire has anything to judge."""
    with replaying(store) as ended, httpx.Client(verify=trip.trust) as client:
        missed(client.get(trip.url))
    assert ended.value.misses[0].kind == "not recorded"
    assert (names, provider.connections) == ([], 0)


@loops
def test_a_known_host_through_async_httpx_is_a_miss(run, near, provider, store):
    """On uvloop, too."""
    with replaying(store, hosts=["localhost"]):
        missed(run(get(near)))
    assert provider.connections == 0


@pytest.mark.parametrize("name", ["http.client", "raw"])
def test_a_connection_pooled_before_replay_is_refused(name, trip, provider, store):
    """A connection that is open already carries no second request."""
    with contextlib.ExitStack() as stack:
        again = pooled(name, trip, stack)
        again()
        with replaying(store):
            refused(again)
    assert (provider.connections, len(provider.requests)) == (1, 1)


def test_a_connection_httpx_pooled_before_replay_is_not_used(trip, provider, store):
    """The recorder stands above the pool."""
    with httpx.Client(verify=trip.trust) as client:
        assert client.get(trip.url).status_code == 200
        with replaying(store):
            missed(client.get(trip.url))
    assert (provider.connections, len(provider.requests)) == (1, 1)


def test_a_connection_requests_pooled_before_replay_is_not_used(trip, provider, store):
    """The recorder stands above the connections of urllib3's pool."""
    with requests.Session() as session:
        assert session.get(trip.url, verify=trip.ca).status_code == 200
        with replaying(store):
            missed(session.get(trip.url, verify=trip.ca))
    assert (provider.connections, len(provider.requests)) == (1, 1)


@loops
def test_a_connection_aiohttp_pooled_before_replay_is_not_used(run, near, provider, store):
    """The recorder stands above the connector's pool."""

    async def call():
        async with contextlib.AsyncExitStack() as stack:
            again = await async_pooled("aiohttp", near, stack)
            await again()
            with replaying(store, hosts=["localhost"]) as ended:
                await again()
            assert [miss.kind for miss in ended.value.misses] == ["not recorded"]

    run(call())
    assert (provider.connections, len(provider.requests)) == (1, 1)


@loops
def test_an_async_connection_pooled_before_replay_is_refused(run, near, provider, store):
    """The same on event loops, where the TLS layer bound its write method long before."""

    async def call():
        async with contextlib.AsyncExitStack() as stack:
            again = await async_pooled("streams", near, stack)
            await again()
            with replaying(store, hosts=["localhost"]):
                began = time.monotonic()
                with pytest.raises(cas_llm.LiveCallBlocked, match="cas-llm: blocked"):
                    await again()
                assert time.monotonic() - began < 1

    run(call())
    assert (provider.connections, len(provider.requests)) == (1, 1)


@pytest.mark.parametrize("proxied", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_does_not_hide_the_provider(proxied, trip, provider, store, monkeypatch):
    """With HTTPS_PROXY nobody looks the provider up; it is refused all the same."""
    monkeypatch.setenv(proxied, f"http://127.0.0.1:{provider.port}")
    by_urllib(trip)
    with replaying(store):
        refused(lambda: by_urllib(trip))
    assert len(provider.requests) == 1


def test_requests_behind_a_proxy_is_a_miss(trip, provider, store, monkeypatch):
    """The proxy is not asked for a tunnel."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{provider.port}")
    with replaying(store), requests.Session() as session:
        missed(session.get(trip.url, verify=trip.ca))
    assert (provider.connections, provider.tunnels) == (0, [])


def test_httpx_behind_a_proxy_is_a_miss(trip, provider, store, monkeypatch):
    """The proxy's transport is a transport like any other."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{provider.port}")
    with replaying(store), httpx.Client(verify=trip.trust) as client:
        missed(client.get(trip.url))
    assert provider.connections == 0


def test_a_thread_is_refused(trip, provider, names, store, monkeypatch):
    """A bare thread; that its exception goes nowhere hides nothing."""
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda about: raised.append(about.exc_value))
    with replaying(store):
        thread = threading.Thread(target=by_urllib, args=(trip,))
        thread.start()
        thread.join(5)
    assert isinstance(raised[0], cas_llm.LiveCallBlocked)
    assert (names, provider.connections) == ([], 0)


def test_a_thread_started_before_replay_is_refused(trip, provider, store):
    """It inherits nothing, and belongs to the process's session all the same."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(by_urllib, trip).result()
        with replaying(store):
            refused(pool.submit(by_urllib, trip).result)
    assert len(provider.requests) == 1


def call_provider(url):
    """What a worker process does."""
    urllib.request.urlopen(url, timeout=5)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_worker_is_refused(trip, provider, store):
    """The refusal comes back through the pool, and to the block that forked."""
    with replaying(store), multiprocessing.get_context("fork").Pool(1) as pool:
        refused(lambda: pool.apply(call_provider, (trip.url,)))
    assert provider.connections == 0


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Children of this process read the .pth file's line, as they do where cas-llm is installed."""
    children.install(tmp_path / "site", monkeypatch)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_that_starts_anew_is_refused(method, store, installed):
    """It gets its patches and its session from the environment."""
    program = (
        "import multiprocessing, urllib.request, cas_llm\n"
        "if __name__ == '__main__':\n"
        f"    with cas_llm.use('replay', store={str(store)!r}):\n"
        f"        with multiprocessing.get_context({method!r}).Pool(1) as pool:\n"
        "            try:\n"
        f"                pool.apply(urllib.request.urlopen, ('https://{PROVIDER}/',))\n"
        "            except cas_llm.LiveCallBlocked as error:\n"
        "                print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.startswith("cas-llm: blocked"), done.stderr
    assert f"to {PROVIDER}" in done.stdout
    assert "cas_llm.errors.CacheMiss: cas-llm: blocked" in done.stderr
    assert "in child process" in done.stderr


def test_a_python_subprocess_is_refused(store, installed):
    """A program that knows nothing of cas-llm; the block that started it ends with a miss."""
    program = f"import urllib.request; urllib.request.urlopen('https://{PROVIDER}/', timeout=5)"
    with replaying(store) as ended:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert time.monotonic() - began < 10
    assert done.returncode == 1
    assert "LiveCallBlocked: cas-llm: blocked" in done.stderr
    assert "in child process" in ended.value.misses[0].what


def test_a_request_a_swallowing_app_hides_is_reported(trip, provider, store):
    """An app that catches everything still ends in a miss."""
    with replaying(store) as ended, contextlib.suppress(Exception):
        by_urllib(trip)
    assert ended.value.misses[0].kind == "blocked"


def test_a_live_connection_past_the_recorders_is_reported_in_fallback(trip, provider, store):
    """The call goes through and is not recorded: leaving the block says so, once."""
    with (
        pytest.raises(cas_llm.CacheMiss, match="unseen") as ended,
        cas_llm.use("fallback", store=store) as session,
    ):
        by_urllib(trip)
    assert len(provider.requests) == 1
    assert [miss.kind for miss in ended.value.misses] == ["unseen"]
    assert PROVIDER in ended.value.misses[0].what
    assert session.runtime.log.blocked == 0


def test_a_recorded_live_call_is_no_unseen_one(trip, provider, store):
    """What the recorder sends is let through: connecting, TLS and keep-alive."""
    with cas_llm.use("fallback", store=store), httpx.Client(verify=trip.trust) as client:
        for path in ("models", "models/x"):
            assert client.get(trip.url.replace("models", path)).status_code == 200
    assert len(provider.requests) == 2


@pytest.mark.parametrize("name", ["requests", "aiohttp"])
def test_a_live_call_of_another_recorded_library_is_no_unseen_one(name, trip, provider, store):
    """The same for urllib3's connections and aiohttp's; after it the host is watched again."""
    with cas_llm.use("fallback", store=store):
        ROADS[name](trip)
    assert len(provider.requests) == 1
    with replaying(store):
        refused(lambda: by_urllib(trip))


def test_other_hosts_are_nobodys_business(trip, provider, store):
    """A host that is no provider is reached in REPLAY, too."""
    trip.url = trip.url.replace(PROVIDER, "example.com")
    with cas_llm.use("replay", store=store):
        by_urllib(trip)
    assert len(provider.requests) == 1


def test_a_provider_that_is_ignored_is_let_through(trip, provider, store, tmp_path, monkeypatch):
    """`ignore_hosts` is the door in the wall, and the explanation names it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(f'[tool.cas-llm]\nignore_hosts = ["{PROVIDER}"]\n')
    with cas_llm.use("replay", store=store):
        by_urllib(trip)
    assert len(provider.requests) == 1


def test_disabled_lets_everything_through(trip, provider, store):
    """Nothing is refused and nothing reported."""
    with cas_llm.use("disabled", store=store):
        by_urllib(trip)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("mode", ["fallback", "capture", "disabled"])
def test_on_ci_a_connection_past_the_recorders_is_refused(mode, trip, provider, store, monkeypatch):
    """CI's rule holds in every live mode, for what no recorder sees, too; it can be lifted."""
    monkeypatch.setenv("CI", "1")
    with (
        pytest.raises(cas_llm.CacheMiss) as ended,
        cas_llm.use(mode, store=store),
        pytest.raises(cas_llm.LiveCallBlocked, match="CAS_LLM_LIVE_ON_CI=1"),
    ):
        by_urllib(trip)
    assert [miss.kind for miss in ended.value.misses] == ["live on CI"]
    assert provider.connections == 0
    monkeypatch.setenv("CAS_LLM_LIVE_ON_CI", "1")
    with contextlib.suppress(cas_llm.CacheMiss), cas_llm.use(mode, store=store):
        by_urllib(trip)
    assert len(provider.requests) == 1


def test_on_ci_loopback_is_reached(near, provider, store, monkeypatch):
    """A host on this machine may be called, even one that is recorded."""
    monkeypatch.setenv("CI", "1")
    with cas_llm.use("disabled", store=store, hosts=["localhost"]):
        by_urllib(near)
    assert len(provider.requests) == 1
