"""Whether a process still runs, here and as Windows tells it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cas_llm.store import alive


def test_a_process_is_alive_until_it_has_ended():
    """Its own number, a child's before and after its end, and what is no number."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert alive.is_alive(str(os.getpid()))
    assert alive.is_alive(str(child.pid))
    child.communicate(b"\n")
    assert not alive.is_alive(str(child.pid))
    assert [alive.is_alive(text) for text in ("", "x", "0", "-1", "²", "9" * 30)] == [False] * 6


@pytest.mark.parametrize(
    ("process", "error", "code", "is_alive"),
    [(7, 0, 259, True), (7, 0, 0, False), (None, 5, 0, True), (None, 87, 0, False)],
    ids=["works", "ended", "another user's", "unknown"],
)
def test_windows_is_asked_without_a_signal(monkeypatch, process, error, code, is_alive):
    """One that cannot be asked is there, one that cannot be found is not; handles are closed."""
    closed = []

    def exit_code(handle, place):
        place._obj.value = code
        return 1

    def opened(access, inherits, pid):
        assert pid == 4711
        return process

    kernel = SimpleNamespace(
        OpenProcess=opened,
        GetExitCodeProcess=exit_code,
        CloseHandle=lambda handle: closed.append(handle.value),
    )
    monkeypatch.setattr(ctypes, "WinDLL", lambda *_, **__: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: error, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert alive.is_alive("4711") is is_alive
    assert closed == ([7] if process else [])
