"""Whether a process of this machine still runs. Part of the store; sends no process anything."""

from __future__ import annotations

import os
import sys

_MAY_BE_ASKED = 0x1000
_DENIED = 5
_STILL_ACTIVE = 259


def is_alive(pid: str) -> bool:
    """Whether the process *pid* of this machine runs; a text that is no number is none."""
    if not (pid.isascii() and pid.isdigit()) or not 0 < int(pid) < 2**32:
        return False
    if sys.platform == "win32":
        # There signal 0 is no question but a Ctrl-C.
        return _is_alive_on_windows(int(pid))
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.OpenProcess(_MAY_BE_ASKED, False, pid))
    if not process:
        return bool(ctypes.get_last_error() == _DENIED)  # type: ignore[attr-defined,unused-ignore]
    code = ctypes.c_ulong()
    try:
        asked = kernel.GetExitCodeProcess(process, ctypes.byref(code))
        return not asked or code.value == _STILL_ACTIVE
    finally:
        kernel.CloseHandle(process)
