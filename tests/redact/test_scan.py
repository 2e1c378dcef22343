"""The last look: what refuses a write, and what doesn't."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cas_llm.errors import SecretFound
from cas_llm.redact import Redactor
from cas_llm.redact.scan import find_secret, scan_for_secrets
from cas_llm.redact.shapes import SHAPES

TOKEN = "gh" + "p_" + "".join(random.Random(1).choices(string.ascii_letters, k=36))


def test_a_secret_refuses_the_write_and_names_the_place() -> None:
    """The message says kind, path and what to do, and never the value."""
    data = json.dumps({"messages": [{"content": "hi"}, {"content": f"use {TOKEN}"}]}).encode()
    with pytest.raises(SecretFound) as caught:
        scan_for_secrets(data, where="requests/ab/cd.json")
    assert caught.value.path == "$.messages[1].content"
    assert caught.value.kind == "GitHub Token"
    assert "redact = [" in str(caught.value)
    assert str(caught.value).startswith("requests/ab/cd.json: ")
    assert TOKEN not in str(caught.value)


def test_a_member_name_that_is_a_secret_is_not_told() -> None:
    """The path leaves it out."""
    found = find_secret(json.dumps({"a": {TOKEN: 1}}).encode())
    assert found is not None
    assert TOKEN not in found.path


def test_text_is_told_by_line() -> None:
    """A part that isn't JSON has lines."""
    found = find_secret(f"one\ntwo {TOKEN}\n".encode())
    assert found is not None
    assert found.path == "line 2"


def test_placeholders_are_no_secrets() -> None:
    """Of every kind, in JSON and in header lines."""
    names = [f"[cas-llm:{shape.kind}:{n}]" for n, shape in enumerate(SHAPES, 1)]
    text = json.dumps({"token": names, "api_key": names[0], "t": "Bearer " + names[1]})
    scan_for_secrets(text.encode(), where="x")
    assert Redactor().text(text) is text


def test_prose_about_keys_is_none() -> None:
    """A tutorial may be recorded."""
    text = (
        "-----BEGIN RSA " + "PRIVATE KEY-----\n...\n-----END; see eyJ.x and postgres://u:password@h"
    )
    assert find_secret(text.encode()) is None


def test_media_costs_linear_time() -> None:
    """Long runs of base64 are not searched for open-ended formats."""
    for text in ("eyJhbGciOi" * 30_000, ("eyJhbGci" * 200 + "/+") * 100, "//" * 60_000):
        began = time.perf_counter()
        find_secret(json.dumps({"data": text}).encode())
        assert time.perf_counter() - began < 4


def test_the_scanner_is_imported_only_to_scan() -> None:
    """detect-secrets brings requests, and takes a tenth of a second."""
    code = (
        "import sys, cas_llm.redact, cas_llm.redact.scan;"
        "sys.exit('detect_secrets' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_corpus_has_no_finding() -> None:
    """No request and no answer of 448 real exchanges is refused."""
    corpus = Path(os.environ.get("CAS_LLM_CORPUS", "/nonexistent"))
    if not corpus.is_file():
        print("0: corpus absent")
        return
    findings = []
    for line in corpus.read_text().splitlines():
        exchange = json.loads(line)
        for side in ("request", "response"):
            held = exchange[side]
            text = held["text"] if "text" in held else json.dumps(held.get("json"), indent=2)
            findings.append(find_secret(text.encode()))
    print(f"{sum(map(bool, findings))}: exchanges refused")
    assert not any(findings)
