"""Which tests a change affects, and every reason to doubt the answer; pure, and runs nothing.

Where there is a doubt, nobody may trust `tests` to be all: whoever asks takes all tests that ask an
LLM. More changed files never select fewer tests.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from cas_llm.dependencies import graph
from cas_llm.dependencies.blobs import ABSENT, blob_id
from cas_llm.dependencies.fingerprint import Fingerprint
from cas_llm.dependencies.places import CONFIGURATION, CONFTEST, join
from cas_llm.dependencies.reach import Reach, Tree
from cas_llm.dependencies.runlog import RunLog, Test

__all__ = ["Selection", "Tree", "affected"]


@dataclass(frozen=True)
class Selection:
    """What a change affects, each with why.

    `tests` are those that asked an LLM when they last ran, `others` those that did not; `files`
    are test files that changed or are new, whose tests may be others than the known ones. `behind`
    are tests that ask an LLM and that this change does not reach, but an earlier one did after
    they last ran. `doubts` are reasons why `tests` may lack some.
    """

    tests: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def affected(
    log: RunLog | None,
    changed: Mapping[str, bytes | None],
    now: Fingerprint | None = None,
    tree: Tree | None = None,
) -> Selection:
    """What *changed* affects by what *log* knows.

    *changed* maps a path below the top of the work tree to its new bytes, None where it goes; a
    rename is a deletion and an addition. *now* is what tests would run in, *tree* all that will be
    there after the change; without them nothing else is taken to have changed since the log.
    """
    if log is None:
        return Selection(doubts=("no run of the tests is known here; run: pytest",))
    reach = Reach(log, changed, tree)
    llm = log.llm_tests()
    later = _behind(reach, llm)
    tests: dict[str, str] = {}
    others: dict[str, str] = {}
    behind: dict[str, str] = {}
    for name, test in log.tests.items():
        if why := reach.why(name, test) or _blind(reach, name, test):
            (tests if name in llm else others)[name] = why
        elif name in later:
            behind[name] = later[name]
    files = _test_files(reach)
    doubts = tuple(_doubts(reach, files, now))
    return Selection(tests, others, files, behind, doubts)


def _blind(reach: Reach, name: str, test: Test) -> str:
    """Why *any* change may affect a test; empty where not all of it has to be feared."""
    if not reach.changed:
        return ""
    cause = test.opaque or reach.starters.get(test.file, "")
    return cause and f"{name} is affected by any change: {cause}"


def _test_files(reach: Reach) -> dict[str, str]:
    """The changed files that hold tests, and those that seem to."""
    log = reach.log
    run = {test.file for test in log.tests.values()} if reach.changed else set()
    return {
        path: f"{path}, {reach.how(path)}"
        for path, data in reach.changed.items()
        if data is not None and (path in run or _is_test_file(log, path))
    }


def _is_test_file(log: RunLog, path: str) -> bool:
    suite = "" if log.suite == "." else f"{log.suite}/"
    name = posixpath.basename(path)
    return path.startswith(suite) and any(fnmatchcase(name, one) for one in log.patterns)


def _behind(reach: Reach, llm: Mapping[str, Test]) -> dict[str, str]:
    """The tests that an edit reached after they last ran, beside what changes now."""
    edited = reach.edited.keys() - reach.changed.keys()
    edited |= {
        path
        for path, known in reach.log.data.items()
        if path not in reach.changed and reach.id_of(path, known) not in {known, ABSENT}
    }
    ways = reach.ways_to(edited) if edited else {}
    found = {}
    for name, test in llm.items():
        step = reach.first_step(test, ways) if ways else ""
        path = graph.end_of(step, ways) if step else next(iter(test.behind), "")
        if path:
            found[name] = f"{path} was edited after {name} last ran"
    return found


def _doubts(reach: Reach, files: Mapping[str, str], now: Fingerprint | None) -> Iterator[str]:
    log, changed = reach.log, reach.changed
    if now is not None and (words := "; ".join(log.fingerprint.differences(now))):
        yield f"the tests last ran in another environment: {words}"
    for path in sorted(_configurations(reach)):
        yield f"{path} changed after the tests last ran"
    for path in sorted(changed):
        if posixpath.basename(path) == CONFTEST or path in log.plugins:
            yield f"{path} {reach.how(path)}: it may change any test"
    for path in sorted(files):
        if path not in log.files:
            yield f"{path} never ran"
    for path, (_, dynamic) in sorted(reach.texts.items()):
        if dynamic and path in changed:
            yield f"{path} {reach.how(path)}: it imports by names made at run time"


def _configurations(reach: Reach) -> set[str]:
    """The files of settings that are not as they were when the tests ran."""
    log, changed = reach.log, reach.changed
    places = {join(folder, name) for folder in (".", log.suite) for name in CONFIGURATION}
    found = set()
    for path in places | log.configuration.keys():
        known = log.configuration.get(path, ABSENT)
        if path in changed:
            data = changed[path]
            now = ABSENT if data is None else blob_id(data, log.algorithm)
        else:
            # What the log does not name was not there, or is no setting of this suite.
            now = reach.id_of(path, known) if path in log.configuration else known
        if now != known:
            found.add(path)
    return found
