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
from cas_llm.redact.encoded import said_at_length
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
# What every match of these patterns holds, and finding it costs little: clean text costs a quarter.
# A pattern of another release of detect-secrets that is not here is tried on every text.
_HOLDS: dict[str, str | re.Pattern[str]] = {
    r"aws.{0,20}?(?:key|pwd|pw|password|pass|token).{0,20}?[\'\"]([0-9a-zA-Z/+]{40})[\'\"]": "aws",
    r"xox(?:a|b|p|o|s|r)-(?:\d+-)+[a-z0-9]+": "xox",
    r"https://hooks\.slack\.com/services/T[a-zA-Z0-9_]+/B[a-zA-Z0-9_]+/[a-zA-Z0-9_]+": "hooks",
    r"(?:r|s)k_live_[0-9a-zA-Z]{24}": "k_live_",
    r"[0-9a-z]{32}-us[0-9]{1,2}": re.compile(r"-us[0-9]"),
    r"\d{8,10}:[0-9A-Za-z_-]{35}": re.compile(r":[0-9A-Za-z_-]{35}"),
    r"[MNO][a-zA-Z\d_-]{23,25}\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}": re.compile(
        r"\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}"
    ),
}
_KEY_BODY = re.compile(r"(?:[^\"-]|-(?!----)){0,400}?[A-Za-z0-9+/]{32}")


def find_secret(data: bytes) -> Finding | None:
    """The first secret of an exact format in *data*, else None; placeholders are none.

    The path is the JSON path where *data* is JSON, else the line.
    """
    return next((found for found, _ in secrets_in(data)), None)


def secrets_in(data: bytes) -> Iterator[tuple[Finding, str]]:
    """Each secret of an exact format in *data*, and where it stands.

    The value is for comparing it with what somebody accepted, never for showing it.
    """
    text = data.decode("utf-8", "replace")
    for kind, secret in _matches(_LONG_RUN.sub(" ", text)):
        start = text.index(secret)
        yield Finding(kind, _place(text, start, start + len(secret))), secret


def scan_for_secrets(data: bytes, *, where: str, redactor: Redactor | None = None) -> None:
    """Refuse to write *data* to *where* if it holds a secret.

    With a *redactor*, what that should have replaced counts too.

    Raises:
        SecretFound: names the kind and the place, never the value, and says what to do.

    """
    text = data.decode("utf-8", "replace")
    found = redactor.find(text) if redactor else None
    found = found or find_secret(data) or find_in_base64(text, redactor)
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


def find_in_base64(text: str, redactor: Redactor | None) -> Finding | None:
    """The first secret of a document that stands in *text* as base64; redaction skips long ones."""
    for start, said in said_at_length(text):
        found = (redactor.find(said) if redactor else None) or find_secret(said.encode())
        if found is not None:
            return Finding(found.kind, _place(text, start, start + 1))
    return None


@cache
def _detectors() -> tuple[RegexBasedDetector, ...]:
    from importlib import import_module

    return tuple(
        getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
        for module, name in _DETECTORS
    )


@cache
def _held(pattern: str) -> str | re.Pattern[str]:
    """What every match of *pattern* holds; an empty text, which any text holds, if not known."""
    return _HOLDS.get(pattern, "")


def _matches(text: str) -> Iterator[tuple[str, str]]:
    folded = text.casefold()
    for detector in _detectors():
        for pattern in detector.denylist:
            held = _held(pattern.pattern)
            if not (held in folded if isinstance(held, str) else held.search(text)):
                continue
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
