"""A repository with two recorded tests, in which recordings get stale."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from support.commits import Repository
from support.stores import asks, recorded, says, tape_of

from cas_llm.guard.codes import CODES
from cas_llm.guard.stale import judge
from cas_llm.store import Recording, Store
from cas_llm.store.proof.census import Finding

FILE = "tests/test_bot.py"
SUITE = "def test_one():\n    ...\n\ndef test_two():\n    ...\n"
ONE, TWO = f"{FILE}::test_one", f"{FILE}::test_two"
ASKS: dict[str, str] = {"PRE_COMMIT": "1"}


def answered(
    text: str, said: str, model: str = "", at: str = "", run: str = "0a1b2c3d"
) -> Recording:
    """A recording with a model and a moment."""
    made = recorded(asks(text), says(said), run)
    provenance = {"recorded_at": at or datetime.now(UTC).isoformat(), "model": model}
    return replace(
        made, answer=replace(made.answer, provenance={**made.answer.provenance, **provenance})
    )


class Bench:
    """A repository with two tests, each with a tape."""

    def __init__(self, path: Path) -> None:
        self.repository = Repository(path)

    @classmethod
    def made(cls, path: Path) -> Bench:
        """One in which both tests are recorded."""
        Repository.made(path).write(FILE, SUITE)
        made = cls(path)
        made.record(ONE, answered("one", "1"))
        made.record(TWO, answered("two", "2"))
        made.repository.commit("Record")
        return made

    def record(self, scope: str, *recordings: Recording, take: int = 0, source: str = "") -> Path:
        """Write recordings and a tape that names them; the tape."""
        store = Store(self.repository.root)
        for one in recordings:
            store.save(one)
        place = store.add_tape(tape_of(*recordings, scope=scope, take=take, source=source))
        store.close()
        return place

    def save(self, recording: Recording) -> str:
        """Write a recording that no tape names; its digest."""
        store = Store(self.repository.root)
        digest = store.save(recording)
        store.close()
        return digest

    def settings(self, text: str) -> None:
        """What [tool.cas-llm.stale] says."""
        self.repository.write("pyproject.toml", f"[tool.cas-llm.stale]\n{text}\n")

    def commit(self) -> list[Finding]:
        """What the hook says of a commit of all there is."""
        self.repository.git("add", "-A")
        return told(judge(self.repository.staged()))

    def all(self) -> list[Finding]:
        """What it says of all there is, once that is committed."""
        self.repository.commit()
        return told(judge(self.repository.staged(ASKS)))


def told(found: list[Finding]) -> list[Finding]:
    """The findings; each has a code of the table."""
    assert {one.code for one in found} <= CODES.keys()
    return found


def kinds(found: list[Finding]) -> list[tuple[str, str]]:
    """Code and severity of each finding."""
    return sorted((one.code, one.severity) for one in found)
