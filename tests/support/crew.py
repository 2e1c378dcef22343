"""A team's suite of six hundred tests with a cassette each, and the day its prompts are edited.

The numbers are those of the transcript: see `tests/promises/test_importing.py`.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from support.cassettes import Call, completion, vcrpy, write

FILES = 600
EDITED, TOOLS, NEW = 171, 12, 5
_FAILING = EDITED + TOOLS + NEW
_WITHIN, _ACROSS, _SAME, _ONCE = 88, 54, 86, 736
_TWO_TURNS = 15
_HOSTS = {"hub.example": 16, "files.example": 15, "meta.example": 15, "auth.example": 15}
_MODEL = "gpt-4o"
SYSTEM = "You are a seasoned researcher and a helpful crew member."

MODULE = """
import json
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.vcr
client = httpx.Client(timeout=10)
CALLS = json.loads((Path(__file__).parent / "calls.json").read_text())

def play(name):
    for call in [one for one in CALLS[name] if not one.get("skip")]:
        if call["method"] == "GET":
            reply = client.get(call["url"])
        else:
            reply = client.post(call["url"], json=call["body"])
        assert reply.status_code == 200, reply.text
        if call["said"]:
            assert reply.text == call["said"]

"""

CONFTEST = '''
import pytest
import vcr

@pytest.fixture(autouse=True)
def cassette(request):
    """Opens the test's cassette, as vcrpy's pytest plugins do."""
    path = request.path.parent / "cassettes" / request.path.stem / f"{request.node.name}.yaml"
    if ".example/" not in path.read_text():
        yield  # nothing of it is anybody's but cas-llm's: opening it takes its time
        return
    with vcr.use_cassette(str(path), record_mode="none"):
        yield
'''


class Crew:
    """The suite in *root*, whose model answers at *url*."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.calls: dict[str, list[Call]] = {f"test_{n:03}": [] for n in range(FILES)}
        self._names = list(self.calls)

    def write(self) -> None:
        """Write the tests and their cassettes."""
        self._fill()
        tests = "\n\n".join(f"def {name}():\n    play({name!r})" for name in self._names)
        write(self.root / "tests/test_crew.py", (MODULE + tests + "\n").encode())
        write(self.root / "tests/conftest.py", CONFTEST.encode())
        for name, calls in self.calls.items():
            write(self.root / f"tests/cassettes/test_crew/{name}.yaml", vcrpy(calls))
        self._tell(
            {name: [_document(call) for call in calls] for name, calls in self.calls.items()}
        )

    def edit(self) -> None:
        """Edit the prompts: a sentence for most, a tool's parameter, a call that is new."""
        told = {name: [_document(call) for call in calls] for name, calls in self.calls.items()}
        for name in self._names[:EDITED]:
            for call in told[name]:
                call["body"]["messages"][0]["content"] += " Be brief."
        for name in self._names[EDITED : EDITED + TOOLS]:
            call = told[name][0]
            function = call["body"]["tools"][2]["function"]
            function["parameters"]["properties"]["unit"] = {"type": "string"}
        for name in self._names[EDITED + TOOLS : _FAILING]:
            body = {"model": "text-embedding-3-small", "input": f"about {name}"}
            new = {"method": "POST", "url": f"{self.url}/embeddings", "body": body, "said": ""}
            told[name].insert(0, new)
        for name in self._names[:_FAILING]:
            for call in told[name]:
                call["said"] = ""
        self._tell(told)

    def _tell(self, told: dict[str, list[dict[str, Any]]]) -> None:
        write(self.root / "tests/calls.json", json.dumps(told).encode())

    def _fill(self) -> None:
        names, rest = self._names, self._names[_FAILING:]
        for number, name in enumerate(names[:_FAILING]):
            self.calls[name].append(self._chat(f"own {name}", tools=number >= EDITED))
        for name in names[:_TWO_TURNS]:
            self.calls[name].append(self._chat(f"then {name}"))
        for name in rest[:_WITHIN]:
            self.calls[name] += [self._chat(f"again {name}", f"answer {n}") for n in (1, 2)]
        for pair in range(_ACROSS):
            for name in rest[_WITHIN + 2 * pair : _WITHIN + 2 * pair + 2]:
                self.calls[name].append(self._chat(f"shared {pair}", f"for {name}"))
        begin = _WITHIN + 2 * _ACROSS
        for pair in range(_SAME):
            for name in rest[begin + 2 * pair : begin + 2 * pair + 2]:
                self.calls[name].append(self._chat(f"same {pair}"))
        for number in range(_ONCE - _FAILING - _TWO_TURNS):
            self.calls[rest[number % len(rest)]].append(self._chat(f"once {number}"))
        self._add_the_rest(rest)

    def _add_the_rest(self, rest: list[str]) -> None:
        for name, (host, count) in zip(rest, _HOSTS.items(), strict=False):
            url = f"https://{host}/v1/thing"
            for number in range(count):
                self.calls[name].append(Call(None, str(number).encode(), url=url, method="GET"))
        for name in rest[-9:]:
            limited = self._chat(f"limited {name}")
            self.calls[name].insert(0, Call(limited.body, b"{}", url=limited.url, status=429))
        for name in rest[20:22]:
            last = self.calls[name][-1]
            last.body["messages"][1]["content"] += " sk-" + "proj-" + "aB3dE6gH9jK2mN5pQ8sT" * 3

    def _chat(self, text: str, answer: str = "", *, tools: bool = False) -> Call:
        said = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
        body: dict[str, Any] = {"model": _MODEL, "messages": said}
        if tools:
            body["tools"] = copy.deepcopy([_tool(name) for name in ("find", "book", "weather")])
        url = f"{self.url}/chat/completions"
        return Call(body, completion(answer or f"about {text}", _MODEL), url=url)


def _tool(name: str) -> dict[str, Any]:
    properties = {"place": {"type": "string"}}
    return {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": properties}},
    }


def _document(call: Call) -> dict[str, Any]:
    skipped = call.status >= 400
    said = "" if call.method == "GET" or skipped else call.answer.decode()
    body = copy.deepcopy(call.body)
    return {"method": call.method, "url": call.url, "body": body, "said": said, "skip": skipped}
