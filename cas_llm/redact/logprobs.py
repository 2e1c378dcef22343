"""What spells an answer's text again token by token, in numbers that no search for text finds.

Pure; where a text holds a secret, these are taken out whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from cas_llm.redact.deltas import Record
from cas_llm.redact.literals import literals
from cas_llm.redact.placeholders import Edit


def token_edits(records: Sequence[Record]) -> list[Edit]:
    """Edits that take out what spells the text again, in numbers: `bytes` and `top_logprobs`."""
    edits: list[Edit] = []
    for record in records:
        if '"logprobs"' not in record.text or record.value is None:
            continue
        lists = [lit for lit in literals(record.text) if lit.role == "array"]
        for literal in lists:
            if literal.end - literal.start == 2 or "logprobs" not in literal.path:
                continue
            start, end = record.start + literal.start, record.start + literal.end
            if literal.path[-1] == "top_logprobs":
                while edits and edits[-1].start >= start:
                    edits.pop()  # of what it holds
                edits.append(Edit(start, end, "[]"))
            elif literal.path[-1] == "bytes":
                edits.append(Edit(start, end, "null"))
    return sorted(edits, key=lambda edit: edit.start)
