"""The last look at what would be written: a finding refuses the write, nothing is rewritten.

detect-secrets is imported when the first bytes are looked at. Only its detectors of exact formats
run, on the whole text at once; its own file scan goes line by line and loads plugins anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from cas_llm.errors import SecretFound
from cas_llm.redact.literals import literals, spell_path
from cas_llm.redact.placeholders import Finding

if TYPE_CHECKING:
    from detect_secrets.plugins.base import RegexBasedDetector

    from cas_llm.redact.redactor import Redactor

# Measured on the requests and answers of 448 real exchanges, where only IPPublicDetector fires (on
# 4; an address is no secret), and on 75 MB of installed Python packages and documents. Left out:
# - IPPublicDetector;
# - BasicAuthDetector: 69 findings in the 75 MB, all of the sort user:pass@example.com, and
#   {"http://a.b":"me@c.d"} is one; `shapes` has the format without the passwords of tutorials;
# - ArtifactoryDetector: takes any quoted word like "APBiologyExam";
# - IbmCloudIamDetector, IbmCosHmacDetector, CloudantDetector, SoftlayerDetector: keywords, not
#   formats ("key" and 44 letters), and three quarters of the time;
# - NpmDetector: quadratic on one long line; `shapes` has both its formats.
_DETECTORS = (
    ("aws", "AWSKeyDetector"),
    ("azure_storage_key", "AzureStorageKeyDetector"),
    ("discord", "DiscordBotTokenDetector"),
    ("github_token", "GitHubTokenDetector"),
    ("gitlab_token", "GitLabTokenDetector"),
    ("jwt", "JwtTokenDetector"),
    ("mailchimp", "MailchimpDetector"),
    ("openai", "OpenAIDetector"),
    ("private_key", "PrivateKeyDetector"),
    ("pypi_token", "PypiTokenDetector"),
    ("sendgrid", "SendGridDetector"),
    ("slack", "SlackDetector"),
    ("square_oauth", "SquareOAuthDetector"),
    ("stripe", "StripeDetector"),
    ("telegram_token", "TelegramBotTokenDetector"),
    ("twilio", "TwilioKeyDetector"),
)

# No format is longer; in media and signatures the open-ended patterns would go quadratic.
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{2048,}")
_KEY_BODY = re.compile(r"(?:[^\"-]|-(?!----)){0,400}?[A-Za-z0-9+/]{32}")


def find_secret(data: bytes) -> Finding | None:
    """The first secret of an exact format in *data*, else None; placeholders are none.

    The path is the JSON path where *data* is JSON, else the line.
    """
    text = data.decode("utf-8", "replace")
    for kind, secret in _matches(_LONG_RUN.sub(" ", text)):
        start = text.index(secret)
        return Finding(kind, _place(text, start, start + len(secret)))
    return None


def scan_for_secrets(data: bytes, *, where: str, redactor: Redactor | None = None) -> None:
    """Refuse to write *data* to *where* if it holds a secret.

    With a *redactor*, what that should have replaced counts too.

    Raises:
        SecretFound: names the kind and the place, never the value, and says what to do.

    """
    found = redactor.find(data.decode("utf-8", "replace")) if redactor else None
    found = found or find_secret(data)
    if found is None:
        return
    raise SecretFound(
        f"{where}: not written, because {found.path} looks like a secret ({found.kind}).\n"
        "Take it out of the prompt or the tool's answer, or add a rule that replaces it to "
        "pyproject.toml and record again:\n"
        '  [tool.cas-llm]\n  redact = ["my-secret=PATTERN"]',
        path=found.path,
        kind=found.kind,
    )


@cache
def _detectors() -> tuple[RegexBasedDetector, ...]:
    from importlib import import_module

    return tuple(
        getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
        for module, name in _DETECTORS
    )


def _matches(text: str) -> Iterator[tuple[str, str]]:
    for detector in _detectors():
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                if _counts(type(detector).__name__, text, match):
                    yield detector.secret_type, match[0]


def _counts(detector: str, text: str, match: re.Match[str]) -> bool:
    if detector == "JwtTokenDetector":
        from detect_secrets.plugins.jwt import JwtTokenDetector

        return match[0].count(".") > 0 and bool(JwtTokenDetector.is_formally_valid(match[0]))
    if detector == "PrivateKeyDetector":  # "BEGIN PRIVATE KEY" in a sentence is no key
        return _KEY_BODY.match(text, match.end()) is not None
    return True


def _place(text: str, start: int, end: int) -> str:
    """Where the secret stands; a member name that holds it is not spelt out."""
    if text.lstrip()[:1] in ("{", "["):
        for literal in literals(text):
            if literal.role != "array" and literal.start < end and start <= literal.end:
                shown = ("…" if text[start:end] in str(step) else step for step in literal.path)
                steps = tuple(
                    step if isinstance(original, int) else str(step)
                    for step, original in zip(shown, literal.path, strict=True)
                )
                return spell_path(steps)
    return f"line {text.count(chr(10), 0, start) + 1}"
