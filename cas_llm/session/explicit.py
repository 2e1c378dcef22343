"""The binding of what was asked for by name: a drop-in client, a cached function.

Such a caller is recorded wherever it is used. Where a session holds it belongs to that; elsewhere
the settings of the working directory decide, and its requests are shared. Imports no HTTP library.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cas_llm import config
from cas_llm.config import Rank, Settings
from cas_llm.errors import ConfigError
from cas_llm.modes import Mode
from cas_llm.session.bindings import Binding, current
from cas_llm.session.pipeline import Session
from cas_llm.session.runtime import Runtime, runtime_for
from cas_llm.session.scopes import Scope

_OPTIONS = ("mode", "store", "hosts", "namespace", "repeat", "exhausted", "normalise")


def _is_setting(variable: str) -> bool:
    return variable.startswith("CAS_LLM_") or variable == "CI"


class Explicit:
    """Where the requests of one caller belong, asked anew for each.

    *options* are a mode or a mapping of what ``use()`` takes, less ``name`` and ``live``; they
    weigh as much as those of a ``use()`` around each request. With *every_request* all of them
    count, whatever their host.

    Raises:
        ConfigError: an option is unknown or has a bad value; names *source*.

    """

    def __init__(
        self,
        options: Mode | str | Mapping[str, Any] | None = None,
        *,
        source: str,
        every_request: bool = False,
    ) -> None:
        self._source = source
        self._every_request = every_request
        given: dict[str, Any] = dict(options) if isinstance(options, Mapping) else {"mode": options}
        unknown = sorted(given.keys() - set(_OPTIONS))
        if unknown:
            known = ", ".join(_OPTIONS)
            raise ConfigError(f"unknown option {unknown[0]!r}; known are {known}", source=source)
        self._mode: Mode | str | None = given.pop("mode", None)
        if given.get("store") is not None:
            store = config.read_option("store", given["store"], source)
            given["store"] = str(Path(store).absolute())
        self._overrides = {name: value for name, value in given.items() if value is not None}
        self._settled: tuple[object, Settings] | None = None
        self._own: dict[Path, tuple[Runtime, Scope]] = {}
        # Bad values are told where they stand, not at the first request.
        self.settings()

    def settings(self) -> Settings:
        """The settings that hold here and now."""
        outer = current()
        return self._with_options(self._base() if outer is None else outer.session.settings)

    def binding(self) -> Binding:
        """The session and scope for a request made here and now."""
        outer = current()
        if outer is None:
            settings = self._with_options(self._base())
            return self._bound(settings, *self._apart(settings))
        if not (self._every_request or self._mode or self._overrides):
            return outer
        settings = self._with_options(outer.session.settings)
        if settings.store != outer.session.settings.store:
            return self._bound(settings, *self._apart(settings))
        return self._bound(
            settings,
            outer.session.runtime,
            outer.scope,
            replace_edited=outer.session.replace_edited,
        )

    def _bound(
        self, settings: Settings, runtime: Runtime, scope: Scope, *, replace_edited: bool = False
    ) -> Binding:
        session = Session(
            settings, runtime, every_request=self._every_request, replace_edited=replace_edited
        )
        return Binding(session, scope)

    def _base(self) -> Settings:
        here = (os.getcwd(), [pair for pair in os.environ.items() if _is_setting(pair[0])])  # noqa: PTH109 - hot
        if self._settled is None or self._settled[0] != here:
            self._settled = (here, config.load(Path.cwd()))
        return self._settled[1]

    def _with_options(self, settings: Settings) -> Settings:
        said = settings.says(self._mode, Rank.USE, self._source)
        return said.but(self._source, **self._overrides) if self._overrides else said

    def _apart(self, settings: Settings) -> tuple[Runtime, Scope]:
        """The runtime of a store no session here uses, and the one shared scope on it."""
        runtime = runtime_for(settings)
        known = self._own.get(settings.store)
        if known is None or known[0] is not runtime:
            known = self._own[settings.store] = (runtime, Scope())
            # No block ends here, so what waits to be synced is at the end of the process.
            atexit.register(runtime.flush_at_end)
        return known
