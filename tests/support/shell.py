"""One bash that lives as long as a page: what a command exports or changes to holds for the next.

::

    shell = Shell(folder, environment, scratch)
    said, code = shell.run("export NAME=Ada && echo $NAME")
    shell.close()
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

_MARK = "\x1e"


class Shell:
    """A running bash in *folder*; commands go through a file in *scratch*, never through its input."""

    def __init__(self, folder: Path, environment: Mapping[str, str], scratch: Path) -> None:
        self._command = scratch / "command.sh"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str, seconds: float = 60) -> tuple[str, int]:
        """What *command* prints on both streams, and its exit code.

        Raises:
            TimeoutError: it has not ended after *seconds*; the shell is gone then.

        """
        self._command.write_text(command + "\n", "utf-8")
        assert self._bash.stdin is not None
        line = f". '{self._command}' </dev/null; printf '{_MARK}%s{_MARK}' $?\n"
        self._bash.stdin.write(line.encode())
        self._bash.stdin.flush()
        said = self._until_mark(command, time.monotonic() + seconds)
        text, code, _ = said.split(_MARK)
        return text, int(code)

    def _until_mark(self, command: str, deadline: float) -> str:
        assert self._bash.stdout is not None
        pipe, said = self._bash.stdout.fileno(), b""
        while said.count(_MARK.encode()) < 2:
            ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(pipe, 65536) if ready else b""
            if not piece:
                self.close()
                raise TimeoutError(f"{command!r} did not end; it said\n{said.decode()}")
            said += piece
        return said.decode("utf-8", "replace")

    def close(self) -> None:
        """End the shell and all it started."""
        if self._bash.poll() is None:
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        for pipe in (self._bash.stdin, self._bash.stdout):
            if pipe is not None:
                pipe.close()
