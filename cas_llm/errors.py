"""Every exception cas-llm raises on purpose.

::

    CasLLMError                   base of everything raised on purpose
    ├── ConfigError               a bad setting; names where it came from
    ├── CacheMiss                 a request that has no recording and may not be called
    ├── LiveCallBlocked           something tried to reach a provider past every recorder
    ├── BudgetExceeded            the run spent what it may
    ├── SecretFound               a secret would have been written; names the place, never the value
    ├── PlaceholderKey            a live call with the key that stands in for a missing one
    └── StoreError                a file of the store is not what it must be
        ├── NotAStore             no store where one was named
        ├── FormatTooNew          written by a later cas-llm
        ├── ObjectMissing         named, but not on disk
        ├── ObjectCorrupt         on disk, but not what its name says
        └── ManifestInvalid       a tape or an entry that cannot be read

Each message says what, where and why, and ends with the next command to type.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cas_llm.session.misses import Miss


class CasLLMError(Exception):
    """Base of everything cas-llm raises on purpose."""


class ConfigError(CasLLMError):
    """A setting has a value it may not have, or is not known.

    `source` names where the setting came from, for example ``pyproject.toml`` or
    ``CAS_LLM_MODE``.
    """

    def __init__(self, message: str, *, source: str = "") -> None:
        super().__init__(f"{source}: {message}" if source else message)
        self.source = source


class CacheMiss(CasLLMError):
    """A request has no recording and the mode forbids to call; carries the `misses`."""

    def __init__(self, message: str, *, misses: tuple[Miss, ...] = ()) -> None:
        super().__init__(message)
        self.misses = misses


class LiveCallBlocked(CasLLMError):
    """A connection to a provider was refused; carries `host` and `how` it was attempted.

    Deliberately not an `OSError`: HTTP libraries swallow and retry those.
    """

    def __init__(self, message: str, *, host: str = "", how: str = "") -> None:
        super().__init__(message)
        self.host = host
        self.how = how


class BudgetExceeded(CasLLMError):
    """A live call was refused because the run has spent `spent` of its `limit` (US dollars)."""

    def __init__(self, message: str, *, spent: float, limit: float) -> None:
        super().__init__(message)
        self.spent = spent
        self.limit = limit


class SecretFound(CasLLMError):
    """A write was refused because it held a secret; `path` and `kind` say where and what."""

    def __init__(self, message: str, *, path: str, kind: str) -> None:
        super().__init__(message)
        self.path = path
        self.kind = kind


class PlaceholderKey(CasLLMError):
    """A live call would have used the placeholder of the missing key `variable`."""

    def __init__(self, message: str, *, variable: str) -> None:
        super().__init__(message)
        self.variable = variable


class StoreError(CasLLMError):
    """A file of the store is not what it must be; `path` names it."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class NotAStore(StoreError):
    """There is no store where one was named."""


class FormatTooNew(StoreError):
    """The store was written by a later version of cas-llm."""


class ObjectMissing(StoreError):
    """A digest is named by the manifest, but its file is not on disk."""

    def __init__(self, message: str, *, digest: str, path: Path) -> None:
        super().__init__(message, path=path)
        self.digest = digest


class ObjectCorrupt(StoreError):
    """A file's bytes do not have the digest its name says."""

    def __init__(self, message: str, *, digest: str, path: Path) -> None:
        super().__init__(message, path=path)
        self.digest = digest


class ManifestInvalid(StoreError):
    """A tape or a shared entry cannot be read."""
