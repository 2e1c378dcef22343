"""Server-sent events, parsed as they arrive.

Pure. Follows the "event stream" section of the HTML standard, and where providers depart from it
keeps what they sent: an event with a name but no data is delivered, and so is one that the end of
the stream cut off. Never raises and never waits for more than the current line.
"""

from __future__ import annotations

from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name as sent (empty when none was), its data lines joined, the last id."""

    event: str
    data: str
    id: str = ""


class SSEParser:
    r"""Turn bytes into events, whatever the chunk boundaries.

    Lines end with ``\n``, ``\r\n`` or ``\r``; a byte order mark at the start and comments are
    skipped; bytes that aren't UTF-8 become U+FFFD. The events of a stream are the same under any
    way of cutting it into chunks.
    """

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._after_cr = False
        self._first_line = True
        self._name = ""
        self._data: list[str] = []
        self._last_id = ""

    def feed(self, data: bytes) -> list[Event]:
        """The events that *data* completes."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = b"" if data.endswith((b"\r", b"\n")) else lines.pop()
        if lines and self._tail:
            lines[0] = b"".join(self._tail) + lines[0]
            self._tail.clear()
        if rest:
            self._tail.append(rest)
        return [event for line in lines for event in self._line(line)]

    def close(self) -> list[Event]:
        """The event that the end of the stream cut off, if there is one."""
        events: list[Event] = []
        if self._tail:
            events += self._line(b"".join(self._tail))
            self._tail.clear()
        return events + self._dispatch()

    def _line(self, line: bytes) -> list[Event]:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._last_id = value
        return []

    def _dispatch(self) -> list[Event]:
        if not self._data and not self._name:
            return []
        event = Event(self._name, "\n".join(self._data), self._last_id)
        self._name = ""
        self._data.clear()
        return [event]


def parse_events(body: bytes) -> list[Event]:
    """Every event of a whole *body*, the cut-off last one included."""
    parser = SSEParser()
    return parser.feed(body) + parser.close()
