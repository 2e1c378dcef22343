"""A loopback provider that counts, names that lead to it, and guards that refuse by name."""

import ssl
from collections.abc import Iterator

import pytest
from support.loopback import (
    NameServer,
    Provider,
    lead_home,
    make_certificate,
    serving,
    without_proxies,
)

from cas_llm import tripwire


class Refuse:
    """Refuses the hosts it is given, and remembers what it was asked."""

    def __init__(self, *hosts):
        self.hosts = hosts
        self.asked = []

    def judge(self, host, port, how):
        self.asked.append((host, port, how))
        return f"cas-llm: replay: {how} to {host} refused" if host in self.hosts else None


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Paths of a self-signed certificate for the provider's names, and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trust(certificate):
    """A client's TLS context that trusts the provider."""
    return ssl.create_default_context(cafile=certificate[0])


@pytest.fixture
def provider(certificate) -> Iterator[Provider]:
    """The loopback provider."""
    server = serving(certificate)
    yield server
    server.close()


@pytest.fixture
def names(monkeypatch):
    """Every name leads to loopback, below the tripwire; lists what was really looked up."""
    return lead_home(monkeypatch)


@pytest.fixture
def refuse() -> Iterator[type]:
    """``refuse(host, …)`` arms a guard that is disarmed when the test ends."""
    armed = []

    def arm(*hosts):
        guard = Refuse(*hosts)
        armed.append(guard)
        tripwire.arm(guard)
        return guard

    yield arm
    for guard in armed:
        tripwire.disarm(guard)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """No proxy of the machine's own has a say."""
    without_proxies(monkeypatch)


@pytest.fixture
def calls():
    """``calls(work)`` gives the refusal that came out of *work*, which must take under a second."""
    import time

    from cas_llm.errors import LiveCallBlocked

    def run(work):
        begun = time.monotonic()
        with pytest.raises(LiveCallBlocked, match=r"cas-llm: replay: .* refused") as caught:
            work()
        assert time.monotonic() - begun < 1
        return caught.value

    return run


@pytest.fixture
def dns() -> Iterator[NameServer]:
    """The loopback DNS server."""
    server = NameServer()
    yield server
    server.close()
