"""cas-llm changes nothing it was not asked to change: files, modules, other tools' mocks."""

import sys

import pytest
from support.inner import Inner, summary_of

SUITE = """
    def test_once():
        ask("one")

    def test_in_turns():
        chat("one", "two", "three")

    @pytest.fixture(scope="module")
    def shared():
        return ask("from a fixture")

    def test_with_a_fixture(shared):
        ask("with " + shared)
"""


@pytest.mark.parametrize("mode", ["replay", pytest.param("fallback", marks=pytest.mark.slow)])
def test_a_run_served_from_its_own_tapes_changes_no_file(project, provider, mode):
    """Neither tracked nor ignored: only the store's local folder may differ."""
    inner = Inner(project, provider).tests(SUITE)
    inner.record(passed=3)
    project.commit("Recorded")
    before, calls = inner.hashes(), provider.count
    for _ in range(2):
        result = inner.run(f"--cas-llm={mode}", "-p", "no:cacheprovider", passed=3)
        assert "new:" not in summary_of(result)
    assert inner.hashes() == before
    assert (provider.count, project.status) == (calls, "")


def test_a_replay_needs_no_writable_store(project, provider):
    """A read-only checkout replays, and no local folder appears in it."""
    inner = Inner(project, provider).tests(SUITE)
    inner.record(passed=3)
    project.run("rm", "-rf", "cache_store/.local")
    project.run("chmod", "-R", "a-w", "cache_store")
    try:
        inner.run(passed=3)
    finally:
        project.run("chmod", "-R", "u+w", "cache_store")


NOTHING = """
    import os, sys, threading

    BEFORE = dict(os.environ)

    def test_nothing_was_imported():
        heavy = {"openai", "httpx", "httpx2", "typer", "rich", "orjson", "sqlite3",
                 "cas_llm.session", "cas_llm.transports", "cas_llm.tripwire", "cas_llm.store"}
        assert heavy.isdisjoint(sys.modules), heavy.intersection(sys.modules)

    def test_nothing_was_patched():
        assert threading.Thread.start.__module__ == "threading"
        assert not [name for name in os.environ if name.startswith("CAS_LLM")]
        assert not [name for name in os.environ if name.endswith("_API_KEY")]
"""


def test_the_plugin_is_inert_where_nothing_asks_for_it(project):
    """It registers its options, imports nothing and says nothing."""
    project.file("tests/test_it.py", NOTHING).env(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    result = project.pytest("-p", "cas_llm.pytest_plugin")
    assert result.outcomes == {"passed": 2}, result
    assert "cas-llm" not in result.text
    assert not (project.path / "cache_store").exists()


@pytest.mark.parametrize(
    ("asks", "flags"),
    [
        ("[tool.cas-llm]\n", ()),
        ("[tool.pytest.ini_options]\ncas_llm_mode = 'replay'\n", ()),
        ("", ("--cas-llm=replay",)),
        ("", ("--cas-llm-report=../report.json",)),
    ],
    ids=["table", "ini option", "flag", "report"],
)
def test_whatever_asks_for_it_switches_it_on(project, asks, flags):
    """A table, an ini option or any of its flags; the header says so."""
    project.file("tests/test_it.py", "def test_it(): pass").env(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    project.file("pyproject.toml", asks)
    result = project.pytest("-p", "cas_llm.pytest_plugin", *flags)
    assert result.outcomes == {"passed": 1}, result
    assert "cas-llm: replay" in result.stdout


def test_a_marker_or_the_fixture_alone_switches_it_on(project, provider):
    """A test that asks gets a session, though nothing else in the project does."""
    inner = Inner(project, provider).tests(
        """
        @pytest.mark.cas_llm
        def test_marked():
            assert "not recorded" in post([{"role": "user", "content": "x"}]).text

        def test_with_the_session(cas_llm):
            assert cas_llm.settings.mode.name == "REPLAY"
        """
    )
    (project.path / "pyproject.toml").unlink()
    result = inner.run(passed=1, failed=1)
    assert "cas-llm: not recorded" in result.stdout


MOCKS = """
    import json
    import httpx, pytest, respx, vcr
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    URL = "https://api.openai.com/v1/chat/completions"
    BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}

    def ask(**options):
        with httpx.Client(**options) as client:
            return client.post(URL, json=BODY).json()

    @respx.mock
    def test_respx():
        route = respx.post(URL).respond(json={"by": "respx"})
        assert ask() == {"by": "respx"}
        assert route.call_count == 1

    @respx.mock
    async def test_respx_async():
        respx.post(URL).respond(json={"by": "respx"})
        async with httpx.AsyncClient() as client:
            assert (await client.post(URL, json=BODY)).json() == {"by": "respx"}

    def test_pytest_httpx(httpx_mock):
        httpx_mock.add_response(url=URL, json={"by": "pytest-httpx"})
        assert ask() == {"by": "pytest-httpx"}
        assert len(httpx_mock.get_requests()) == 1

    def test_mock_transport():
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"by": "mock"}))
        assert ask(transport=transport) == {"by": "mock"}

    def test_mounted_mock_transport():
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"by": "mount"}))
        assert ask(mounts={"https://": transport}) == {"by": "mount"}

    def test_vcrpy(tmp_path):
        cassette = tmp_path / "cassette.json"
        cassette.write_text(json.dumps({"version": 1, "interactions": [{
            "request": {"method": "POST", "uri": URL, "body": None, "headers": {}},
            "response": {"status": {"code": 200, "message": "OK"},
                         "headers": {"content-type": ["application/json"]},
                         "body": {"string": '{"by": "vcr"}'}}}]}))
        options = {"record_mode": "none", "serializer": "json", "match_on": ["method", "uri"]}
        with vcr.use_cassette(str(cassette), **options) as played:
            assert ask() == {"by": "vcr"}
            assert played.play_count == 1

    def test_the_app_itself():
        async def answer(request):
            return JSONResponse({"by": "app", "model": (await request.json())["model"]})
        app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
        with TestClient(app) as client:
            reply = client.post("/v1/chat/completions", json=BODY)
        assert reply.json() == {"by": "app", "model": "gpt-4o-mini"}
"""


@pytest.mark.parametrize("how", ["without", "inert", "replay"])
def test_other_tools_mocks_work_beside_it(project, how):
    """respx, pytest-httpx, vcrpy, MockTransport and TestClient get every request they mock."""
    project.file("tests/test_mocks.py", MOCKS).env(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    project.file("pytest.ini", "[pytest]\nasyncio_mode = auto\n")
    flags = [] if how == "without" else ["-p", "cas_llm.pytest_plugin"]
    flags += ["--cas-llm=replay"] if how == "replay" else []
    for plugin in ("pytest_asyncio.plugin", "pytest_httpx"):
        flags += ["-p", plugin]
    # In this process's pytest the plugin may be an entry point; here only flags bring it in.
    result = project.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *flags)
    assert result.outcomes == {"passed": 7}, result
    assert ("cas-llm: replay" in result.stdout) is (how == "replay")
