"""The bytes of git's objects one after another, asked of one process that stays."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from cas_llm.gitrepo.running import variables


class Blobs:
    """The blobs of the repository at *root* by their ids; a context manager that ends the process.

    git is started by the first question. One question costs what it costs in a batch.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, blob: str) -> bytes:
        """All bytes of *blob*.

        Raises:
            FileNotFoundError: git has no such blob, or cannot be asked.

        """
        process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{blob}\n".encode("ascii"))
            process.stdin.flush()
        except OSError:
            raise FileNotFoundError(2, "git ended", blob) from None
        # "<id> blob <size>", or "<what was asked> missing".
        words = process.stdout.readline().split()
        if len(words) != 3:
            raise FileNotFoundError(2, "git has no such blob", blob)
        data = process.stdout.read(int(words[2]) + 1)
        return data[:-1]

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - arguments are ours, no shell
                ["git", "-C", str(self._root), "cat-file", "--batch"],  # noqa: S607 - the user's
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=variables(self._root),
            )
        except OSError:
            raise FileNotFoundError(2, "git cannot be started", str(self._root)) from None
        return self._process
