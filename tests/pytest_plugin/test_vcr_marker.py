"""``vcr = "replace"``: LLM calls are cas-llm's, other hosts stay with whoever recorded them."""

import json
import os
import subprocess
import sys

import pytest
from support.cassettes import Call, vcrpy
from support.inner import Inner, summary_of

pytestmark = pytest.mark.slow
HUB = "https://hub.example/x"

TESTS = """
import asyncio, os
import httpx, pytest

pytestmark = pytest.mark.vcr
URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
HUB = "https://hub.example/x"

def body(text):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}

def check(reply):
    assert reply["choices"][0]["message"]["content"].endswith("hi"), reply

def test_httpx():
    check(httpx.post(URL, json=body("sync hi")).json())
    assert httpx.get(HUB).json() == {"hub": 1}

def test_async():
    async def go():
        async with httpx.AsyncClient() as client:
            check((await client.post(URL, json=body("async hi"))).json())
            assert (await client.get(HUB)).json() == {"hub": 1}
    asyncio.run(go())

def test_stream():
    pieces = 0
    with httpx.stream("POST", URL, json=body("stream hi") | {"stream": True}) as reply:
        for piece in reply.iter_raw():
            pieces += 1
    assert pieces > 1

def test_requests():
    import requests
    check(requests.post(URL, json=body("requests hi")).json())
    assert requests.get(HUB).json() == {"hub": 1}

def test_aiohttp():
    import aiohttp
    async def go():
        async with aiohttp.ClientSession() as session:
            async with session.post(URL, json=body("aiohttp hi")) as reply:
                check(await reply.json())
            async with session.get(HUB) as reply:
                assert await reply.json() == {"hub": 1}
    asyncio.run(go())
"""

VCRPY = """
import pytest
import vcr

@pytest.fixture(autouse=True)
def opened(request):
    path = request.path.parent / "cassettes" / request.path.stem / f"{request.node.name}.yaml"
    with vcr.use_cassette(str(path), record_mode="none") as cassette:
        yield cassette
"""


@pytest.fixture
def suite(project, provider):
    """Tests with cassettes that hold another host's answer, and none of the model's."""
    inner = Inner(project, provider, table='vcr = "replace"')
    settings = project.read("pyproject.toml")
    ini = '[tool.pytest.ini_options]\nmarkers = ["vcr"]\n'
    project.file("pyproject.toml", settings + ini)
    project.file("tests/test_it.py", TESTS)
    hub = Call(None, json.dumps({"hub": 1}).encode(), url=HUB, method="GET")
    for name in ("httpx", "async", "stream", "requests", "aiohttp"):
        project.file(f"tests/cassettes/test_it/test_{name}.yaml", vcrpy([hub]))
    return inner


def cassettes_of(suite: Inner) -> dict[str, bytes]:
    folder = suite.project.path / "tests/cassettes"
    return {str(path): path.read_bytes() for path in folder.rglob("*.yaml")}


def play(suite: Inner, *args: str, plugins: tuple[str, ...] = ()) -> None:
    """Record the model's answers, then replay them; the cassettes stay as they are."""
    before = cassettes_of(suite)
    suite.run("--cas-llm=fallback", *args, plugins=plugins, passed=5)
    assert len(suite.provider.calls) == 5
    again = suite.run(*args, plugins=plugins, passed=5)
    assert "5 served   0 live connections" in summary_of(again)
    assert len(suite.provider.calls) == 5
    assert cassettes_of(suite) == before


def test_vcrpy_serves_other_hosts_and_sees_no_llm_call(suite):
    """Under a cassette in mode none, through every library: recorded once, then replayed."""
    suite.project.file("tests/conftest.py", VCRPY)
    play(suite)


def test_vcrpy_imported_before_changes_nothing(suite):
    """vcrpy keeps the handlers that it found; which came first does not matter."""
    suite.project.file("tests/conftest.py", VCRPY)
    suite.project.file("early.py", "import vcr, vcr.patch\n")
    suite.project.env(PYTHONPATH=suite.project.environment["PYTHONPATH"] + f":{suite.project.path}")
    before = ("-p", "early")
    play(suite, *before)


def test_cassetters_plugin_serves_other_hosts_and_sees_no_llm_call(suite):
    """Its own fixture opens the cassette, whichever plugin was loaded first."""
    pytest.importorskip("cassetter", reason="cassetter is in the dev extra")
    play(suite, plugins=("cassetter.pytest_plugin",))


def test_pytest_recording_serves_other_hosts_and_sees_no_llm_call(suite, tmp_path_factory):
    """Its own fixture opens the cassette, whatever its options say."""
    # Not beside the tests' own packages: its options and those of cassetter's plugin collide.
    beside = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(beside)]
    subprocess.run([*pip, "pytest-recording>=0.13"], check=True)
    path = suite.project.environment["PYTHONPATH"]
    suite.project.env(PYTHONPATH=os.pathsep.join((path, str(beside))))
    play(suite, plugins=("pytest_recording.plugin",))
    for args in (("--block-network", "--allowed-hosts=127.0.0.1"), ("--record-mode=once",)):
        again = suite.run(*args, plugins=("pytest_recording.plugin",), passed=5)
        assert "5 served   0 live connections" in summary_of(again)


def test_without_the_setting_marked_tests_are_left_alone(suite):
    """The default keeps out of them: the other tool refuses what it has no recording of."""
    suite.project.file("tests/conftest.py", VCRPY)
    settings = suite.project.read("pyproject.toml").replace('vcr = "replace"', "")
    suite.project.file("pyproject.toml", settings)
    result = suite.run("-k", "httpx or requests", failed=2, deselected=3)
    assert "CannotOverwriteExistingCassetteException" in result.stdout
    assert not suite.provider.calls
