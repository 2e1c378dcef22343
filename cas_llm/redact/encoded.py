"""Other readings of a text, in which a secret may hide: escapes undone, base64 decoded.

Pure. Nothing here knows what a secret is: a reading is a text and the way back from its offsets to
those of the text it was read from, so that what is found in it can be edited in place.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from cas_llm.redact.shapes import LONG_WORD, WORD_CHARACTERS

_ESCAPED = re.compile(
    r"(?<!\\)\\++(?:u([0-9A-Fa-f]{4})|/)"  # a long run of them is tried once
    r"|%([0-9A-Fa-f]{2})"
    r"|&(?:#[0-9]{1,5}|#[xX][0-9A-Fa-f]{1,4}|quot|amp|apos|lt|gt);"
)
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")

_SHORTEST = 27  # letters of base64; the shortest format has 20 bytes
_LONGEST = 4096  # longer runs are media; `scan` looks into those when they would be written
_WRAPPED = 60  # a line of so many letters may go on in the next one
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LETTERS = f"{_ALPHABET}_-".encode()
_FLAT = bytes(97 if code in _LETTERS else 32 for code in range(256))  # a letter is "a", else blank
_NEEDLE = b"a" * _SHORTEST
_LONG_NEEDLE = b"a" * _WRAPPED  # wrapped lines of it make one run
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_FLAT_WORDS = bytes(97 if chr(code) in WORD_CHARACTERS else 32 for code in range(256))
_WORD = b"a" * LONG_WORD


def _without(bit: int) -> str:
    """The letters whose value lacks *bit*, as a class."""
    return "[" + "".join(a for value, a in enumerate(_ALPHABET) if not value & bit) + "]"


# Of three ASCII bytes no top bit is set, which shows in the first three letters of their group.
# Twenty bytes hold six such groups; of identifiers and media hardly anything does.
_ASCII = re.compile(f"(?:{_without(32)}{_without(8)}{_without(2)}[A-Za-z0-9+/_-]){{6}}")
_BREAK = re.compile(r"(?:\\+r)?(?:\\+n|\r?\n)")
_STANDARD = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Reading:
    """A text without escapes; `read` are offsets in it that stand at `raw` of the original."""

    text: str
    read: list[int]
    raw: list[int]

    def span(self, low: int, high: int) -> tuple[int, int]:
        """Where the characters from *low* to *high* of the reading stand in the original."""
        return self._origin(low), self._origin(high)

    def _origin(self, offset: int) -> int:
        index = bisect_right(self.read, offset) - 1
        return offset if index < 0 else self.raw[index] + offset - self.read[index]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What base64 says, under each of the four places where its first group may begin.

    `text` has a piece for each run and place, `starts` says where each begins, `shifts` its place,
    and `lines` where its letters stand in the original: (letters before, offset) of each line.
    """

    text: str
    starts: list[int]
    shifts: list[int]
    lines: list[list[tuple[int, int]]]

    def span(self, low: int, high: int) -> tuple[int, int] | None:
        """The letters that say nothing but characters *low* to *high*; None where pieces meet."""
        piece = bisect_right(self.starts, low) - 1
        if piece + 1 < len(self.starts) and high >= self.starts[piece + 1]:
            return None
        start, shift, lines = self.starts[piece], self.shifts[piece], self.lines[piece]
        first = shift - (-8 * (low - start) // 6)
        last = shift + 8 * (high - start) // 6
        return _letter(lines, first), _letter(lines, last - 1) + 1


def _letter(lines: list[tuple[int, int]], number: int) -> int:
    before, offset = lines[bisect_right(lines, (number, 1 << 62)) - 1]
    return offset + number - before


def long_words(text: str) -> str:
    """The words of *text* that may be, or hold, a secret of a known format, with blanks between."""
    flat = text.encode("ascii", "replace").translate(_FLAT_WORDS)
    at = flat.find(_WORD)
    words = []
    while at >= 0:
        end = flat.find(b" ", at)
        end = len(flat) if end < 0 else end
        words.append(text[at:end])
        at = flat.find(_WORD, end)
    return " ".join(words)


def unescaped(text: str) -> Iterator[Reading]:
    r"""The *text* with `\u002d`, `\/` (at any depth of JSON), `%2D` and `&#45;` undone.

    Nothing where there is none of them. A form may have written blanks as "+": a second reading.
    """
    if "\\u" not in text and "\\/" not in text and "%" not in text and "&" not in text:
        return
    pieces: list[str] = []
    read: list[int] = []  # offsets of each escape's character, and just after it
    raw: list[int] = []
    at = size = 0
    for escape in _ESCAPED.finditer(text):
        start, end = escape.span()
        code = escape[1] or escape[2]
        char = chr(int(code, 16)) if code else "/" if text[end - 1] == "/" else unescape(escape[0])
        pieces += (text[at:start], char)
        size += start - at + 1
        at = end
        read += (size - 1, size)
        raw += (start, end)
    if not read:
        return
    pieces.append(text[at:])
    yield Reading("".join(pieces), read, raw)
    if "+" in text and _PERCENT.search(text):
        pieces[::2] = [piece.replace("+", " ") for piece in pieces[::2]]
        yield Reading("".join(pieces), read, raw)


def decoded(text: str) -> Decoded | None:
    """What base64 of ASCII in *text* says, in either alphabet, wrapped or not; None without any.

    A path or an identifier may look like it: then what it says is noise.
    """
    flat = text.encode("ascii", "replace").translate(_FLAT)
    at = flat.find(_NEEDLE)
    if at < 0:
        return None
    found = Decoded("", [], [], [])
    said: list[str] = []
    size = 0
    while at >= 0:
        lines, letters, end = _run(text, flat, at)
        if len(letters) <= _LONGEST and _ASCII.search(letters):
            coded = letters.encode().translate(_STANDARD)
            for shift in range(4):
                piece = _decode(coded[shift:])
                found.starts.append(size)
                found.shifts.append(shift)
                found.lines.append(lines)
                said.append(piece)
                size += len(piece) + 1
        at = flat.find(_NEEDLE, end)
    return Decoded("\n".join(said), found.starts, found.shifts, found.lines) if said else None


def said_at_length(text: str) -> Iterator[tuple[int, str]]:
    """What base64 too long for `decoded` says, where that is text, with the place it stands at."""
    flat = text.encode("ascii", "replace").translate(_FLAT)
    at = flat.find(_LONG_NEEDLE)
    while at >= 0:
        _, letters, end = _run(text, flat, at)
        coded = letters.encode().translate(_STANDARD)
        for shift in range(4):
            piece = _decode(coded[shift:]).encode("latin-1")
            try:
                yield at, piece.decode("utf-16" if piece[:2] in _UTF16_MARKS else "utf-8")
            except UnicodeDecodeError:
                continue
        at = flat.find(_LONG_NEEDLE, end)


def _run(text: str, flat: bytes, start: int) -> tuple[list[tuple[int, int]], str, int]:
    """The run of letters from *start*, over wrapped lines: its lines, its letters, its end."""
    if text[start] in "nrtbf" and text[start - 1 : start] == "\\":
        start += 1
    lines: list[tuple[int, int]] = []
    letters: list[str] = []
    size = 0
    while True:
        end = flat.find(b" ", start)
        end = len(flat) if end < 0 else end
        lines.append((size, start))
        letters.append(text[start:end])
        size += end - start
        gap = _BREAK.match(text, end) if end - start >= _WRAPPED else None
        if gap is None or flat[gap.end() : gap.end() + 1] != b"a":
            return lines, "".join(letters), end
        start = gap.end()


def _decode(coded: bytes) -> str:
    """The bytes that *coded* says, each as a character; a single letter left over says nothing."""
    over = len(coded) % 4
    if over == 1:
        coded = coded[:-1]
    return a2b_base64(coded + b"=" * (-len(coded) % 4)).decode("latin-1")
