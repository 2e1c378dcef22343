"""The contract of every SDK: it records once, replays as equal typed objects, and misses once."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
from sdks.adapter import FEATURES, At
from sdks.libraries import speaking
from sdks.runs import run
from support.provider import ScriptedProvider

import cas_llm
from cas_llm.providers import is_provider_host

pytestmark = pytest.mark.filterwarnings(
    # How Google's SDK uses aiohttp is Google's business.
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
)

SECONDS = 3.0
"""A miss that takes longer was retried."""


@pytest.mark.usefixtures("key")
def test_a_call_replays_as_equal_typed_objects_without_its_provider(
    sdk, feature, store, record_property
):
    """As many requests as the feature takes while recording; none, and no server, in replay."""
    record_property("cell", f"{sdk.name} {feature}")
    asks = sdk.asks.get(feature, 1)
    with ScriptedProvider() as provider:
        at = At(provider.root)
        with run("capture", store):
            recorded = sdk.does(feature, at)
        assert provider.count == asks
    with run("replay", store) as session:
        assert sdk.does(feature, at) == recorded
        sums = session.runtime.log.sums
        assert (sums.served, sums.live, sums.missed) == (asks, 0, 0)
    assert provider.count == asks


@pytest.mark.usefixtures("key")
def test_a_miss_is_one_call_that_explains_itself(sdk, feature, provider, store, record_property):
    """With the SDK's own retries on: no request, one miss, at once, and it says what to do."""
    record_property("cell", f"{sdk.name} miss")
    with run("fallback", store):
        sdk.does(feature, At(provider.root))
    provider.clear()
    raised: Exception | None = None
    with pytest.raises(cas_llm.CacheMiss) as missed:
        with run("replay", store) as session:
            began = time.perf_counter()
            try:
                sdk.does(feature, At(provider.root, "goodbye"))
            except Exception as error:
                raised = error
            seconds = time.perf_counter() - began
        pytest.fail(f"the block took no notice; the SDK said {raised!r}")
    assert provider.count == 0
    assert session.runtime.log.sums.missed == 1
    assert seconds < SECONDS
    explanation = ("cas-llm: not recorded", "goodbye", "nearest: ", "hello", "Record it:")
    assert [part for part in explanation if part not in str(missed.value)] == []
    told = raised is not None and all(part in str(raised) for part in explanation)
    record_property("told", f"{sdk.name} {feature} {'yes' if told else 'no'}")


@pytest.mark.usefixtures("key")
def test_a_miss_in_an_empty_store_says_so(sdk, provider, store, record_property):
    """The first run of all: there is nothing near, and the command that records is named."""
    record_property("cell", f"{sdk.name} miss")
    said = r"The store is empty[\s\S]*Record it:"
    with (
        pytest.raises(cas_llm.CacheMiss, match=said),
        run("replay", store),
        pytest.raises(Exception, match="not recorded"),
    ):
        sdk.does("plain", At(provider.root))
    assert provider.count == 0


def test_a_replay_needs_no_key(sdk, key, store, monkeypatch, record_property):
    """A client is made and answers where no variable holds a key."""
    record_property("cell", f"{sdk.name} keyless")
    with ScriptedProvider() as provider:
        at = At(provider.root)
        with run("fallback", store):
            recorded = sdk.does("plain", at)
    monkeypatch.delenv(key)
    with run("replay", store):
        assert sdk.does("plain", at) == recorded
    assert provider.count == 1


@pytest.mark.usefixtures("key")
def test_the_sdk_answers_without_cas_llm(sdk, provider, monkeypatch, record_property):
    """The adapter and the scripted answers are sound by themselves; and how the SDK speaks."""
    with speaking(monkeypatch) as heard:
        sdk.does("plain", At(provider.root))
    sync = sorted(heard)
    with speaking(monkeypatch) as heard:
        sdk.does("async_plain", At(provider.root))
    assert provider.count == 2
    assert sync
    assert heard
    said = (
        sync if sync == sorted(heard) else [*sync, *(f"{name} (async)" for name in sorted(heard))]
    )
    record_property("speaks", f"{sdk.name} {', '.join(said)}")


@pytest.mark.usefixtures("key")
def test_the_hosts_that_an_sdk_calls_by_itself_are_known(sdk):
    """Without a base URL of the program's its requests count, whatever their path and shape."""
    hosts = [urlsplit(url).hostname for url in sdk.homes()]
    assert [host for host in hosts if not is_provider_host(host)] == []


def test_what_an_sdk_lacks_has_a_reason(sdk, record_property):
    """Every feature is there, or the adapter says why not; the table shows it."""
    assert {*sdk.features, *sdk.absent} == {*FEATURES}
    assert not {*sdk.features} & {*sdk.absent}
    for feature, reason in sdk.absent.items():
        record_property("absent", f"{sdk.name} {feature} {reason}")
