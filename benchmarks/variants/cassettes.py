"""Recorders of HTTP that keep YAML cassettes: vcrpy and cassetter.

Each is measured with all interactions in one cassette and with one cassette a call, which is what
one a test comes to. Their matchers are told to look at the body, without which any two calls of
one API would be the same. Cassettes are written as their own writers write them, at once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asking import UPSTREAM, Call, captured, sdk
from payloads import Kind, renumbered

from variants import Variant

_WRITTEN = "2026-01-01T00:00:00+00:00"


class _Cassettes(Variant):
    """One cassette for all, or with `per_test` one for each entry."""

    per_test = False

    def build(self, root: Path, kind: Kind, count: int) -> None:
        if not self.per_test:
            self.write(root / "all.yaml", kind, range(count))
            return
        for number in range(count):
            self.write(self.cassette(root, number), kind, [number])

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        call = sdk(kind, is_async=is_async)
        if not self.per_test:
            self._open = contextlib.ExitStack()
            self._open.enter_context(self.replaying(root / "all.yaml"))
            return call
        if is_async:

            async def ask_async(number: int) -> Any:
                with self.replaying(self.cassette(root, number)):
                    return await call(number)

            return ask_async

        def ask(number: int) -> Any:
            with self.replaying(self.cassette(root, number)):
                return call(number)

        return ask

    def recorder(self, root: Path, kind: Kind) -> Call:
        with self.recording(root / "none.yaml"):
            # cassetter wraps a transport that is not the library's own when its client is made.
            call = sdk(kind, UPSTREAM.transport(kind))

        def record(number: int) -> Any:
            with self.recording(self.cassette(root, number)):
                return call(number)

        return record

    def cassette(self, root: Path, number: int) -> Path:
        """The cassette that holds entry *number*."""
        return root / (f"{number}.yaml" if self.per_test else "all.yaml")

    def write(self, path: Path, kind: Kind, numbers: Iterable[int]) -> None:
        """Write a cassette with the entries *numbers*."""
        raise NotImplementedError

    def replaying(self, path: Path) -> Any:
        """The block in which the cassette at *path* answers."""
        raise NotImplementedError

    def recording(self, path: Path) -> Any:
        """The block in which the cassette at *path* takes what is new."""
        raise NotImplementedError


class Vcr(_Cassettes):
    """vcrpy; YAML written by its own serializer."""

    needs = ("vcr",)

    def __init__(self) -> None:
        self._vcr: Any = None

    def write(self, path: Path, kind: Kind, numbers: Iterable[int]) -> None:
        from vcr.persisters.filesystem import FilesystemPersister
        from vcr.request import Request
        from vcr.serializers import yamlserializer

        url, headers, template = captured(kind)
        cassette: dict[str, list[Any]] = {"requests": [], "responses": []}
        for number in numbers:
            body = renumbered(template, number)
            answer = {
                "status": {"code": 200, "message": "OK"},
                "headers": {"content-type": [kind.content_type]},
                "body": {"string": kind.answer(number)},
            }
            cassette["requests"].append(Request("POST", url, body, dict(headers)))
            cassette["responses"].append(answer)
        FilesystemPersister.save_cassette(path, cassette, yamlserializer)

    def replaying(self, path: Path) -> Any:
        return self._recorder("none").use_cassette(str(path), allow_playback_repeats=True)

    def recording(self, path: Path) -> Any:
        return self._recorder("new_episodes").use_cassette(str(path))

    def _recorder(self, mode: str) -> Any:
        if self._vcr is None:
            import vcr

            match = ("method", "scheme", "host", "port", "path", "query", "body")
            self._vcr = vcr.VCR(record_mode=mode, match_on=match)
        return self._vcr


class VcrPerTest(Vcr):
    """vcrpy with one cassette a call."""

    per_test = True


class Cassetter(_Cassettes):
    """cassetter, whose core is Rust; YAML in its own layout."""

    needs = ("cassetter", "yaml")

    def write(self, path: Path, kind: Kind, numbers: Iterable[int]) -> None:
        import yaml

        url, headers, template = captured(kind)
        interactions = []
        for number in numbers:
            request = {
                "method": "POST",
                "uri": url,
                "headers": {name: [value] for name, value in headers},
                "body": {"type": "json", "content": json.loads(renumbered(template, number))},
            }
            text = kind.answer(number).decode()
            body = (
                {"type": "text", "content": text}
                if kind.chunked
                else {
                    "type": "json",
                    "content": json.loads(text),
                }
            )
            head = {"content-type": [kind.content_type]}
            response = {"status": 200, "headers": head, "body": body}
            interactions.append({"request": request, "response": response, "recorded_at": _WRITTEN})
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        document = {"version": 1, "interactions": interactions}
        path.write_text(yaml.dump(document, Dumper=dumper, sort_keys=False))

    def replaying(self, path: Path) -> Any:
        return self._block(path, "none")

    def recording(self, path: Path) -> Any:
        return self._block(path, "new_episodes")

    @staticmethod
    def _block(path: Path, mode: str) -> Any:
        import cassetter

        match: Any = ["method", "uri", "json_body"]
        return cassetter.use_cassette(path, record_mode=mode, match_on=match)


class CassetterPerTest(Cassetter):
    """cassetter with one cassette a call."""

    per_test = True
