r"""What changes by itself between two runs: is that all that differs, and what to do about it.

Pure. `keys.compare` guesses by the look of a value; here the guess is taken back where somebody may
have meant the change: a number in a prompt, another file, the name of a model. What is left is
said, and only rules that were tried on both requests are offered (`nearest` tries them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cas_llm.keys import Difference
from cas_llm.keys.explain import VOLATILE
from cas_llm.keys.normalise import is_tool_result

RESULT_ORDER = "result-order"
TOOL_ORDER = "tool-order"
TOOL_RESULT = "a tool result"

WORDS: Mapping[str, str] = {
    "time": "a time",
    "uuid": "a uuid",
    "counter": "a counter",
    "path": "a path",
    "port": "a port",
    "order": "the order of a list",
    RESULT_ORDER: "the order of parallel tool results",
    TOOL_ORDER: "the order of the tools",
}
"""Each kind in words."""

_INDEX = re.compile(r"\[\d+\]")
_LEAF = re.compile(r"[\w-]+(?=\"?\]?\Z)")
_TEMPORARY = re.compile(
    r"/(?:private/)?(?:tmp|var/folders|var/tmp)/|/(?:home|Users)/|[A-Za-z]:\\Users\\", re.IGNORECASE
)
_CALL_IDS = ("tool_call_id", "tool_use_id", "call_id")
_ID_MEMBER = re.compile(r"(?:.*[_-])?(?:ids?|seq|sequence|serial|counter|attempt|nonce|pid|run)\Z")
_RUN_WORD = re.compile(
    r"(?:attempt|build|call|job|msg|pid|req|request|run|session|task|test|thread|tmp|trace|worker)"
    r"[-_#]\Z",
    re.IGNORECASE,
)
_PROSE = frozenset(
    {"content", "text", "input", "prompt", "instructions", "system", "output", "arguments", "query"}
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{64}")
_DATED = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d\d?:\d\d\Z")
_MADE = re.compile(r"\d|tmp", re.IGNORECASE)
_FIRST_YEAR = "2020"
_MILLISECONDS = 10**11


@dataclass(frozen=True)
class Token:
    """A piece of a text that changed by itself: its kind, and how it was and is."""

    kind: str
    old: str
    new: str


def judged(difference: Difference, place: str = "") -> Difference:
    """*difference*, which lies in *place*, with its kinds as far as they are beyond doubt.

    Several kinds within one text are joined by ``", "``; `kinds` takes them apart.
    """
    old, new = difference.old, difference.new
    if difference.volatile == "order":
        return replace(difference, volatile=_order(difference.path, old, new))
    if difference.kind != "changed":
        return difference
    if isinstance(old, str) and isinstance(new, str):
        tokens = changed(old, new)
        sure = bool(tokens) and all(
            _is_sure(token, old, difference.path, place) for token in tokens
        )
        if not place and all(_CLOCK.match(token.old) for token in tokens):
            sure = False  # an appointment, a score or a verse as likely as the time of day
        found = dict.fromkeys(token.kind for token in tokens) if sure else ()
        return replace(difference, volatile=", ".join(found))
    if difference.volatile or not (_is_count(old, new) and place):
        return difference
    if _ID_MEMBER.match(_leaf(difference.path)):
        return replace(difference, volatile="counter")
    return difference


def kinds(difference: Difference) -> tuple[str, ...]:
    """The kinds of a judged difference; none where nobody can say that it came by itself."""
    return tuple(difference.volatile.split(", ")) if difference.volatile else ()


def said(difference: Difference) -> str:
    """The kinds of a judged difference in words."""
    return " and ".join(WORDS.get(kind, kind) for kind in kinds(difference))


def changed(old: str, new: str) -> list[Token]:
    """The pieces in which two texts differ, if all they differ in looks as if it came by itself."""
    found: list[Token] = []
    for kind, pattern in VOLATILE:
        before, after = pattern.findall(old), pattern.findall(new)
        # One that came or went is a change of the text around it.
        if len(before) == len(after):
            pairs = zip(before, after, strict=True)
            found += [Token(kind, *pair) for pair in pairs if pair[0] != pair[1]]
            old, new = pattern.sub("\0", old), pattern.sub("\0", new)
    return found if old == new else []


def freezing(differences: Iterable[Difference]) -> tuple[str, ...]:
    """What makes a test repeat what was recorded: a line for each kind, in the order met."""
    found: dict[str, str] = {}
    for difference in differences:
        for kind, old in _values(difference):
            line = _freeze(kind, old)
            if line:
                found.setdefault(kind, line)
    return tuple(found.values())


def normalisers(differences: Sequence[Difference]) -> Iterator[tuple[str, ...]]:
    """Rules that may make both requests one, the most general first; none where nothing can.

    Each is to be tried before it is told.
    """
    choices = [list(_rules(difference)) for difference in differences]
    if not choices or not all(choices):
        return
    widest = [options[0] for options in choices]
    exact = [options[-1] for options in choices]
    for chosen in dict.fromkeys((tuple(widest), tuple(exact))):
        yield tuple(dict.fromkeys(rule for rules in chosen for rule in rules))


def _order(path: str, old: Any, new: Any) -> str:
    if path == "$.tools":
        return TOOL_ORDER
    moved = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
    runs = all(is_tool_result(item) for pair in moved for item in pair)
    return RESULT_ORDER if runs else "order"


def _is_sure(token: Token, text: str, path: str, place: str) -> bool:
    if _leaf(path) == "model":
        return False  # versions of models are dates
    if token.kind == "path":
        # Slashes of an encoding are not those of a path.
        return not _BASE64.search(text) and _is_elsewhere(token)
    if token.kind == "time" and _DATED.match(token.old) and _DATED.match(token.new):
        # The clock goes forward, and began when there was something to record.
        return _FIRST_YEAR <= token.old[:10] <= token.new[:10]
    if token.kind != "counter":
        return True
    head, other = (text.rstrip("0123456789") for text in (token.old, token.new))
    if path.count(".") + path.count("[") < 2 and _leaf(path) not in _PROSE:
        return False  # an option of the request, such as its model
    if head != other:
        return False
    if not head:
        return bool(place) and _ID_MEMBER.match(_leaf(path)) is not None
    return bool(place) or _RUN_WORD.search(head) is not None


def _is_elsewhere(token: Token) -> bool:
    """Whether two paths may well be of one file; another name in one folder is another file."""
    (there, name), (here, other) = (
        re.split(r"[/\\](?=[^/\\]*\Z)", side.rstrip("/\\")) for side in (token.old, token.new)
    )
    if name == other:
        return True
    made = there != here or all(map(_MADE.search, (name, other)))
    return made and all(map(_TEMPORARY.match, (token.old, token.new)))


def _is_count(old: Any, new: Any) -> bool:
    return all(isinstance(one, int) and not isinstance(one, bool) for one in (old, new))


def _leaf(path: str) -> str:
    found = _LEAF.search(path)
    return found[0] if found else ""


def _values(difference: Difference) -> Iterator[tuple[str, Any]]:
    """Each kind of a difference with a value that was recorded."""
    if isinstance(difference.old, str) and isinstance(difference.new, str):
        for token in changed(difference.old, difference.new):
            yield token.kind, token.old
    elif difference.volatile == RESULT_ORDER:
        pairs = zip(difference.old, difference.new, strict=True)
        yield RESULT_ORDER, [old for old, new in pairs if old != new]
    else:
        for kind in kinds(difference):
            yield kind, difference.old


def _freeze(kind: str, old: Any) -> str:
    if kind == "time" and isinstance(old, str):
        return f'time_machine.travel("{old}")' if _DATED.match(old) else ""
    if kind == "time":
        return f"time_machine.travel({old / 1000 if old > _MILLISECONDS else old})"
    if kind == "uuid":
        return f'monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID("{old}"))'
    if kind == "port":
        return f"let the test's server listen on port {old}"
    if kind == "path":
        return "monkeypatch.chdir(tmp_path), and name files by relative paths"
    if kind == "counter":
        return f"begin the count anew in each test, so that it is {old} again"
    if kind == RESULT_ORDER:
        calls = [_call_of(result) for result in old]
        return f"hand the results over as recorded: {', '.join(calls)}" if all(calls) else ""
    return ""


def _call_of(result: Mapping[str, Any]) -> str:
    """The id of the call that a tool's result answers, in the shape of any family, or nothing."""
    return next((result[name] for name in _CALL_IDS if isinstance(result.get(name), str)), "")


def _rules(difference: Difference) -> Iterator[tuple[str, ...]]:
    """The rules for one difference, the general ones first, then those for just its place."""
    if difference.volatile in {RESULT_ORDER, TOOL_ORDER}:
        names = {RESULT_ORDER: "tool-result-order", TOOL_ORDER: "tool-order"}
        yield (names[difference.volatile],)
        return
    if not difference.path.startswith("$") or not difference.volatile:
        return
    places = dict.fromkeys((_INDEX.sub("[*]", difference.path), difference.path))
    for place in places:
        each = [_rule(kind, old, place, difference) for kind, old in _values(difference)]
        if each and all(each):
            yield tuple(dict.fromkeys(each))


def _rule(kind: str, old: Any, place: str, difference: Difference) -> str:
    if kind == "time":
        return f"time:{place}"
    if kind == "uuid":
        return "uuid"
    if kind not in {"counter", "path", "port"}:
        return ""
    whole = difference.old == old and _leaf(place) not in _PROSE and not place.endswith("]")
    if whole:
        return f"ignore:{place}"
    if kind == "port":
        return r"regex:(?<=localhost:)\d+|(?<=127\.0\.0\.1:)\d+|(?<=\[::1\]:)\d+=>port"
    if kind == "counter" and isinstance(old, str):
        head = old.rstrip("0123456789")
        return rf"regex:(?<![\w.]){re.escape(head)}\d+(?!\w|\.\d)=>counter"
    return _path_rule(old, difference) if kind == "path" else ""


def _path_rule(old: str, difference: Difference) -> str:
    """A pattern for both paths: what they share as it is, any name where they differ."""
    tokens = [t for t in changed(difference.old, difference.new) if t.old == old]
    new = tokens[0].new if tokens else old
    mine, theirs = old.split("/"), new.split("/")
    if len(mine) != len(theirs) or "\\" in old:
        return ""
    names = [
        re.escape(one) if one == other else _both(one, other)
        for one, other in zip(mine, theirs, strict=True)
    ]
    return f"regex:{'/'.join(names)}=>path"


def _both(one: str, other: str) -> str:
    digits = re.compile(r"\d+")
    if digits.sub("0", one) == digits.sub("0", other):
        return re.escape(digits.sub("\0", one)).replace("\\\0", r"\d+").replace("\0", r"\d+")
    return r"[^/\s\"']+"
