"""Stand-ins for provider keys that are not set, so that a replay needs none.

The SDKs' constructors raise without a key, often at import. A stand-in never leaves the process:
a live call that carries one is refused and names the variable. The environment is the whole
process's, so the stand-ins stay until the last of those who wanted them is done.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from cas_llm.config import Settings
from cas_llm.modes import Mode
from cas_llm.providers import KEY_VARIABLES
from cas_llm.session.policy import PLACEHOLDER

# google-genai warns when both of its variables are set.
_TWINS = {"GOOGLE_API_KEY": "GEMINI_API_KEY"}

# A stand-in for Bedrock's own token would change how botocore asks: it prefers the token to the
# credentials a client has, refuses plain HTTP with it, and fails for clients made without it.
_AWS_TOKEN = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105 - a name
_AWS_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AWS_WAYS = (
    *_AWS_PAIR,
    _AWS_TOKEN,
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_AWS_CONFIGURED = re.compile(r"^\s*(?:sso_|role_arn|credential_|aws_access_key_id)", re.MULTILINE)

_lock = threading.Lock()
_names: set[str] = set()
_wanted_by = 0


class Placeholders:
    """The stand-ins that one pytest session or one block wants; only in replay."""

    def __init__(self, settings: Settings) -> None:
        self._wanted = settings.placeholder_keys and settings.mode is Mode.REPLAY
        self._put = False

    def put(self) -> None:
        """Set each key variable that is not set."""
        global _wanted_by  # noqa: PLW0603
        if not self._wanted or self._put:
            return
        with _lock:
            self._put = True
            _wanted_by += 1
            for name in _variables():
                twin = _TWINS.get(name)
                if name not in os.environ and (twin is None or twin not in os.environ):
                    os.environ[name] = PLACEHOLDER
                    _names.add(name)

    def take_back(self) -> None:
        """Unset those that are still the stand-in, unless somebody else wants them."""
        global _wanted_by  # noqa: PLW0603
        if not self._put:
            return
        with _lock:
            self._put = False
            _wanted_by -= 1
            if _wanted_by:
                return
            for name in _names:
                if os.environ.get(name) == PLACEHOLDER:
                    del os.environ[name]
            _names.clear()


def _variables() -> list[str]:
    """The variables that may get a stand-in; Amazon's only where nothing else gives credentials."""
    names = [name for name in KEY_VARIABLES if name != _AWS_TOKEN]
    return names if _has_aws_credentials() else [*names, *_AWS_PAIR]


def _has_aws_credentials() -> bool:
    """Whether Amazon's SDKs would find credentials, as far as that shows without asking anybody."""
    if any(os.environ.get(name) for name in _AWS_WAYS):
        return True
    home = Path("~/.aws").expanduser()
    try:
        config = Path(os.environ.get("AWS_CONFIG_FILE") or home / "config")
        text = config.read_text("utf-8", "replace") if config.is_file() else ""
        return (home / "credentials").is_file() or bool(_AWS_CONFIGURED.search(text))
    except OSError:
        return False
