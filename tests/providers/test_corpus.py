"""Every real exchange of the corpus is identified, and nearly every one has lines and a usage."""

import json
import os
from collections import Counter
from pathlib import Path

from cas_llm.prices import price
from cas_llm.providers import identify, provider_for
from cas_llm.wire import Request


def exchanges():
    """The corpus's lines, or none where it isn't there."""
    path = os.environ.get("CAS_LLM_CORPUS", "")
    if not path or not Path(path).is_file():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def raw(part):
    part = part or {}
    return json.dumps(part["json"]).encode() if "json" in part else part.get("text", "").encode()


def test_real_exchanges_are_understood():
    """No LLM host has the family http; asks, answers, models, usages and prices are found."""
    found = Counter()
    for line in exchanges():
        request = Request(line["method"].upper(), line["url"], (), raw(line["request"]))
        api = identify(request)
        provider = provider_for(api.family)
        body = (line["request"] or {}).get("json")
        message = provider.message(
            raw(line["response"]), (line["headers"] or {}).get("content-type", "")
        )
        usage = provider.usage(message)
        model = provider.resolved_model(message) or provider.requested_model(body, request.path)
        found["exchanges"] += 1
        found["known"] += api.known and api.family != "http"
        found["asks"] += bool(provider.ask(body))
        found["answers"] += bool(provider.answer(message))
        found["models"] += bool(model)
        found["usages"] += usage is not None
        found["prices"] += usage is not None and price(api.name, model, usage) is not None
    if not found:
        print("0: corpus absent")
        return
    print(dict(found))
    assert found["known"] == found["exchanges"]
    for name, least in (
        ("asks", 410),
        ("answers", 435),
        ("usages", 405),
        ("models", 415),
        ("prices", 400),
    ):
        assert found[name] >= least * found["exchanges"] / 448
