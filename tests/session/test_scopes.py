"""A scope counts for itself, is described to children, and knows its source's digest."""

import textwrap

import pytest
from support.desk import a_test

from cas_llm.session import Kind, Scope
from cas_llm.session.runs import Run
from cas_llm.session.scopes import Use
from cas_llm.session.sources import source_digest


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run", "00c0ffee")


def use(key, ordinal=1, digest="d", order=0, *, fresh=False):
    """An answer given."""
    return Use(order, key, ordinal, digest, (), (), fresh)


def test_asks_of_one_key_are_numbered_from_one(run):
    """Each key by itself; a number given back is the next one's."""
    scope = Scope()
    numbers = [scope.take(run, key, claimed=True)[0] for key in ("a", "a", "b", "a")]
    assert numbers == [1, 2, 1, 3]
    scope.give_back(run, "a", 2)
    assert [scope.take(run, "a", claimed=True)[0] for _ in range(2)] == [2, 4]


def test_the_order_of_asks_grows(run):
    """A tape is written in the order the requests began."""
    scope = Scope()
    orders = [scope.take(run, str(n), claimed=False)[1] for n in range(20)]
    assert orders == sorted(orders)


def test_a_claim_is_one_in_all_processes(run):
    """A joined scope gets the numbers that its opener left."""
    scope = a_test()
    child = Scope.join(scope.describe())
    takers = (scope, child, child, scope)
    assert [s.take(run, "k", claimed=True)[0] for s in takers] == [1, 2, 3, 4]
    assert (scope.joined, child.joined) == (False, True)


def test_without_claims_no_file_is_written(run):
    """Replaying single answers needs no agreement between processes."""
    Scope().take(run, "k", claimed=False)
    assert not run.started


def test_a_joined_scope_is_the_one_described():
    """All that keys, tapes and pending answers depend on crosses over as JSON."""
    import json

    scope = Scope("t.py::t", Kind.FIXTURE, ("f.py", 3), locked=True, attempt=2, staged=True)
    child = Scope.join(json.loads(json.dumps(scope.describe())))
    assert child.describe() == scope.describe()
    assert child.owner == scope.owner


def test_two_openings_of_one_scope_are_two():
    """What the first claimed is not the second's, even where it is gone by now."""
    owners = set()
    for _ in range(50):
        owners.add(Scope("use::demo", Kind.BLOCK).owner)
    assert len(owners) == 50


def test_uses_are_in_the_order_the_requests_began():
    """Whatever the order their answers came in."""
    scope = Scope()
    for key, order in (("b", 2), ("c", 3), ("a", 1)):
        scope.use(use(key, order=order))
    assert [u.key for u in scope.in_order()] == ["a", "b", "c"]


def test_the_first_answer_to_an_ask_stands_unless_it_was_recorded_anew():
    """A tape holds what the scope got last of what it recorded."""
    scope = Scope()
    scope.use(use("a", digest="one"))
    scope.use(use("a", digest="two"))
    assert [u.digest for u in scope.in_order()] == ["one"]
    scope.use(use("a", digest="three", fresh=True))
    assert [u.digest for u in scope.in_order()] == ["three"]
    assert scope.recorded == {"a": {1: "three"}}


TEXT = textwrap.dedent(
    '''
    def test_x(client):
        """Doc."""
        assert client.ask("hi") == "there"


    after = 1
    '''
)


def digest(tmp_path, text, name="m.py"):
    """The source digest of the first function, or its first decorator, in *text*."""
    path = tmp_path / name
    path.write_text(text)
    import linecache

    linecache.checkcache(str(path))
    lines = text.splitlines()
    first = next(n for n, li in enumerate(lines, 1) if li.strip().startswith(("@", "def", "async")))
    return source_digest(str(path), first)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "import os\n\n\n" + text,
        lambda text: text.replace("test_x", "test_renamed"),
        lambda text: text.replace("def", "@pytest.mark.slow\n@other(1,\n  2)\ndef", 1),
        lambda text: "class TestX:\n" + textwrap.indent(text, "    "),
        lambda text: text + "\n\ndef test_y():\n    pass\n",
        lambda text: text.replace("after = 1", "# a comment\nafter = 2"),
    ],
    ids=["moved down", "renamed", "decorated", "into a class", "another added", "code after"],
)
def test_a_function_keeps_its_digest(tmp_path, change):
    """Moved, renamed, decorated, indented: its own text is what counts."""
    assert digest(tmp_path, change(TEXT)) == digest(tmp_path, TEXT, "original.py") != ""


@pytest.mark.parametrize(
    ("old", "new"),
    [("hi", "ho"), ("client):", "client, x):"), ("Doc.", "Other."), ("def", "async def")],
)
def test_an_edited_function_has_another_digest(tmp_path, old, new):
    """Body, arguments and docstring are its text."""
    assert digest(tmp_path, TEXT.replace(old, new, 1)) != digest(tmp_path, TEXT, "original.py")


def test_a_function_without_text_has_no_digest(tmp_path):
    """A file that is gone, a line past its end, a function made at run time."""
    (tmp_path / "m.py").write_text("x = 1\n")
    assert source_digest(str(tmp_path / "gone.py"), 1) == ""
    assert source_digest(str(tmp_path / "m.py"), 9) == ""
    assert source_digest(str(tmp_path / "m.py"), 1) == ""
    assert source_digest("<string>", 1) == ""
