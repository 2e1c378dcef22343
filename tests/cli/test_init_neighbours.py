"""`cas-llm init` keeps other people's hooks away from the store, each in the right place."""

from __future__ import annotations

import pytest
import yaml

from cas_llm.cli import fencing, hook_config, neighbours


@pytest.mark.parametrize("name", sorted(neighbours.NEIGHBOURS))
def test_each_neighbour_is_kept_away(checkout, name: str) -> None:
    """Its exclude: stands in its own entry, or where its own configuration belongs is said."""
    checkout.config("id: check-yaml", f"id: {name}  # mine\nargs: [x]")
    said = checkout.run("init")
    told_in = neighbours.NEIGHBOURS[name].told_in
    if told_in:
        assert f"let {told_in} leave out" in said
        (checkout.path / told_in).write_text("paths = ['^cache_store/']")
    else:
        assert checkout.hooks[name] == {"id": name, "exclude": "^cache_store/", "args": ["x"]}
    assert "exclude" not in checkout.hooks["check-yaml"]
    assert "by hand" not in checkout.run("init")


@pytest.mark.parametrize(
    ("hook", "top"),
    [
        ("id: prettier\nexclude: ^cache_store/", ""),
        ("id: prettier\nexclude: |\n  (?x)^(\n    docs/|\n    cache_store/\n  )", ""),
        ("id: prettier\nfiles: '^src/.*'", ""),
        ("id: prettier\ntypes_or: [css, javascript]", ""),
        ("id: pretty-format-json\ntypes: [python]", ""),
        ("id: pretty-format-json\nexclude_types: [json]", ""),
        ("id: pretty-format-json\nexclude: \\.json$", ""),
        ("id: trailing-whitespace\nexclude: '\\.txt$'", ""),
        ("id: codespell", 'exclude: "^(cache_store|docs)/"\n'),
        ("id: codespell", "files: ^src/\n"),
        ("# id: prettier", ""),
        ("id: ruff-format", ""),
        ("id: check-json", ""),
    ],
)
def test_a_hook_that_never_sees_the_store_is_left_alone(checkout, hook: str, top: str) -> None:
    """What the configuration leaves out already, or a hook has no harm in, gets no line."""
    checkout.config("id: other", hook, top=top)
    checkout.run("init")
    expected = checkout.text.count("exclude: ^cache_store/")
    assert expected == hook.count("exclude: ^cache_store/")
    assert not list(fencing.steps(checkout.path, "cache_store"))


@pytest.mark.parametrize(
    "hook",
    [
        "id: prettier\nexclude: ^docs/",
        "id: prettier\nexclude: '('",
        "id: prettier\nexclude: >-\n  ^cache_store/",
        "id: prettier\nfiles: *some\nexclude: ^x$",
        "{id: prettier}",
        "<<: *some\nid: prettier",
        "id: prettier\nexclude: \\.json$",
    ],
)
def test_an_exclude_for_all_stands_in_where_a_hook_has_no_place(checkout, hook: str) -> None:
    """At the top level, once, and only if nothing is excluded there."""
    anchor = ".some: &some {}\n" if "<<" in hook else ".some: &some ''\n"
    checkout.config("id: typos", hook)
    checkout.write(anchor + checkout.text)
    checkout.run("init")
    assert yaml.safe_load(checkout.text)["exclude"] == "^cache_store/"
    assert "exclude" not in checkout.hooks["typos"]
    checkout.config("id: typos", hook, top="exclude: ^other/\n")
    checkout.write(anchor + checkout.text)
    said = checkout.run("init")
    assert "let its exclude: match this too" in said
    assert "| ^cache_store/" in said
    document = yaml.safe_load(checkout.text)
    assert document["exclude"] == "^other/"
    assert checkout.hooks["typos"]["exclude"] == "^cache_store/"


def test_a_hook_that_is_handed_no_names_is_told_by_hand(checkout) -> None:
    """An exclude: would do nothing there, so none is written."""
    checkout.config("id: prettier\npass_filenames: false")
    assert "let its own configuration leave out" in checkout.run("init")
    assert "exclude" not in checkout.hooks["prettier"]


@pytest.mark.parametrize("place", ["a b/it's", "d#1/äö", "x.y/-z", "cache_store"])
def test_a_store_of_any_name_is_excluded(checkout, place: str) -> None:
    """The pattern matches the store's files and no others, whatever the store is called."""
    (checkout.path / place).parent.mkdir(parents=True, exist_ok=True)
    checkout.config("id: prettier")
    checkout.run("init", "--store", place)
    found = hook_config.read(checkout.text.encode()).hooks[0]
    assert checkout.hooks["prettier"]["exclude"] == neighbours.pattern(place)
    assert not neighbours.reaches("prettier", place, [found.keys])
    assert neighbours.reaches("prettier", f"{place}2", [found.keys])
