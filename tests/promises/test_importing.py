"""A suite of cassettes moves over: each test gets its own answers, and what is left is told."""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest
import vcr
from support.cassettes import (
    Call,
    completion_cache,
    gzipped,
    json_of,
    parsed,
    simulator,
    vcrpy,
    vcrpy_json,
    write,
)
from support.crew import FILES, Crew
from support.inner import summary_of
from support.playing import Player

from cas_llm.wire import Headers, Request

pytestmark = pytest.mark.slow
PLUGIN = ("-p", "cas_llm.pytest_plugin")


DRY_RUN = """\
600 files  1,262 calls -> 964 requests, 1,192 answers
  142 requests have several answers: 88 within one test (in order), 54 across tests \
(each test keeps its own)
  61 of the calls to 4 hosts that aren't LLMs stay in the cassettes; hosts=[...] takes them over
    hub.example 16, files.example 15, meta.example 15, auth.example 15
  9 answers >= 400 skipped (--keep-errors)   2 secrets replaced   0 without a body
600 tapes would be written
"""


def call_of(exchange: dict) -> Call:
    """An exchange of the corpus as a call to write down."""
    asked, answered = exchange["request"] or {}, exchange["response"]
    body = asked.get("json", asked.get("text", "").encode() or None)
    text = json.dumps(answered["json"]) if "json" in answered else answered["text"]
    return Call(
        body,
        text.encode(),
        url=exchange["url"],
        method=exchange["method"].upper(),
        status=exchange["status"],
        headers=exchange["request_headers"],
        answer_headers=exchange["headers"],
    )


def sent_by_sdk(call: Call) -> Headers:
    """The headers of the live request: the corpus lacks one that Anthropic's SDKs always send."""
    sent = {name.lower(): value for name, value in call.asked.items()}
    if "//api.anthropic.com/" in call.url:
        sent["anthropic-version"] = "2023-06-01"
    return tuple(sent.items())


def cassetter_of(path: Path, calls: Sequence[Call]) -> None:
    """A cassette that cassetter itself writes, in the language that the name asks for."""
    core = pytest.importorskip("cassetter._core", reason="cassetter is in the dev extra")

    def body(data: bytes, kind: str):
        if not data:
            return core.Body("none")
        value = json_of(data) if "json" in kind else None
        if value is not None:
            return core.Body("json", value)
        return core.Body("text", data.decode())

    held = core.Cassette()
    for number, call in enumerate(calls):
        sent = call.asked
        request = core.HttpRequest(
            call.method,
            call.url,
            {name: [value] for name, value in sent.items()},
            body(call.sent, sent.get("content-type", "")),
        )
        kept = call.kept
        headers = {name: [value] for name, value in kept.items()}
        response = core.HttpResponse(
            call.status, headers, body(call.answer, kept.get("content-type", ""))
        )
        moment = f"2026-03-02T09:{number // 60:02}:{number % 60:02}.000000+00:00"
        held.add_interaction(core.HttpInteraction(request, response, moment))
    path.parent.mkdir(parents=True, exist_ok=True)
    held.save(str(path))


def is_plain_chat(exchange: dict) -> bool:
    """Whether the completion cache could hold it: one user, perhaps one system prompt."""
    body = (exchange["request"] or {}).get("json") or {}
    roles = [message.get("role") for message in body.get("messages", ())]
    texts = all(isinstance(message.get("content"), str) for message in body.get("messages", ()))
    place = exchange["url"] == "https://api.openai.com/v1/chat/completions"
    whole = "json" in exchange["response"] and exchange["status"] == 200
    return place and whole and texts and roles in (["user"], ["system", "user"])


def is_azures(exchange: dict) -> bool:
    """Whether the simulator could hold all of it."""
    return "azure.com/openai/" in exchange["url"] and len(call_of(exchange).sent) <= 1024


def everything(_: dict) -> bool:
    return True


DIALECTS: dict[str, tuple[Callable | None, str, Callable[[dict], bool]]] = {
    "vcrpy": (vcrpy, "yaml", everything),
    "json": (vcrpy_json, "json", everything),
    "gz": (gzipped, "yaml.gz", everything),
    "parsed": (parsed, "yaml", everything),
    "cassetter": (None, "yaml", everything),
    "toml": (None, "toml", everything),
    "cache": (completion_cache, "json", is_plain_chat),
    "simulator": (simulator, "yaml", is_azures),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_corpus_comes_over_in_every_dialect(dialect, corpus, project):
    """Each cassette's calls replay to its own test, in order, with the bytes the cassette holds."""
    if not corpus:
        pytest.skip("the corpus is not there: CAS_LLM_CORPUS names no file")
    make, ending, fits = DIALECTS[dialect]
    files: dict[str, list[dict]] = {}
    for exchange in filter(fits, corpus):
        files.setdefault(exchange["source"].partition("#")[0], []).append(exchange)
    project.file("pyproject.toml", "[tool.cas-llm]\n[tool.pytest.ini_options]\n")
    project.file("tests/test_it.py", "".join(f"def test_{n}(): pass\n" for n in range(len(files))))
    for number, exchanges in enumerate(files.values()):
        calls = [call_of(one) for one in exchanges]
        path = project.path / f"tests/cassettes/test_it/test_{number}.{ending}"
        if make is None:
            cassetter_of(path, calls)
        else:
            write(path, make(calls))
    result = project.cas_llm("import", "tests/cassettes", "--keep-errors", "--json")
    told = json.loads(result.stdout)
    calls = [call_of(one) for exchanges in files.values() for one in exchanges]
    bodiless = sum(call.method == "POST" and not call.sent for call in calls)
    figures = (told["calls"], told["answers"], told["without_body"])
    assert figures == (len(calls), len(calls) - bodiless, bodiless), result
    assert told["other_hosts"] == {}
    player = Player(project.path, project.path / "cache_store")
    missed = wrong = 0
    for number, exchanges in enumerate(files.values()):
        for exchange in exchanges:
            call = call_of(exchange)
            if call.method == "POST" and not call.sent:
                continue
            request = Request(call.method, call.url, sent_by_sdk(call), call.sent)
            got = player.play(f"tests/test_it.py::test_{number}", request)
            missed += got.status == 424
            same = got.body == call.answer or json_of(got.body) == json_of(call.answer) is not None
            wrong += not same if dialect not in {"vcrpy", "json", "gz"} else got.body != call.answer
    assert (missed, wrong) == (0, 0)


TESTS = """
import hashlib, json, os
import httpx, pytest

client = httpx.Client(timeout=5)
WANTED = json.load(open("wanted.json"))

@pytest.mark.parametrize("number", range({count}))
@pytest.mark.vcr
def test_it(number):
    found = []
    for text in ("same for all", "of %d" % number, "same for all"):
        body = {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": text}}]}}
        reply = client.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
        found.append(hashlib.sha256(reply.content).hexdigest())
    assert found == WANTED[number]
"""


def asked(client: httpx.Client, url: str, number: int) -> list[str]:
    """What the test with this number asks, as digests of what it gets."""
    found = []
    for text in ("same for all", f"of {number}", "same for all"):
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        reply = client.post(f"{url}/chat/completions", json=body)
        found.append(hashlib.sha256(reply.content).hexdigest())
    return found


@pytest.mark.parametrize("tool", ["vcrpy", "cassetter", "cassetter in TOML"])
def test_what_the_tools_write_themselves_replays_to_each_test(tool, project, provider, tmp_path):
    """Thirty tests, one request with different answers in each: every test gets its own bytes."""
    ending = "toml" if "TOML" in tool else "yaml"

    def opened(number: int, mode: str):
        name = f"tests/cassettes/test_it/test_it[{number}].{ending}"
        path = str(project.path / name)
        if tool == "vcrpy":
            return vcr.use_cassette(path, record_mode=mode)
        cassetter = pytest.importorskip("cassetter", reason="cassetter is in the dev extra")
        return cassetter.use_cassette(path, record_mode=mode)

    wanted = []
    with httpx.Client() as client:
        for number in range(30):
            with opened(number, "all"):
                asked(client, provider.url, number)
        live = len(provider.calls)
        for number in range(30):
            with opened(number, "none"):
                wanted.append(asked(client, provider.url, number))
    assert len(provider.calls) == live == 90
    assert len({digests[0] for digests in wanted}) == 30
    project.file("wanted.json", json.dumps(wanted))
    project.file("tests/test_it.py", TESTS.format(count=30))
    project.file(
        "pyproject.toml",
        '[tool.cas-llm]\nvcr = "replace"\n[tool.pytest.ini_options]\nmarkers = ["vcr"]\n',
    )
    project.env(OPENAI_BASE_URL=provider.url, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    result = project.cas_llm("import", "tests/cassettes", "--json")
    told = json.loads(result.stdout)
    assert (told["answers"], told["requests"], len(told["new_tapes"])) == (90, 31, 30)
    played = project.pytest(*PLUGIN, "-q")
    assert played.outcomes == {"passed": 30}, str(played)
    assert "90 served   0 live connections" in summary_of(played)
    assert len(provider.calls) == live
    assert project.cas_llm("import", "--check").stdout.startswith("30 of 30 replay. ")


def test_six_hundred_cassettes_move_over(project, provider):
    """Transcript (b): the dry run's figures, three causes with their price, and what can go."""
    url = provider.url
    crew = Crew(project.path, url)
    crew.write()
    project.env(OPENAI_BASE_URL=url, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    project.env(OPENAI_API_KEY="-".join(["sk", "x" * 8]))
    settings = f"""
        [tool.cas-llm]
        vcr = "replace"
        [tool.cas-llm.hosts]
        "127.0.0.1:{provider.port}" = "openai"
        [tool.pytest.ini_options]
        markers = ["vcr"]
        filterwarnings = ["ignore::DeprecationWarning"]
    """
    project.file("pyproject.toml", settings)
    before = sorted(project.path.rglob("*"))
    dry = project.cas_llm("import", "tests/cassettes", "--dry-run")
    assert dry.stdout == DRY_RUN
    assert sorted(project.path.rglob("*")) == before
    began = time.perf_counter()
    done = project.cas_llm("import", "tests/cassettes")
    took = time.perf_counter() - began
    print(f"600 files imported in {took:.1f} s")
    assert done.stdout.splitlines()[-1] == "600 tapes written"
    assert took < 60

    flags = (sys.executable, "-m", "pytest", *PLUGIN, "-q", "--tb=no")
    assert project.run(*flags, timeout=180).outcomes == {"passed": FILES}
    assert not provider.calls

    crew.edit()
    red = project.run(*flags, timeout=180)
    assert red.outcomes == {"passed": 412, "failed": 188}, red.stdout[-3000:]
    said = summary_of(red)
    print(said)
    assert "188 tests, 3 causes" in said
    first, second, third = re.findall(r"^ +(\d+)  (.*)$", said, re.MULTILINE)
    assert first[0] == "171"
    assert first[1].startswith(
        '$.messages[0].content   "…crew member." -> "…crew member. Be brief."'
    )
    assert first[1].endswith("(recorded 2026-03-02)")
    assert second[0] == "12"
    assert "$.tools[2].function.parameters.properties.unit   not in the recording" in second[1]
    assert third == ("5", "POST openai /v1/embeddings   nothing recorded")
    assert re.search(r"record: pytest --lf --cas-llm=fallback +203 calls, about \$\d\.\d\d", said)
    checked = project.cas_llm("import", "--check")
    assert checked.code == 1
    assert checked.stdout.startswith("412 of 600 replay. 408 cassettes can go, ")

    green = project.run(*flags, "--lf", "--cas-llm=fallback", "--cas-llm-max-cost=2", timeout=180)
    assert green.outcomes["passed"] == 188, green.stdout[-3000:]
    assert len(provider.calls) == 203
    last = project.cas_llm("import", "--check")
    assert last.stdout.splitlines()[0] == (
        "600 of 600 replay. tests/cassettes/test_crew can go, 4 files with other hosts stay."
    )
