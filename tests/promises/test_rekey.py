"""Other key rules, no call: an agent with a time in a tool result, and the corpus there and back."""

import contextlib
import itertools
import json
import os
import re
from collections import Counter

import pytest
from support.agent import AGENT
from support.desk import Desk, Upstream, a_test
from support.inner import Inner, summary_of

from cas_llm import config
from cas_llm.cli.verify import checks
from cas_llm.config import Rank
from cas_llm.redact import Redactor, secret_variables
from cas_llm.rekey import Target, plan, write
from cas_llm.session import Runtime, Session
from cas_llm.store import Store
from cas_llm.store.proof.verify import verify
from cas_llm.wire import Request, Response

RULE = "time:$.messages[*].content.fetched_at"


def cas_llm(project, *arguments):
    """A command line in the project, which must end well; its output."""
    result = project.cas_llm(*arguments)
    assert result.code == 0, str(result)
    return result.stdout


@pytest.mark.slow
def test_the_agents_remedy_is_told_and_moves_all_its_recordings(project, provider):
    """Transcript (e) to its end: refused with both ways out, rekeyed without a call, replayed."""
    inner = Inner(project, provider).table("", priced=True).tests(AGENT, "tests/test_agent.py")
    project.file("tests/now.txt", "2026-11-21T09:14:02Z")
    inner.record(passed=1)
    project.file("tests/now.txt", "2026-11-21T09:18:40Z")
    refused = inner.run(failed=1)
    assert re.search(
        r"  turn 7 of 12 not recorded \(5 later turns not tried\)\n"
        r"  nearest: this test's turn 7 \([0-9a-f]{12}\), recorded .*; differs at 1 place\n"
        r'    \$\.messages\[12\]\.content\.fetched_at   "2026-11-21T09:14:02Z" -> '
        r'"2026-11-21T09:18:40Z"    a time, in a tool result\n'
        r'  freeze it:    time_machine\.travel\("2026-11-21T09:14:02Z"\)\n'
        r"  or ignore it: \[tool\.cas-llm\] normalise = "
        r'\["time:\$\.messages\[\*\]\.content\.fetched_at"\]\n'
        r"                cas-llm rekey --dry-run        "
        r"12 recordings keep their answers, 0 calls, 0 clashes\n",
        refused.stdout,
    ), refused.stdout

    inner.table(f'normalise = ["{RULE}"]', priced=True)
    before = inner.hashes()
    shown = cas_llm(project, "rekey", "--dry-run")
    assert shown.startswith("12 recordings keep their answers, 0 calls, 0 clashes\n"), shown
    assert inner.hashes() == before
    cas_llm(project, "rekey", "--apply")
    again = inner.run(passed=1)
    assert re.match(r"12 served   0 live connections   saved", summary_of(again)), summary_of(again)
    assert provider.count == 12


CHANGES = {
    "time": ({"normalise": ["time:$"]}, {}, {}),
    "uuid": ({"normalise": ["uuid"]}, {}, {}),
    "whitespace": ({"normalise": ["whitespace"]}, {}, {}),
    "ignore": ({"normalise": ["ignore:$.temperature"]}, {}, {}),
    "provider": (
        {"hosts": {"api.openai.com": "openai@corp"}},
        {"openai": "openai@corp"},
        {"openai@corp": "openai"},
    ),
}


def made_up():
    """Exchanges of two tests that each of the changes is about, for where there is no corpus."""
    texts = {
        "time": "It is 2026-11-21T09:14:02Z.",
        "uuid": "Look at 123e4567-e89b-12d3-a456-426614174000.",
        "whitespace": "Say  hello \n twice.",
    }
    for test, (name, text) in itertools.product(("one", "two"), texts.items()):
        messages = [{"role": "user", "content": text}, {"role": "user", "content": test}]
        yield {
            "source": f"tests/cassettes/test_it/{test}.yaml#{name}",
            "method": "post",
            "url": "https://api.openai.com/v1/chat/completions",
            "request_headers": {"content-type": "application/json"},
            "request": {"json": {"model": "gpt-4o", "temperature": 0.5, "messages": messages}},
            "status": 200,
            "headers": {"content-type": "application/json"},
            "response": {"json": {"choices": [{"message": {"content": f"{test}: {name}"}}]}},
        }


def scopes_of(exchanges):
    """The exchanges of each cassette, which is taken for a test."""
    found = {}
    for exchange in exchanges:
        name = exchange["source"].partition("#")[0].removesuffix(".yaml")
        found.setdefault(f"{name}.py::test_it", []).append(exchange)
    return found


def request_of(exchange):
    part = exchange["request"] or {}
    body = json.dumps(part["json"]) if "json" in part else part.get("text", "")
    headers = tuple(exchange["request_headers"].items())
    return Request(exchange["method"].upper(), exchange["url"], headers, body.encode())


def response_of(exchange):
    part = exchange["response"]
    body = json.dumps(part["json"]) if "json" in part else part["text"]
    return Response(exchange["status"], tuple(exchange["headers"].items()), body.encode())


class Suite:
    """The corpus as tests, run by a session of its own each time."""

    def __init__(self, exchanges, folder):
        self.scopes = scopes_of(exchanges)
        self.folder = folder

    def record(self):
        """Record each test in a run of its own: two cassettes may answer one request otherwise."""
        for name, exchanges in self.scopes.items():
            with self.desk("capture") as desk:
                answers = iter(map(response_of, exchanges))
                desk.upstream.answer = lambda _request, answers=answers: next(answers)
                scope = a_test(name)
                for exchange in exchanges:
                    desk.ask(request_of(exchange), scope)
                desk.passed(scope)

    def replay(self, **settings):
        """How many tests are served all their own answers."""
        green = 0
        with self.desk("replay", **settings) as desk:
            for name, exchanges in self.scopes.items():
                scope = a_test(name)
                got = [desk.ask(request_of(exchange), scope).body for exchange in exchanges]
                green += got == [response_of(exchange).body for exchange in exchanges]
            assert desk.upstream.count == 0
        return green

    @contextlib.contextmanager
    def desk(self, mode, **settings):
        """A run of its own on the store."""
        values = {"store": str(self.folder / "cache_store"), "record_errors": "all", **settings}
        base = config.load(self.folder, {}).but("a test", max_cost=1000.0, **values)
        base = base.says(mode, Rank.USE, "a test")
        runtime = Runtime(base)
        try:
            yield Desk(Session(base, runtime), Upstream())
        finally:
            runtime.store.close()
            runtime.run.close()

    def rekey(self, *, normalise=(), apis=None):
        """Move the store; the plan that was written."""
        store = Store(self.folder / "cache_store")
        redact = Redactor(secret_variables(os.environ)).text
        made = plan(store, Target(tuple(normalise), apis=apis or {}, redact=redact))
        assert not made.clashes
        assert not made.stuck
        write(store, made)
        store.close()
        return made


@pytest.mark.slow
def test_the_corpus_goes_to_other_rules_and_back(corpus, tmp_path):
    """Five rule changes, each there and back: every test replays each time, and nobody is asked."""
    suite = Suite(corpus or list(made_up()), tmp_path)
    total = len(suite.scopes)
    suite.record()
    assert suite.replay() == total
    for name, (settings, there, back) in CHANGES.items():
        moved = suite.rekey(normalise=settings.get("normalise", ()), apis=there).moved
        green = suite.replay(**settings)
        suite.rekey(apis=back)
        again = suite.replay()
        print(f"{name}: {moved} moved, {green} and back {again} of {total} tests, 0 calls")
        assert (green, again) == (total, total)
        assert moved
    found = Counter(one.severity for one in verify(tmp_path / "cache_store", checks()))
    assert found["error"] == found["warning"] == found["info"] == 0
