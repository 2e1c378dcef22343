"""What an SDK tells its provider about the program is never recorded, no miss, never sent in replay."""

import httpx
import httpx2
import pytest

import cas_llm
from cas_llm.session.policy import PLACEHOLDER

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda module: module.__name__)
TRACES = "http://api.openai.com/v1/traces/ingest"


def tell(library, url=TRACES, *, proxy=None, key="x"):
    """Post a trace as openai-agents does."""
    headers = {"authorization": f"Bearer {key}", "openai-beta": "traces=v1"}
    with library.Client(proxy=proxy) as client:
        return client.post(url, json={"data": []}, headers=headers)


@LIBRARIES
def test_replay_swallows_telemetry(store, library):
    """The exporter hears that all is well, and nobody else hears anything."""
    with cas_llm.use("replay", store=store) as session:
        assert tell(library).status_code == 200
        assert session.runtime.log.sums.missed == 0
    assert not store.exists()


@LIBRARIES
@pytest.mark.parametrize("mode", ["fallback", "capture", "disabled"])
def test_live_modes_send_telemetry_unrecorded(provider, store, library, mode):
    """It goes where it would go without cas-llm, is no connection past a recorder, and no call."""
    with cas_llm.use(mode, store=store) as session:
        tell(library, proxy=provider.root)
        assert session.runtime.log.sums.live == 0
    assert [call.headers["host"] for call in provider.calls] == ["api.openai.com"]
    assert not (store / "objects").exists()


def test_telemetry_with_a_stand_in_for_a_key_stays_here(provider, store):
    """An exporter that took the placeholder for a key keeps it after the replay."""
    with cas_llm.use("fallback", store=store):
        assert tell(httpx, proxy=provider.root, key=PLACEHOLDER).status_code == 200
    assert provider.count == 0


def test_telemetry_stays_here_on_ci(provider, store, monkeypatch):
    """Where no call may leave, nothing that tells of calls does."""
    monkeypatch.setenv("CI", "1")
    with cas_llm.use("fallback", store=store):
        assert tell(httpx, proxy=provider.root).status_code == 200
    assert provider.count == 0


def test_what_stands_beside_the_route_is_a_request_like_any_other(store):
    """Only the exact route of the exact host is telemetry."""
    for url in (TRACES + "/1", TRACES.replace("api.openai.com", "api.anthropic.com")):
        with pytest.raises(cas_llm.CacheMiss), cas_llm.use("replay", store=store):
            assert tell(httpx, url).status_code == 424


@pytest.mark.parametrize(
    ("url", "status"),
    [(TRACES, 200), ("https://api.openai.com/v1/chat/completions", 424)],
    ids=["telemetry", "call"],
)
def test_what_is_sent_while_a_replaying_pytest_exits_stays_here(project, url, status):
    """Queues are emptied by exit handlers, after pytest has taken everything off."""
    project.file("pyproject.toml", "[tool.cas-llm]\n")
    project.file(
        "test_it.py",
        f"""
        import atexit, httpx, pathlib

        def flush():
            answer = httpx.post({url!r}, json={{"data": []}})
            pathlib.Path({str(project.home / "said")!r}).write_text(str(answer.status_code))

        def test_it():
            atexit.register(flush)
        """,
    )
    result = project.pytest("--cas-llm=replay")
    assert result.outcomes == {"passed": 1}, result.text
    assert (project.home / "said").read_text() == str(status), result.text
