"""A stored request under other rules: from its key record to the one it would be given now.

Pure. Rules take out and never bring back, so that a record says what another one is only where it
went through none of the new normalisers, or through the first of them in their order. Redaction
comes before hashing and so is in the record already: what was replaced stays, and what today's
rules would replace as well goes, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cas_llm.digest import digest_of
from cas_llm.keys.canonical import canonical, parse
from cas_llm.keys.parts import Part, parts_of, restore, split
from cas_llm.keys.record import KeyRecord
from cas_llm.keys.rules import REDACT_VERSION, Rules

LoadPart = Callable[[str], bytes | None]
Redact = Callable[[str], str]

_SET_ANEW = frozenset({"api", "namespace", "normalise", "body"})


class NotMovable(ValueError):
    """What a record says is not enough to know the request under the new rules; says why."""


def rules_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The normalisers that a loaded key record went through."""
    return tuple(record.get("normalise", ()))


def moved(
    record: Mapping[str, Any],
    rules: Rules,
    *,
    api: str,
    load: LoadPart,
    redact: Redact | None = None,
) -> KeyRecord:
    """The key record that the request of the loaded *record* has under *rules*, as one of *api*.

    *load* gives the bytes of a part by digest, or None where it is gone. Under the rules that it
    was made by, a record is moved to itself.

    Raises:
        NotMovable: *record* lacks what the rules would keep.
        ConfigError: a normaliser of *rules* is not known or malformed.

    """
    clean = _Cleaner(redact)
    new = {name: value for name, value in record.items() if name not in _SET_ANEW}
    new["api"] = api
    for name in ("path", "query", "headers"):
        if name in new:
            new[name] = clean.each(new[name])
    if rules.namespace:
        new["namespace"] = clean.text(rules.namespace)
    body, parts = None, dict[str, Part]()
    if "body" in record:
        body = _body(record, rules, load, clean)
        if rules.normalise:
            new["normalise"] = list(rules.normalise)
        new["body"], parts = split(body)
    elif any(redact(text) != text for text in _texts(record, load)) if redact else False:
        raise NotMovable("its body is no JSON, and a redact rule would change it")
    if clean.hit:
        new["redacted"] = REDACT_VERSION
    data = canonical(new)
    return KeyRecord(digest_of(data), data, parts, (), body, str(new["path"]))


class _Cleaner:
    """Redacts values and remembers whether there was anything to do."""

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact
        self.hit = False

    def text(self, text: str) -> str:
        clean = self._redact(text) if self._redact and text else text
        self.hit = self.hit or clean != text
        return clean

    def each(self, value: Any) -> Any:
        """*value* with every string in it redacted by itself; names stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self.text(item) for name, item in value.items()}
        return [self.each(item) for item in value]

    def json(self, value: Any) -> Any:
        """*value* redacted as one JSON text, as it is before it is hashed."""
        if self._redact is None:
            return value
        text = canonical(value, tag=False).decode()
        clean = self.text(text)
        return value if clean == text else parse(clean.encode())


def _body(record: Mapping[str, Any], rules: Rules, load: LoadPart, clean: _Cleaner) -> Any:
    known = rules_of(record)
    if known != rules.normalise[: len(known)]:
        raise NotMovable(_why(known, rules.normalise))
    value = clean.json(restore(record["body"], _present(load), with_media=True))
    if rules.normalise[len(known) :]:
        from cas_llm.keys.normalise import normaliser

        for rule in rules.normalise[len(known) :]:
            value = normaliser(rule)(value)
    return value


def _why(known: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    went = f"only known after {', '.join(known)}"
    if set(known) <= set(wanted):
        return f"{went}, which normalise must then begin with"
    return f"{went}, and what that took out is not stored"


def _present(load: LoadPart) -> Callable[[str], bytes]:
    def loaded(digest: str) -> bytes:
        data = load(digest)
        if data is None:
            raise NotMovable(f"its part {digest[:12]} is missing: cas-llm verify --repair")
        return data

    return loaded


def _texts(record: Mapping[str, Any], load: LoadPart) -> Iterator[str]:
    """Every text of a body that is no JSON: inline values, and parts as far as they are text."""
    pending: list[Any] = [record.get(name) for name in ("multipart", "subtype", "form", "bytes")]
    for item in pending:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    for digest in parts_of(record):
        yield (_present(load)(digest)).decode("utf-8", "surrogateescape")
