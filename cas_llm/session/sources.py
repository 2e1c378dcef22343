"""The digest of a function's own text: changes with what it does, not with where it stands.

Dedented, without decorators and without the name: a test that is moved, renamed or gets another
marker keeps its digest, and so its tapes.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap

from cas_llm.digest import digest_of

_NAME = re.compile(r"\A(\s*(?:async\s+)?def\s+)\w+")


def source_digest(filename: str, line: int) -> str:
    """The digest of the function that begins at *line* (1-based) of the file *filename*.

    *line* may be its first decorator's, as in ``code.co_firstlineno``. Empty where there is no
    such text: a function made at run time, or from a file that is gone.
    """
    lines = linecache.getlines(filename)
    if not 0 < line <= len(lines):
        return ""
    text = textwrap.dedent("".join(inspect.getblock(lines[line - 1 :])))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ""
    function = next(
        (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))), None
    )
    if function is None:
        return ""
    own = text.splitlines(keepends=True)[function.lineno - 1 :]
    return digest_of(_NAME.sub(r"\1", "".join(own)).rstrip().encode())
