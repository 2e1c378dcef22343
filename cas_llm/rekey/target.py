"""The rules that a store is to be moved to.

Pure. A key record holds the name of its API and not the host it came from, so that of the hosts in
the settings only those that stand in such a name say which one is meant; any other is a rename.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cas_llm.keys import Rules


@dataclass(frozen=True)
class Target:
    """Normalisers, namespace, and what APIs and namespaces are called from now on.

    *namespace* is that of requests that have none; *namespaces* maps those that have one. *apis*
    goes before *hosts*, which maps hosts to API names as the settings do. *redact* takes secrets
    out of a text.
    """

    normalise: tuple[str, ...] = ()
    namespace: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    apis: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    redact: Callable[[str], str] | None = None

    def api_of(self, record: Mapping[str, Any]) -> str:
        """What the API of a loaded key record is called now."""
        old = str(record["api"])
        if old in self.apis:
            return self.apis[old]
        return self.hosts.get(old.partition("@")[2]) or old

    def rules_for(self, record: Mapping[str, Any]) -> Rules:
        """The rules that the request of a loaded key record is keyed by now."""
        old = str(record.get("namespace", ""))
        namespace = self.namespaces.get(old, old) if old else self.namespace
        return Rules(self.normalise, namespace)
