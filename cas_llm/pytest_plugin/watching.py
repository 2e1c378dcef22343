"""Feeds the log of tests: what each test used, read and imported, one line when it ends.

Watches where a store is or may be written; elsewhere, and where nothing is replayed, it does
nothing. Never fails a test: what can't be noted is not known, and whoever asks is told so.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from cas_llm.config import Settings
from cas_llm.dependencies import fingerprint, journal, runlog
from cas_llm.dependencies.blobs import algorithm_of
from cas_llm.dependencies.journal import PASSED, Finished, Journal
from cas_llm.dependencies.places import CONFIGURATION, CONFTEST, join
from cas_llm.dependencies.witness import EVERYBODY, NOBODY, Witness
from cas_llm.errors import StoreError
from cas_llm.gitrepo import git_root
from cas_llm.modes import Mode
from cas_llm.pytest_plugin.choosing import is_worker
from cas_llm.session import Scope
from cas_llm.session.runtime import Runtime
from cas_llm.session.usage import Extent
from cas_llm.store import layout
from cas_llm.store.files import Writer

_SPAWNING = tuple(
    f"multiprocessing.popen_{how}" for how in ("forkserver", "spawn_posix", "spawn_win32")
)


class Watching:
    """What one process of the run watches."""

    def __init__(self, config: pytest.Config, runtime: Runtime, settings: Settings) -> None:
        self._config, self._runtime = config, runtime
        self._store = runtime.store
        self._top = git_root(config.rootpath) or config.rootpath
        self._began = time.time()
        self._on = _may_write(runtime, settings.mode)
        self._witness = Witness(self._top, (self._store.root,))
        folder = runtime.run.folder
        # Beside the run's folder, not in it: that one is there only if its processes shared work.
        self._journal = Journal(
            folder.with_name(journal.folder_of(self._store.root, folder.name).name),
            os.environ.get("PYTEST_XDIST_WORKER", "main"),
            os.getpid(),
        )
        self._path: list[str] = []
        self._roots: tuple[str, ...] = ()
        self._fingerprint = None
        if self._on and not is_worker():
            more = settings.hooks.get("environment", ())
            self._fingerprint = fingerprint.take(more=more)
        if self._on:
            self._witness.start()

    def begins(self) -> None:
        """A test begins: what is read from now on is its own, unless a file's code asks for it."""
        self._witness.context = NOBODY

    @contextlib.contextmanager
    def widely(self) -> Iterator[None]:
        """What is read meanwhile is for more than one test: a wider fixture's set-up."""
        before, self._witness.context = self._witness.context, EVERYBODY
        try:
            yield
        finally:
            self._witness.context = before

    def ends(self, item: pytest.Item, name: str, outcome: str, scopes: Sequence[Scope]) -> None:
        """A test is over; *scopes* are its own and those of the wider fixtures it asked for."""
        self._witness.context = EVERYBODY
        file = self._witness.place(item.path) if self._on else None
        if file is None:
            return
        before, roots = self._roots, self._looked_up()
        seen, may_have_child = self._witness.take(), self._may_have_child()
        asked = any(scope.uses or scope.problems for scope in scopes)
        if outcome == PASSED and roots is before and not (asked or seen or may_have_child):
            self._journal.write_plain(name, file)
            return
        used, tapes, missed, opaque = [], dict[str, None](), dict[str, None](), ""
        for scope in scopes:
            if scope.uses:
                used += [(use.key, use.digest) for use in scope.in_order()]
                tapes |= {use.tape: None for use in scope.uses.values() if use.tape}
            if scope.problems:
                missed |= {one.key: None for one in scope.problems if one.is_miss and one.key}
            if may_have_child and self._runtime.run.had_child(scope.owner):
                opaque = "it starts Python processes, whose reads can't be seen"
        done = Finished(
            name, file, outcome, runlog.pairs(used), tuple(tapes), tuple(missed), opaque
        )
        self._journal.write(done, seen, roots)

    def close(self, shared: Scope) -> None:
        """No test follows in this process; *shared* is the scope of imports."""
        if not self._on:
            return
        self._on = False
        self._witness.stop()
        self._journal.close(
            self._witness.take(),
            self._looked_up(),
            modules=sorted(self._modules()),
            plugins=sorted(self._plugins()),
            shared=runlog.pairs((use.key, use.digest) for use in shared.in_order()),
        )

    def keep(self, extent: Extent) -> None:
        """Bring together what all processes of the run wrote, with what was known before."""
        folder = self._journal.folder
        if self._fingerprint is None or not folder.is_dir():
            return
        try:
            if self._store.exists and os.access(self._store.root, os.W_OK):
                self._keep(extent, self._fingerprint)
        except (StoreError, OSError):
            # A full disk: what was known stays known, and what differs from it shows.
            pass
        finally:
            journal.remove(folder)

    def _keep(self, extent: Extent, taken: fingerprint.Fingerprint) -> None:
        from cas_llm.dependencies.merging import Facts, merged, suite_of

        local = self._store.root / layout.LOCAL
        suite = suite_of(self._top, self._config.rootpath)
        facts = Facts(
            self._top,
            suite,
            algorithm_of(self._top),
            self._began,
            taken,
            tuple(self._configuration(suite)),
            tuple(self._config.getini("python_files")),
            None if extent.narrowed else extent.collected,
            complete=not extent.lacks,
        )
        known = runlog.read(local, suite)
        log = merged(known, journal.read(self._journal.folder), facts)
        Writer(local / "tmp").replace(runlog.path_of(local, suite), runlog.encoded(log))

    def _configuration(self, suite: str) -> Iterator[str]:
        for name in CONFIGURATION:
            if (self._config.rootpath / name).is_file():
                yield join(suite, name)
        if self._config.inipath is not None and self._config.inipath.name not in CONFIGURATION:
            place = self._witness.place(self._config.inipath)
            yield from [place] if place else []

    def _looked_up(self) -> tuple[str, ...]:
        """The project's folders on ``sys.path``."""
        if sys.path != self._path:
            self._path = [*sys.path]
            found = [self._witness.place(entry or ".") for entry in self._path]
            self._roots = tuple(dict.fromkeys([*self._roots, *(one for one in found if one)]))
        return self._roots

    def _may_have_child(self) -> bool:
        # These start processes past every audit event.
        return self._witness.has_started or any(name in sys.modules for name in _SPAWNING)

    def _modules(self) -> set[str]:
        files = [getattr(module, "__file__", None) for module in [*sys.modules.values()]]
        places = [self._witness.place(file) for file in files if isinstance(file, str)]
        return {place for place in places if place and place.endswith(".py")}

    def _plugins(self) -> set[str]:
        """The plugins that lie in the project; conftest files have rules of their own."""
        found = set()
        for plugin in self._config.pluginmanager.get_plugins():
            file = getattr(plugin, "__file__", None)
            place = self._witness.place(file) if isinstance(file, str) else None
            if place and not place.endswith(CONFTEST):
                found.add(place)
        return found


def _may_write(runtime: Runtime, mode: Mode) -> bool:
    if mode is Mode.DISABLED:
        return False
    if not runtime.store.exists:
        return mode.records
    return os.access(runtime.store.root, os.W_OK)
