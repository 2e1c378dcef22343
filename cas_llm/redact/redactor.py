"""The one object that takes secrets out of requests and answers.

It knows what is a secret when it is made, keeps nothing secret of what it sees, and never looks at
the environment or at a file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from cas_llm.redact.deltas import fields_of, hits_of, records_of
from cas_llm.redact.logprobs import token_edits
from cas_llm.redact.placeholders import (
    PLACEHOLDER,
    Edit,
    Finding,
    Hit,
    apply,
    edits_of,
    names_of,
    recut,
)
from cas_llm.redact.placing import clear_of, edits_in, places_of
from cas_llm.redact.search import Search, safe_edits
from cas_llm.wire import Chunk, Headers

_NO_SECRETS: Mapping[str, str] = MappingProxyType({})
# The same few paths and headers come with every request; nothing secret is ever among them.
_SHORT = 128
_CLEAN_KEPT = 256
_ROUNDS = 8  # a round may uncover a secret that stood glued to another; two are the most seen
_HEADER_KINDS = {
    "authorization": "authorization",
    "proxy-authorization": "authorization",
    "x-api-key": "api-key",
    "api-key": "api-key",
    "x-goog-api-key": "api-key",
    "ocp-apim-subscription-key": "api-key",
    "x-amz-security-token": "aws-session-token",
    "x-auth-token": "api-key",
    "cookie": "cookie",
    "set-cookie": "cookie",
}
_TEXTUAL = ("json", "text/", "xml", "javascript", "form-urlencoded", "multipart/", "yaml", "sdp")


class Redactor:
    """Replaces secrets by placeholders such as `[cas-llm:openai-key:1]`.

    *secrets* are values to take out wherever they stand, by the name of their variable; *rules*
    are further (name, regular expression) pairs, of which group 1, if any, is the secret;
    *credentials* are values without a name, the request's own. Immutable and safe to share between
    threads.

    Raises:
        ConfigError: a rule has a bad name or pattern.

    """

    def __init__(
        self,
        secrets: Mapping[str, str] = _NO_SECRETS,
        rules: Sequence[tuple[str, str]] = (),
        credentials: Sequence[str] = (),
    ) -> None:
        self._search = Search(secrets, rules, credentials)
        self._clean: set[str] = set()

    def text(self, text: str) -> str:
        """The *text* without secrets: the same object if there are none.

        Doing it twice changes nothing more. JSON text stays valid JSON.
        """
        asked, short = text, len(text) <= _SHORT
        if short and text in self._clean:
            return text
        for _ in range(_ROUNDS):
            hits = self._search.hits(text)
            if not hits:
                break
            done = apply(text, safe_edits(text, hits, names_of(text, hits)))
            if done == text:  # a user's rule that matches what it left
                break
            text = done
        if short and text is asked and len(self._clean) < _CLEAN_KEPT:
            self._clean.add(text)
        return text

    def find(self, text: str) -> Finding | None:
        """The first secret of *text* that its format or its value gives away, else None.

        The project's own rules don't count: they may match what they left, or any digest.
        """
        hits = self._search.hits(text, rules=False)
        if not hits:
            return None
        form = "json" if text.lstrip()[:1] in ("{", "[") else "text"
        return Finding(hits[0].kind, self.text(places_of(text, form, (), hits[:1])[0]))

    def body(
        self, body: bytes, content_type: str, chunks: tuple[Chunk, ...] = ()
    ) -> tuple[bytes, tuple[Chunk, ...], tuple[Finding, ...]]:
        """The *body* of an answer without secrets, its *chunks* cut anew, and what was found.

        The same objects and no findings if there is nothing to replace. In a stream a secret is
        found over any number of deltas of one field: the placeholder stands where it starts, its
        other pieces are cut out, all other bytes stay. Of a body that isn't text only the literal
        values of named secrets are replaced.
        """
        form = _form(body, content_type)
        encoding = "latin-1" if form == "binary" else "utf-8"
        errors = "strict" if form == "binary" else "surrogateescape"
        text = body.decode(encoding, errors)
        findings: list[Finding] = []
        for _ in range(_ROUNDS):
            edits, found = self._round(text, form)
            if not edits:
                break
            done = apply(text, edits)
            if done == text:
                break
            findings += found
            cut = _recut_bytes if form == "binary" else recut
            chunks = cut(chunks, text, edits)
            text = done
        if not findings:
            return body, chunks, ()
        return text.encode(encoding, errors), chunks, tuple(dict.fromkeys(findings))

    def headers(self, headers: Headers) -> Headers:
        """The *headers* without secrets; those that exist to carry one lose their whole value.

        The scheme of an authorization stays. The same object if there is nothing to replace.
        """
        found: dict[str, str] = {}
        changed = tuple((name, self._header(name, value, found)) for name, value in headers)
        return headers if changed == headers else changed

    def _header(self, name: str, value: str, found: dict[str, str]) -> str:
        kind = _HEADER_KINDS.get(name.lower())
        if kind is None:
            return self.text(value)
        scheme, space, secret = (
            value.rpartition(" ") if kind == "authorization" else ("", "", value)
        )
        if not secret or PLACEHOLDER.fullmatch(secret):
            return value
        if scheme.lower() in {"bearer", "basic"}:
            kind = "bearer" if scheme.lower() == "bearer" else "basic-auth"
        elif scheme:  # several parts, a signature: all of it
            scheme, space, secret = "", "", value
        hits = self._search.hits(secret)
        if hits and hits[0].spans == ((0, len(secret)),):
            kind = hits[0].kind
        return scheme + space + found.setdefault(secret, f"[cas-llm:{kind}:{len(found) + 1}]")

    def _round(self, text: str, form: str) -> tuple[list[Edit], list[Finding]]:
        """One search of *text*: the edits it asks for, in order, and what they are for."""
        if form == "binary":
            hits = self._values_in(text)
            return edits_of(hits, names_of("", hits)), [Finding(hit.kind, "$") for hit in hits]
        records = records_of(text, form)
        joined = hits_of(fields_of(records), self._search.hits) if records else []
        taken = sorted(span for hit, _ in joined for span in hit.spans)
        plain = clear_of(taken, self._search.hits(text))
        hits = sorted([*(hit for hit, _ in joined), *plain], key=lambda hit: hit.start)
        if not hits:
            return [], []
        names = names_of(text, hits)
        edits = edits_in(text, records, hits, names)
        tokens = token_edits(records)
        begun = [edit.start for edit in tokens]
        for edit in edits:
            before = bisect_right(begun, edit.start)
            if not before or tokens[before - 1].end <= edit.start:
                tokens.append(edit)
        edits = sorted(tokens, key=lambda edit: edit.start)
        told = {id(hit): place for hit, place in joined}
        places = zip(hits, places_of(text, form, records, hits), strict=True)
        findings = [Finding(hit.kind, self.text(told.get(id(hit), place))) for hit, place in places]
        return edits, findings

    def _values_in(self, text: str) -> list[Hit]:
        """The named values as they stand in bytes; a format may match bytes by accident."""
        hits: list[Hit] = []
        for form, kind in self._search.values():
            raw = form.encode("utf-8", "surrogateescape").decode("latin-1")
            start = text.find(raw)
            while start >= 0:
                span = (start, start + len(raw))
                if not _meets(span, [hit.spans[0] for hit in hits]):
                    hits.append(Hit(kind, kind, (span,)))
                start = text.find(raw, span[1])
        return sorted(hits, key=lambda hit: hit.start)


def _form(body: bytes, content_type: str) -> str:
    """What sort of text *body* is: `sse`, `lines`, `json`, `text` or `binary`."""
    kind = content_type.partition(";")[0].strip().lower()
    if "event-stream" in kind and "vnd.amazon" not in kind:
        return "sse"
    if "ndjson" in kind or "jsonl" in kind or "json-lines" in kind:
        return "lines"
    known = any(word in kind for word in _TEXTUAL)
    head = body[:64].lstrip()
    if not kind or kind == "application/octet-stream":
        try:
            body.decode()
        except UnicodeDecodeError:
            return "binary"
        if head.startswith((b"data:", b"event:", b":")):
            return "sse"
        known = True
    if not known:
        return "binary"
    if head[:1] == b"[" or (head[:1] == b"{" and "json" in kind):
        # JSON lines are often sent as plain JSON: more than one line that is a whole object.
        first = body.lstrip().partition(b"\n")[0].rstrip()
        return "lines" if first[-1:] == b"}" and b"\n{" in body else "json"
    return "json" if head[:1] == b"{" else "text"


def _meets(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in others)


def _recut_bytes(chunks: tuple[Chunk, ...], text: str, edits: Sequence[Edit]) -> tuple[Chunk, ...]:
    """As `recut`, where a character is a byte: bytes above 127 are written as "?" for counting."""
    return recut(chunks, text.encode("ascii", "replace").decode(), edits)
