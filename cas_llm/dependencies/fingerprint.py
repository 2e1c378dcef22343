"""What the truth of a log rests on beside the project's files: if it differs, nothing is known.

Python, the machine's kind, the distributions installed, the version of cas-llm and of its keys,
and the environment variables that choose which model is asked what. Values of variables are never
kept, only their digests.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cas_llm.digest import digest_of
from cas_llm.keys.rules import KEY_VERSION

# Where requests go and which model they name: what SDKs and frameworks call these variables.
_CHOOSING = re.compile(
    r"[A-Z0-9_]*_(?:BASE_URL|API_BASE|API_URL|ENDPOINT|ENDPOINT_URL\w*|API_VERSION|API_TYPE"
    r"|MODEL|MODELS|MODEL_NAME|MODEL_ID|DEPLOYMENT|DEPLOYMENT_NAME)\Z|OLLAMA_HOST\Z"
)
# Of cas-llm's own, those that change a request or its key; not how it is kept, paced or paid.
_OWN = frozenset(
    f"CAS_LLM_{name}"
    for name in (
        *("EXHAUSTED", "HOSTS", "IGNORE_HOSTS", "NAMESPACE"),
        *("NORMALISE", "REDACT", "REPEAT", "VCR"),
    )
)
_PACKAGES = frozenset({"site-packages", "dist-packages"})
_SHOWN = 3


@dataclass(frozen=True)
class Fingerprint:
    """One state of the world that tests ran in.

    `distributions` maps a name to its version, `variables` a name to the digest of its value.
    """

    python: str = ""
    machine: str = ""
    keys: str = ""
    cas_llm: str = ""
    distributions: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON, for `of_document`."""
        return {
            "python": self.python,
            "machine": self.machine,
            "keys": self.keys,
            "cas_llm": self.cas_llm,
            "distributions": dict(self.distributions),
            "variables": dict(self.variables),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Fingerprint:
        """What `document` gave; `KeyError` or `TypeError` where it is something else."""
        return cls(
            str(document["python"]),
            str(document["machine"]),
            str(document["keys"]),
            str(document["cas_llm"]),
            dict(document["distributions"]),
            dict(document["variables"]),
        )

    def differences(self, now: Fingerprint) -> Iterator[str]:
        """What is not *now* as it was, each in a few words."""
        for what, then, there in (
            ("Python", self.python, now.python),
            ("the machine", self.machine, now.machine),
            ("the key version", self.keys, now.keys),
            ("cas-llm", self.cas_llm, now.cas_llm),
        ):
            if then != there:
                yield f"{what} was {then}, and is {there}"
        yield from _several(_packages(self.distributions, now.distributions), "distributions")
        yield from _several(_variables(self.variables, now.variables), "variables")


def take(environ: Mapping[str, str] | None = None, more: Iterable[str] = ()) -> Fingerprint:
    """The fingerprint of this process; *more* names variables that count as well."""
    environ = os.environ if environ is None else environ
    named = frozenset(more)
    distributions = dict(_distributions(sys.path))
    return Fingerprint(
        f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}",
        f"{sys.platform} {_machine()}",
        KEY_VERSION,
        distributions.get("cas_llm", ""),
        distributions,
        {
            name: digest_of(value.encode("utf-8", "surrogatepass"))[:16]
            for name, value in sorted(environ.items())
            if value and (name in _OWN or name in named or _CHOOSING.match(name))
        },
    )


def _machine() -> str:
    if hasattr(os, "uname"):
        return os.uname().machine
    return os.environ.get("PROCESSOR_ARCHITECTURE", "")


def _distributions(path: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and version of what is installed, from the names of folders alone."""
    for folder in dict.fromkeys(path):
        if os.path.basename(os.path.normpath(folder)) not in _PACKAGES:  # noqa: PTH119 - sys.path
            continue
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in sorted(names):
            stem, ending = os.path.splitext(name)  # noqa: PTH122 - a thousand of them
            if ending in {".dist-info", ".egg-info"}:
                distribution, _, version = stem.partition("-")
                yield distribution.lower().replace(".", "_"), version


def _packages(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if name not in now:
            yield f"{name} {then[name]} is gone"
        elif name not in then:
            yield f"{name} {now[name]} is new"
        elif then[name] != now[name]:
            yield f"{name} was {then[name]}, and is {now[name]}"


def _variables(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            how = "is not set" if name not in now else "is set" if name not in then else "differs"
            yield f"{name} {how} now"


def _several(words: Iterable[str], what: str) -> Iterator[str]:
    found = list(words)
    if len(found) > _SHOWN:
        found = [*found[:_SHOWN], f"{len(found) - _SHOWN} more {what} differ"]
    yield from found
