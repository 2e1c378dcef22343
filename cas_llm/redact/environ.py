"""Which values of an environment are secrets, and in which spellings they may appear.

The environment is handed in; nothing here reads it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

_NAME = re.compile(
    r"(?:^|_)(?:API_?KEYS?|TOKEN|SECRETS?|SECRET_[A-Z0-9_]+|\w*PASSWORD|PASSWD|PASSPHRASE|PAT"
    r"|CREDENTIALS?|AUTH|(?:ACCESS|PRIVATE|ENCRYPTION|SIGNING|MASTER|SUBSCRIPTION|LICENSE)_KEY"
    r"|ACCESS_KEY_ID|CONNECTION_STRING|WEBHOOK_SECRET|SESSION_TOKEN)\Z"
)
_KEY_NAME = re.compile(r"_KEY\d*\Z")  # a sort key is one too: only a value that looks made counts
_MADE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[!-~]{20,}\Z")
_STAND_IN = re.compile(
    r"place-?_?holder|change-?_?me|example|dummy|fake|your[-_ ]|redacted|cas-llm"
    r"|not[-_ ](?:a|the|set)|x{6}|\*{4}|<|\$\{|1234567",
    re.IGNORECASE,
)
_SHORTEST = 8
_DEPTH = 3  # a tool's arguments are JSON in JSON, and what they quote may be JSON again
_WORD = re.compile(r"[a-z]+(?:[-_ .][a-z]+)*\Z|[A-Z]+(?:[-_ .][A-Z]+)*\Z")


def is_secret(value: str) -> bool:
    """Whether *value* can be told from ordinary text: not short, a word, a number, a stand-in.

    `postgres` is a password too, but taking it out would change every prompt that names it.
    """
    if len(value) < _SHORTEST or len(set(value)) < 4 or _STAND_IN.search(value):
        return False
    if _WORD.match(value) and len(value) < 32:
        return False
    if value.startswith(("/", "./", "~/", "file:")) and "\n" not in value and "=" not in value:
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def secret_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of *environ* that hold secrets, by name: keys, tokens, passwords.

    Values that are too short, plain words, numbers, file names or stand-ins are left out, because
    they could not be told from ordinary text.
    """
    found = {}
    for name, value in environ.items():
        upper = name.upper()
        named = _NAME.search(upper) or (_KEY_NAME.search(upper) and _MADE.match(value))
        if named and is_secret(value.strip()):
            found[name] = value.strip()
    return found


def spellings(value: str) -> tuple[str, ...]:
    """How *value* may stand in a text: plain, in JSON at some depth, in a URL, in base64.

    The base64 spellings are what every encoding of any text around the value has in common, at
    each of the three places it may start in a group.
    """
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value)}
    for ascii_only in (True, False):
        form = value
        for _ in range(_DEPTH):
            form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
            forms.add(form)
    data = value.encode("utf-8", "surrogateescape")
    forms.add(data.decode("latin-1"))  # as bytes are read that are no text
    for before in range(3):
        bits = (before + len(data)) * 8
        text = base64.b64encode(b"\0" * before + data).decode()
        text = text[(0, 2, 3)[before] : bits // 6]
        forms |= {text, text.replace("+", "-").replace("/", "_"), text.replace("/", "\\/")}
    return tuple(sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True))
