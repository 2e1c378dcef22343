"""The formats of secrets: what is one, and what only looks like one."""

import pytest

from cas_llm.redact import Redactor


def redacted(text):
    return Redactor({}).text(text)


@pytest.mark.parametrize("start", ["my", "My", "your", "test", "root", "x"])
def test_a_password_that_begins_like_a_tutorials_is_still_one(start):
    """Only what a tutorial writes is let through, not whatever begins with its words."""
    password = f"{start}S9efpWQSsXOsrw"
    assert password not in redacted(f"postgres://app:{password}@db.internal/x")


@pytest.mark.parametrize(
    "word", ["mypassword", "my-secret-password", "MyStrongPass123", "your_password_here", "secret"]
)
def test_a_tutorials_password_is_none(word):
    """A prompt that explains connection strings is stored as it is."""
    text = f"postgres://app:{word}@localhost/x"
    assert redacted(text) == text
