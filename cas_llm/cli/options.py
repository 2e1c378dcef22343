"""Options that several commands share, and the store they name.

Part of the command line; knows settings and stores, prints nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cas_llm import config
from cas_llm.cli.hints import command
from cas_llm.errors import ConfigError, NotAStore

if TYPE_CHECKING:
    from cas_llm.store import Store

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="The store; default: the project's.", show_default=False),
]
"""``--store PATH``; give it the default None."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""``--json``; give it the default False."""


def settings_of(store: Path | None = None) -> config.Settings:
    """The settings that hold in the current folder, with ``--store`` above all.

    Raises:
        ConfigError: a setting is unknown or has a bad value, or the store's place is a file.

    """
    said = {} if store is None else {"store": str(store)}
    settings = config.load(Path.cwd(), command_line=said)
    # One that is a file itself was refused by the settings already.
    above = next((place for place in settings.store.parents if place.exists()), None)
    if above is not None and not above.is_dir():
        source = settings.sources.get("store", "store")
        raise ConfigError(f"store must be a folder, and {above} is a file", source=source)
    return settings


def opened(store: Path | None = None) -> Store:
    """The store that ``--store`` or the settings name.

    Raises:
        NotAStore: there is none.
        StoreError: it is not one this version can read.

    """
    from cas_llm.store import Store, layout

    root = settings_of(store).store
    try:
        layout.read_format(root)
    except NotAStore:
        if store is None:
            raise
        raise nothing_at(root, store) from None
    return Store(root)


def nothing_at(root: Path, store: Path | None) -> NotAStore:
    """The error that there is no store at *root*, which ``--store`` named where it is not None."""
    mended = "make one with: cas-llm init"
    if store is not None:
        mended = f"name the one that is meant, or make one there: {command('init', store=store)}"
    return NotAStore(f"no cas-llm store at {root}; {mended}", path=root)
