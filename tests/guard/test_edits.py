"""Which tests of a file an edit touches."""

from __future__ import annotations

import textwrap

import pytest

from cas_llm.guard.replaying.edits import edited_tests

BEFORE = """
import os

LIMIT = 3

def helper():
    return LIMIT

def test_one():
    assert helper()

class TestMany:
    size = 2

    def test_two(self):
        assert self.size
"""


def edited(old: str, new: str) -> frozenset[str] | None:
    """What an edit of one text in the file touches."""
    assert old in BEFORE
    before, after = BEFORE.encode(), BEFORE.replace(old, new).encode()
    return edited_tests(before, after)


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("assert helper()", "assert helper() == 3", {"test_one"}),
        ("assert self.size", "assert self.size == 2", {"TestMany::test_two"}),
        ("def test_one()", "@mark\ndef test_one()", {"test_one"}),
        ("def test_one()", "async def test_one()", {"test_one"}),
        ("def test_one()", "def test_other()", {"test_other"}),
        ("assert helper()", "assert helper()  # it is three", set()),
        ("assert helper()", "\n\n    assert (helper())", set()),
    ],
)
def test_an_edit_within_tests_touches_these_alone(old, new, touched):
    """Bodies, decorators and names count; comments and white space do not."""
    assert edited(old, new) == touched


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import os", "import sys"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("return LIMIT", "return 3"),
        ("size = 2", "size = 3"),
        ("class TestMany", "class TestFew"),
        ("class TestMany:", "class TestMany(Base):"),
        ("def test_one():", "def test_one(:"),
    ],
)
def test_an_edit_of_anything_else_may_touch_every_test(old, new):
    """An import, a constant, a helper, a class: nobody knows who uses it."""
    assert edited(old, new) is None


def test_a_second_test_of_one_name_is_an_edit_of_it():
    """The later one hides the earlier; both texts are the test's."""
    old = textwrap.dedent(BEFORE).encode()
    assert edited_tests(old, old + b"\ndef test_one():\n    pass\n") == {"test_one"}


def test_the_order_of_tests_is_no_edit_of_them():
    """They are compared by name."""
    one, two = b"def test_a():\n    f()\n", b"def test_b():\n    g()\n"
    assert edited_tests(one + two, two + one) == frozenset()
