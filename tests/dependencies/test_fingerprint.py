"""What tests ran in: kept without its secrets, and compared in words."""

import sys

from cas_llm.dependencies import fingerprint
from cas_llm.dependencies.fingerprint import Fingerprint


def test_it_survives_the_disk():
    """What is read is what was written."""
    now = fingerprint.take({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    assert Fingerprint.of_document(now.document()) == now
    assert list(now.differences(now)) == []
    assert now.distributions["pytest"]
    assert now.python.endswith(".".join(map(str, sys.version_info[:3])))


def test_only_what_chooses_is_looked_at():
    """Where requests go, to which model, and what of cas-llm changes a key."""
    environ = {
        "ANTHROPIC_BASE_URL": "x",
        "MY_APP_MODEL": "x",
        "AZURE_OPENAI_ENDPOINT": "x",
        "OPENAI_API_VERSION": "x",
        "CAS_LLM_NAMESPACE": "x",
        "CAS_LLM_MODE": "replay",
        "CAS_LLM_STORE": "x",
        "OPENAI_API_KEY": "x",
        "HOME": "x",
        "EXTRA": "x",
        "OLLAMA_HOST": "",
    }
    found = fingerprint.take(environ, ["EXTRA"]).variables
    assert set(found) == {
        *("ANTHROPIC_BASE_URL", "AZURE_OPENAI_ENDPOINT", "CAS_LLM_NAMESPACE", "EXTRA"),
        *("MY_APP_MODEL", "OPENAI_API_VERSION"),
    }


def test_no_value_is_kept():
    """A digest of it is."""
    url = "http://user:" + "word" * 3 + "@127.0.0.1/v1"
    assert url not in str(fingerprint.take({"OPENAI_BASE_URL": url}).document())


def test_differences_are_told_in_words():
    """One each, and not a hundred of them."""
    then = Fingerprint("cpython 3.11.1", "linux x", "k/1", "0.1", {"a": "1", "b": "1"}, {"V": "1"})
    now = Fingerprint("cpython 3.12.0", "linux x", "k/1", "0.1", {"a": "2", "c": "1"}, {})
    assert list(then.differences(now)) == [
        "Python was cpython 3.11.1, and is cpython 3.12.0",
        "a was 1, and is 2",
        "b 1 is gone",
        "c 1 is new",
        "V is not set now",
    ]
    many = Fingerprint(distributions={f"d{n}": "1" for n in range(50)})
    assert list(many.differences(Fingerprint()))[-1] == "47 more distributions differ"
