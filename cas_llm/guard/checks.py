"""What keys, providers and redaction say of stored bytes, as the proof of a store asks for it.

Brings together what the store may not know of itself, for `cas-llm verify` and for the git hooks.
Imports each of them when it is first asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cas_llm.store import Answer
    from cas_llm.store.proof.checks import Checks


def checks(*, noted: bool = True) -> Checks:
    """How to understand what a store only keeps.

    Without *noted* nothing may be noted by it, and what would tell later versions apart is spared.
    """
    from cas_llm import keys
    from cas_llm.store.proof.checks import Checks

    recorder = f"cas-llm/{_version('cas-llm')}"
    version = _judgement(recorder) if noted else ""
    return Checks(parts_of, keys.rederive, lines_of, _secret_in, recorder, version)


def parts_of(data: bytes) -> Mapping[str, str]:
    """The digests and extensions of the parts that the key record in *data* names.

    Raises:
        ValueError: it is no key record.

    """
    import orjson

    from cas_llm import keys

    record = orjson.loads(data)
    if not isinstance(record, dict):
        raise ValueError("not a key record: no JSON object")  # noqa: TRY004 - what Checks promises
    return keys.parts_of(record)


def lines_of(
    record_data: bytes, answer: Answer, load_part: Callable[[str, str], bytes]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines a reviewer should see of a stored request and its answer."""
    from cas_llm import keys
    from cas_llm.providers import provider_for

    record = keys.load_record(record_data)
    extensions = keys.parts_of(record)
    body = keys.restore(record.get("body"), lambda digest: load_part(digest, extensions[digest]))
    provider = provider_for(str(record["api"]).partition("@")[0])
    response = answer.response
    message = provider.message(response.body, response.header("content-type"))
    return tuple(provider.ask(body)), tuple(provider.answer(message))


def _secret_in(data: bytes) -> str:
    from cas_llm.redact.scan import find_secret

    found = find_secret(data)
    return f"{found.kind} at {found.path}" if found else ""


def _judgement(recorder: str) -> str:
    """What decides about stored bytes: this code as it lies on the disk, and whom it asks."""
    import hashlib
    import platform

    said = [recorder, platform.python_version()]
    said += [f"{name}/{_version(name)}" for name in ("detect-secrets", "orjson")]
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found = path.stat()
        said.append(f"{path.name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _version(name: str) -> str:
    """The version of a distribution; ``unknown`` where it is none, as in a bare source tree."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
