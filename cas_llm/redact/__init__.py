"""Secrets out of text before it is hashed or stored; pure: no I/O, no clock, no environment.

`Redactor` replaces what is exactly a secret by a placeholder. `cas_llm.redact.scan` is the last
look at what would be written; it never rewrites.
"""

from __future__ import annotations

from cas_llm.redact.credentials import credentials_of
from cas_llm.redact.environ import secret_variables
from cas_llm.redact.placeholders import Finding
from cas_llm.redact.redactor import Redactor
from cas_llm.redact.shapes import REDACT_VERSION

__all__ = ["REDACT_VERSION", "Finding", "Redactor", "credentials_of", "secret_variables"]
