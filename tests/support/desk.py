"""A session driven by hand: requests and answers as wire values, a provider that is a function."""

import itertools
import json
import time
from dataclasses import dataclass, field

from cas_llm.session import Forward, Kind, Pass, Scope, Serve, Session, Wait
from cas_llm.session.closing import passed
from cas_llm.wire import Request, Response

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)


def chat(*texts, url=URL, headers=(), **more):
    """A chat completion request whose messages alternate between user and assistant."""
    roles = itertools.cycle(("user", "assistant"))
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    body = {"model": "gpt-4o-mini", "messages": messages, **more}
    return Request("POST", url, (*JSON, *headers), json.dumps(body).encode())


def completion(text, **more):
    """The answer to a chat completion."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
        **more,
    }


@dataclass
class Upstream:
    """The provider: a fresh number in every answer, and all that was really sent to it."""

    received: list = field(default_factory=list)
    answer: object = None

    @property
    def count(self):
        return len(self.received)

    def __call__(self, request):
        self.received.append(request)
        if self.answer is not None:
            found = self.answer(request)
            if isinstance(found, Response):
                return found
            return Response(200, JSON, json.dumps(found).encode())
        text = json.loads(request.body)["messages"][-1]["content"]
        return Response(200, JSON, json.dumps(completion(f"{self.count}: {text}")).encode())


def said(response):
    """The text of an answer."""
    return json.loads(response.body)["choices"][0]["message"]["content"]


@dataclass
class Desk:
    """One process of a run as a test sees it: begin, forward by hand, get the response."""

    session: Session
    upstream: Upstream

    @property
    def runtime(self):
        return self.session.runtime

    @property
    def log(self):
        return self.runtime.log

    def begin(self, request, scope):
        return self.session.begin(request, scope)

    def ask(self, request, scope):
        """What an adapter does: serve, forward or wait."""
        action = self.begin(request, scope)
        while isinstance(action, Wait):
            while not action.over():
                time.sleep(0.001)
            action = action.again()
        return self.follow(action, request)

    def follow(self, action, request):
        if isinstance(action, Serve):
            return action.response
        assert isinstance(action, (Forward, Pass)), action
        response = self.upstream(request)
        if isinstance(action, Forward):
            action.recorder.head(response.status, response.headers)
            action.recorder.chunk(response.body)
            action.recorder.end()
        return response

    def says(self, request, scope):
        """The text of the answer."""
        response = self.ask(request, scope)
        assert response.status == 200, response.body
        return said(response)

    def passed(self, scope):
        return passed(scope, self.runtime)


def a_test(name="tests/test_a.py::test_one", **more):
    """A test's own scope, staged as pytest's are."""
    return Scope(name, Kind.TEST, staged=True, **more)


def key_of(desk, request):
    """The key under which the desk's session knows *request*."""
    return _record(desk, request).key


def _record(desk, request):
    from cas_llm.keys import Rules, key_record
    from cas_llm.providers import identify

    settings = desk.session.settings
    rules = Rules(normalise=settings.normalise, namespace=settings.namespace)
    name = identify(request, settings.hosts).name
    return key_record(request, name, rules, desk.runtime.redactor(settings).text)


def lay_answer(desk, request, text, **facts):
    """Put an answer that says *text* into the store, named by nothing; returns (key, digest)."""
    from cas_llm.store import Answer, Recording

    record = _record(desk, request)
    response = Response(200, JSON, json.dumps(completion(text)).encode())
    answer = Answer(record.key, response, run=facts.pop("run", "00c0ffee"), **facts)
    return record.key, desk.runtime.store.save(Recording(record.data, answer))


def lay_tape(desk, scope, turns, *, take=0, source=""):
    """Write a tape of *scope*, whose *turns* are pairs of a request and what was answered."""
    from cas_llm.store import Tape
    from cas_llm.store.tape import Turn

    laid = tuple(Turn(*lay_answer(desk, request, text)) for request, text in turns)
    tape = Tape(scope=scope, take=take, source=source, turns=laid)
    desk.runtime.store.add_tape(tape)
    return tape


def lay_shared(desk, request, *texts, take=0, run="00c0ffee"):
    """Write the shared entries of *request*, one for each answer."""
    from cas_llm.store import Shared

    for ordinal, text in enumerate(texts, 1):
        key, digest = lay_answer(desk, request, text, run=run)
        desk.runtime.store.add_shared(Shared(key, take, run, ordinal, digest))
