"""The command line in this process: what it prints, and how it ends."""

from __future__ import annotations

import pytest

from cas_llm.cli import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """What a command prints on both streams; it must end with *code*."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    printed = capsys.readouterr()
    assert end.value.code == code, printed
    return printed.out, printed.err
