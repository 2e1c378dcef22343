"""Children forked from a warm parent: everything is imported, so each costs a few milliseconds.

A child tells its parent what it has to say through a pipe, line by line, so that all it said
before it was killed is known.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tell = Callable[..., None]


@dataclass
class Child:
    """A forked process; `join` waits for its end."""

    pid: int
    pipe: int

    def kill(self) -> None:
        """End it at once, whatever it does."""
        os.kill(self.pid, signal.SIGKILL)

    def join(self, seconds: float = 60.0) -> tuple[int, list[Any]]:
        """Its exit code, negative for a signal, and what it told.

        Raises:
            TimeoutError: it did not come to its end; it is killed.

        """
        until, data = time.monotonic() + seconds, b""
        while True:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.kill()
                self.join(5)
                raise TimeoutError(f"a child ran for more than {seconds} s")
            piece = os.read(self.pipe, 1 << 16)
            if not piece:
                break
            data += piece
        os.close(self.pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        # What follows the last line end was cut off by the kill.
        return code, [
            json.loads(line) for line in data.splitlines(keepends=True) if line[-1:] == b"\n"
        ]


def fork(body: Callable[[Tell], None]) -> Child:
    """Run *body* in a child; it is given a function that tells the parent its arguments."""
    read, write = os.pipe()
    real = os.write
    pid = os.fork()
    if pid:
        os.close(write)
        return Child(pid, read)
    code = 70
    try:
        os.close(read)
        body(lambda *values: real(write, json.dumps(values).encode() + b"\n") and None)
        code = 0
    except BaseException:
        real(2, traceback.format_exc().encode())
    finally:
        os._exit(code)
