"""Finding secrets in one text: the format rules, the user's rules, the values that were named.

Clean text costs a few looks and no regular expression.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import orjson

from cas_llm.errors import ConfigError
from cas_llm.redact.encoded import decoded, long_words, unescaped
from cas_llm.redact.environ import is_secret, spellings
from cas_llm.redact.literals import Literal, literals, offsets
from cas_llm.redact.marks import any_of, may_begin
from cas_llm.redact.placeholders import Edit, Hit, apply, edits_of, settled
from cas_llm.redact.shapes import SHAPES, Shape

# Looking for each of a hundred marks in every text costs more than all else that is done to a
# request: 22 us for 1 KB. Nearly all formats are, or hold, one long word, and most texts have none;
# in those words one expression looks for all marks at once.
_SHORT = tuple((mark, index) for index, s in enumerate(SHAPES) if not s.long for mark in s.marks)
_LONE = tuple((mark, index) for index, s in enumerate(SHAPES) if s.lone for mark in s.marks)
_FRAMES = tuple(
    (mark, index) for index, s in enumerate(SHAPES) if s.long and not s.lone for mark in s.marks
)
_LONE_MARKS = re.compile(any_of([mark for mark, _ in _LONE]))
# What was found may be the head of a longer mark, and may hide one that begins within it.
_MEANT = {
    found: tuple((mark, index) for mark, index in _LONE if may_begin(mark, found))
    for found, _ in _LONE
}
_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_REQUEST_KEY = "request-key"


class Search:
    """What counts as a secret, compiled; immutable and safe to share between threads."""

    def __init__(
        self,
        secrets: Mapping[str, str],
        rules: Sequence[tuple[str, str]],
        credentials: Sequence[str] = (),
    ) -> None:
        kinds: dict[str, str] = {}
        for name in sorted(secrets):
            if is_secret(secrets[name]):
                kinds.setdefault(secrets[name], f"env:{name}")
        for value in credentials:  # a variable's name says more, so it comes first
            if is_secret(value):
                kinds.setdefault(value, _REQUEST_KEY)
        forms: dict[str, str] = {}
        for value, kind in kinds.items():
            for form in spellings(value):
                if kind != _REQUEST_KEY or form not in forms:
                    forms[form] = kind
        self._values = tuple(sorted(forms.items(), key=lambda item: (-len(item[0]), item[1])))
        self._rules = tuple((name, _compiled(name, pattern)) for name, pattern in rules)

    def values(self) -> tuple[tuple[str, str], ...]:
        """Each spelling of each named value with its class, longest first."""
        return self._values

    def hits(self, text: str, *, rules: bool = True) -> list[Hit]:
        """The secrets of *text* in order; they don't overlap and are no placeholders.

        Those behind escapes and in base64 are among them. Without *rules* the user's own are left
        out.
        """
        own = self._rules if rules else ()
        found = self._plain(text, own)
        for reading in unescaped(text):
            for hit in self._plain(reading.text, own):
                span = reading.span(*hit.spans[0])
                found.append(Hit(hit.kind, hit.secret, (span,), hit.exact))
        said = decoded(text)
        if said is not None:
            for hit in self._plain(said.text, ()):
                place = said.span(*hit.spans[0])
                if place is not None:
                    found.append(Hit(hit.kind, hit.secret, (place,)))
        return settled(text, found) if found else found

    def _plain(self, text: str, rules: Sequence[tuple[str, re.Pattern[str]]]) -> list[Hit]:
        found = _formats(text)
        for name, rule in rules:
            group = 1 if rule.groups else 0
            found += [
                _hit(text, name, match[group], match.span(group), exact=False)
                for match in rule.finditer(text)
                if match[group]
            ]
        for form, kind in self._values:
            start = text.find(form)
            while start >= 0:
                span = (start, start + len(form))
                found.append(_hit(text, kind, kind, span, exact=False))
                start = text.find(form, span[1])
        return found


def _formats(text: str) -> list[Hit]:
    """What of *text* has the format of a secret."""
    found = {index for mark, index in _SHORT if mark in text}
    words = long_words(text)
    if words:
        for told in set(_LONE_MARKS.findall(words)):
            found.update(index for mark, index in _MEANT[told] if mark in words)
        found.update(index for mark, index in _FRAMES if mark in text)
    return [
        _hit(text, SHAPES[index].kind, secret, span, exact=True)
        for index in sorted(found)
        for secret, span in _matches(SHAPES[index], text)
    ]


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    source = "[tool.cas-llm] redact"
    if not _RULE_NAME.match(name):
        raise ConfigError(
            f"the rule name {name!r} stands in placeholders: use letters, digits, '-', '_', '.'",
            source=source,
        )
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"the pattern of rule {name!r} is no regular expression: {error}", source=source
        ) from None


def _matches(shape: Shape, text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The secrets of one *shape*; where a mark leads, no other place of *text* is tried."""
    group = 1 if shape.pattern.groups else 0
    if not shape.leads:
        for match in shape.pattern.finditer(text):
            yield match[group], match.span(group)
        return
    for mark in shape.marks:
        at = text.find(mark)
        while at >= 0:
            found = shape.pattern.match(text, at)
            if found and found[group] is not None:
                yield found[group], found.span(group)
            at = text.find(mark, found.end() if found else at + 1)


def _hit(text: str, kind: str, secret: str, span: tuple[int, int], *, exact: bool) -> Hit:
    """A hit that doesn't start inside a JSON escape: the `n` of a line break is not its own."""
    start, end = span
    if text[start] in 'bfnrtu"\\/':
        before = start
        while before and text[before - 1] == "\\":
            before -= 1
        if (start - before) % 2:
            start = min(start + (5 if text[start] == "u" else 1), end - 1)
    return Hit(kind, secret, ((start, end),), exact)


def safe_edits(text: str, hits: Sequence[Hit], names: dict[str, str]) -> list[Edit]:
    """The edits for *hits* that leave JSON text valid JSON.

    Formats never hold a quote, so only a value or a user's rule can reach over the end of a
    string or hit a number. Then each string keeps its quotes, and a number becomes a string.
    """
    edits = edits_of(hits, names)
    if all(hit.exact for hit in hits) or text.lstrip()[:1] not in ("{", "[", '"'):
        return edits
    if not _is_json(text) or _is_json(apply(text, edits)):
        return edits
    spans = sorted((*span, names[hit.secret]) for hit in hits for span in hit.spans)
    ends = [end for _, end, _ in spans]
    placed = [literal for literal in literals(text) if literal.role != "array"]
    found: list[Edit] = []
    for literal in placed:
        first = last = bisect_right(ends, literal.start)
        while last < len(spans) and spans[last][0] < literal.end:
            last += 1
        found += _confined(text, literal, spans[first:last])
    return found


def _confined(text: str, literal: Literal, met: Sequence[tuple[int, int, str]]) -> Iterator[Edit]:
    """What of the spans *met* lies in *literal*: whole characters of a string, or all of a number.

    Each of *met* is a start, an end and a placeholder.
    """
    inside = [(max(start, literal.start), min(end, literal.end), name) for start, end, name in met]
    if inside and literal.role == "scalar":
        yield Edit(literal.start, literal.end, f'"{inside[0][2]}"')
        return
    units = offsets(text[literal.start : literal.end]) if inside else []
    for start, end, name in inside:
        low = units[max(0, bisect_right(units, start - literal.start) - 1)]
        high = next(unit for unit in units if unit >= end - literal.start)
        yield Edit(literal.start + low, literal.start + high, name)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
