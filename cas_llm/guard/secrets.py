"""`cas-llm-secrets`: what would be committed of recordings must hold no secret.

Recording looks before it writes; this looks again, with the detectors and settings of today, and at
what somebody wrote by hand. A secret whose format is known blocks, and so does what the redaction
would have taken out. What only looks random, or stands beside a word like password, is a warning.

A false alarm is accepted by what detect-secrets itself goes by: an entry with the value's hash in
``.secrets.baseline`` at the top of the repository, as it is staged; a value counts wherever it
stands. (Its comments in the line have no place in JSON.) A value that is no secret but shall not be
shown either is taken out by a rule: ``[tool.cas-llm] redact = ["name=PATTERN"]``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cas_llm.gitrepo.blobs import Blobs
from cas_llm.guard.guesses import guesses_in
from cas_llm.guard.staged import Change, Staged
from cas_llm.guard.stored import Stored
from cas_llm.redact import Redactor, secret_variables
from cas_llm.redact.placeholders import Finding as Found
from cas_llm.redact.scan import find_in_base64, secrets_in
from cas_llm.store.answer import parse
from cas_llm.store.proof.census import ERROR, WARNING, Finding

BASELINE = ".secrets.baseline"

_TEXTS = (".json", ".txt")
_MANIFEST = "manifest/"
_WHY = "whoever can read the repository can use it: revoke it first"
_ACCEPT = f"detect-secrets scan --baseline {BASELINE}"
_HASH = f"if it is none, an entry of {BASELINE} accepts it: {_ACCEPT}"
_ACCEPTED = "accepted"
_DO = "cas-llm edit, or a redact rule in [tool.cas-llm] and record again"


def judge(staged: Staged) -> list[Finding]:
    """The secrets in the recordings that *staged* adds or changes, or in all that are staged."""
    look = staged.whole() if staged.asks else staged
    found: list[Finding] = []
    if look.stores:
        redactor, accepted = Redactor(secret_variables(os.environ)), _accepted(look)
        for folder, changes in look.stores.items():
            stored = Stored(look, folder)
            stored.fetch(one.new for one in changes if one.is_file and one.path.endswith(_TEXTS))
            try:
                for change in changes:
                    if change.new:
                        found += _in_change(stored, change, redactor, accepted)
            finally:
                stored.close()
    return found


def _in_change(
    stored: Stored, change: Change, redactor: Redactor, accepted: frozenset[str]
) -> Iterator[Finding]:
    """What is in the name of one file and in its text; a secret in the name is never shown."""
    name = _in_name(change.path, redactor)
    if name is not None:
        yield name
    if change.is_file and change.path.endswith(_TEXTS):
        for found in _in_file(stored, change, redactor, accepted):
            yield replace(found, path=name.path) if name else found


def _in_file(
    stored: Stored, change: Change, redactor: Redactor, accepted: frozenset[str]
) -> Iterator[Finding]:
    path, data = change.path, stored.blob(change.new)
    told: set[Found] = set()
    text = data.decode("utf-8", "replace")
    for found, value in secrets_in(data):
        if _is_accepted(value, accepted):
            text = text.replace(value, _ACCEPTED)
        elif found not in told:
            told.add(found)
            yield _secret(path, found, f"{_WHY}; {_HASH}")
    also = None if told else redactor.find(text) or find_in_base64(text, redactor)
    if also is not None:
        told.add(also)
        yield _secret(path, also, _WHY)
    # Tapes repeat what answers and key records say.
    if not told and not stored.name(path).startswith(_MANIFEST):
        for found, value in guesses_in(data):
            if not _is_accepted(value, accepted) and found not in told:
                told.add(found)
                what = f"may hold a secret: {found.kind} at {found.path}"
                why = "it looks random, or stands beside a telling word; the command accepts all"
                yield Finding("CAS090", WARNING, path, what, why, _ACCEPT)


def _secret(path: str, found: Found, why: str) -> Finding:
    what = f"holds what looks like a secret: {found.kind} at {found.path}"
    return Finding("CAS033", ERROR, path, what, why, _DO)


def _in_name(path: str, redactor: Redactor) -> Finding | None:
    """A secret in a file's name: a test's parameters are part of its tapes' names."""
    name = path.encode("utf-8", "replace")
    found = redactor.find(path) or next((one for one, _ in secrets_in(name)), None)
    if found is None:
        return None
    hidden = redactor.text(path)
    for _, value in secrets_in(name):
        hidden = hidden.replace(value, "…")
    what, command = f"has a secret in its name: {found.kind}", "give the test's parameters ids"
    return Finding("CAS091", ERROR, hidden, what, _WHY, f"{command}, and record it again")


def _accepted(staged: Staged) -> frozenset[str]:
    """The hashes of the secrets that the staged baseline lists."""
    blob = staged.files(BASELINE).get(BASELINE)
    if not blob:
        return frozenset()
    try:
        with Blobs(staged.top) as blobs:
            results = parse(blobs.read(blob))["results"]
        return frozenset(one["hashed_secret"] for found in results.values() for one in found)
    except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError):
        return frozenset()


def _is_accepted(value: str, accepted: Iterable[str]) -> bool:
    # detect-secrets' own hash; it guards nothing here, it only names.
    return hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest() in accepted
