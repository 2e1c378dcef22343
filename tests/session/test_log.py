"""What is said of each call while a run goes on."""

import logging
import re

from cas_llm.session.log import HIT, LIVE, MISS, Call, Log


def call(outcome):
    key = "0123456789abcdef" * 4
    return Call(outcome, key, "openai", "/v1/chat/completions", "gpt-4o-mini", "t", 0.25)


def test_each_call_is_one_line_with_its_time(caplog):
    """What became of it, the key's beginning, milliseconds, API, path and model."""
    log = Log()
    with caplog.at_level(logging.INFO, "cas_llm"):
        for outcome in (HIT, MISS, LIVE):
            log.add(call(outcome))
    assert [record.getMessage() for record in caplog.records] == [
        f"{outcome} 0123456789ab 250.0 ms openai /v1/chat/completions gpt-4o-mini"
        for outcome in ("HIT", "MISS", "LIVE")
    ]


def test_nothing_is_said_to_who_does_not_listen(caplog):
    """A logger that is not turned on costs no text."""
    with caplog.at_level(logging.WARNING, "cas_llm"):
        Log().add(call(HIT))
    assert not re.search("HIT", caplog.text)
