"""From chosen recordings to the requests to send, or why one cannot be sent by itself.

Reads the store and the environment; sends nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cas_llm import prices
from cas_llm.errors import StoreError
from cas_llm.keys import parts_of
from cas_llm.providers.base import Usage
from cas_llm.rerecord.definitions import Definitions
from cas_llm.rerecord.leaves import Leaves
from cas_llm.rerecord.places import NoPlace, credentials, origin
from cas_llm.rerecord.planning import Kept, price_of
from cas_llm.rerecord.requests import is_stream, request_of, unsendable
from cas_llm.rerecord.selecting import Chosen
from cas_llm.rerecord.sending import Job
from cas_llm.session.catalogue import Entry
from cas_llm.session.lookup import BY_HAND
from cas_llm.session.scopes import SHARED
from cas_llm.store import Store
from cas_llm.wire import Headers, Request

_LOCKED = " is locked"
_TYPICAL_OUTPUT = 200
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Ways:
    """How requests get out: variables, mapped hosts, a base URL that was given.

    With `by_hand` answers that a person wrote are asked anew, too.
    """

    environ: Mapping[str, str]
    hosts: Mapping[str, str]
    base_url: str = ""
    by_hand: bool = False


def jobs_of(
    picked: Iterable[Chosen], store: Store, leaves: Leaves, ways: Ways, tests: Definitions
) -> tuple[list[Job], list[tuple[Chosen, str]]]:
    """The requests to send for *picked*, and what cannot be sent by itself with the reason."""
    jobs, left = [], []
    for one in picked:
        made = _kept(one, ways, tests) or _job(one, store, leaves, ways)
        if isinstance(made, Job):
            jobs.append(made)
        else:
            left.append((one, made))
    return jobs, left


def kept(left: Iterable[tuple[Chosen, str]]) -> list[Kept]:
    """What was not sent, by the test that would have to be run for it."""
    found: dict[Kept, None] = {}
    for one, why in left:
        scopes = [place.scope for place in one.places if place.scope != SHARED]
        what = f"{one.entry.key[:12]} of {scopes[0]}" if scopes else one.entry.key[:12]
        tests = [scope for scope in dict.fromkeys(scopes) if not scope.startswith("use::")]
        words = " ".join(map(shlex.quote, tests))
        command = f"cas-llm rerecord {words} --apply" if words else "CAS_LLM_MODE=capture PROGRAM"
        if why.endswith(_LOCKED):
            command = "take locked=True out of its marker"
        found[Kept(what, why, command)] = None
    return list(found)


def _kept(one: Chosen, ways: Ways, tests: Definitions) -> str:
    """Why a recording is to stay as it is, if it is."""
    if not ways.by_hand and not BY_HAND.isdisjoint(one.entry.marks):
        return "its answer was written by hand; --replace-edited asks it anew"
    # A new answer is for all that use the old one, whoever was named.
    scopes = {place.scope for place in one.entry.namings if place.current}
    locked = sorted(scope for scope in scopes if tests.about(scope).locked)
    return f"{locked[0]}{_LOCKED}" if locked else ""


def _job(one: Chosen, store: Store, leaves: Leaves, ways: Ways) -> Job | str:
    """The job for a recording, or why there is none."""
    entry = one.entry
    if why := leaves.why_not(entry, one.places[0].scope):
        return why
    asked = leaves.asked(entry.key)
    assert asked is not None  # why_not has read it
    if why := unsendable(asked.record, asked.text):
        return why
    try:
        at = origin(entry.api, ways.environ, ways.hosts, ways.base_url)
        return _made(one, asked.record, store, at, credentials(entry.api, at, ways.environ))
    except NoPlace as error:
        return str(error)
    except (StoreError, ValueError, KeyError) as error:
        return f"its request cannot be put together: {error}"


def _made(one: Chosen, record: Mapping[str, Any], store: Store, at: str, secrets: Headers) -> Job:
    entry, place = one.entry, one.places[0]
    types = parts_of(record)
    accept = "text/event-stream" if is_stream(record) else "application/json"
    own = (("user-agent", "cas-llm"), ("accept", accept), *secrets)
    request = request_of(record, lambda d, ext: store.objects.get(d, types.get(d, ext)), at, own)
    return Job(
        key=entry.key,
        digest=entry.digest,
        request=request,
        scope=place.scope,
        ordinal=place.ordinal,
        namespace=str(record.get("namespace", "")),
        expected=_expected(entry, request),
        model=entry.model or entry.api,
    )


def _expected(entry: Entry, request: Request) -> float | None:
    """What the call costs by the tokens it took, else by those of a usual answer."""
    known = price_of(entry)
    if known is not None:
        return known
    usage = Usage(input=len(request.body) // _CHARACTERS_PER_TOKEN + 1, output=_TYPICAL_OUTPUT)
    return prices.price(entry.api, entry.model, usage)
