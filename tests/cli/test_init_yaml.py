"""Lines added to somebody's YAML mean what they say: held against a YAML library."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cas_llm.cli import fencing, hooking
from cas_llm.cli.hook_config import NotPlain, read, words
from cas_llm.cli.neighbours import NEIGHBOURS
from cas_llm.cli.packing import added

BLOCK = yaml.safe_load(hooking.block(2, 4))
LINE = "^cache_store/"


def steps_for(tmp_path, data: bytes) -> list:
    path = tmp_path / hooking.CONFIG
    path.write_bytes(data)
    block = list(hooking.steps(tmp_path))
    return [*block, *fencing.steps(tmp_path, "cache_store", block)]


def result_of(tmp_path, data: bytes) -> bytes:
    for step in steps_for(tmp_path, data):
        data = added(data, step) if step.state == "write" else data
    return data


def is_kept(before: bytes, after: bytes) -> bool:
    """Whether every byte that was there is there, in its order."""
    rest = iter(after)
    return all(byte in rest for byte in before)


def without_ours(document: dict) -> tuple[dict, list]:
    """A configuration without the block and the lines `init` adds, and those."""
    plain, found = copy.deepcopy(document), []
    found += [repo for repo in plain["repos"] if repo in BLOCK]
    plain["repos"] = [repo for repo in plain["repos"] if repo not in BLOCK]
    if plain.get("exclude") == LINE:
        found.append(plain.pop("exclude"))
    for repo in plain["repos"]:
        for hook in repo.get("hooks", ()):
            if hook["id"] in NEIGHBOURS and hook.get("exclude") == LINE:
                found.append(hook.pop("exclude"))
    return plain, found


STYLES = {
    "indented": """\
repos:
  - repo: https://example.org/a
    rev: v1
    hooks:
      - id: prettier
      - id: check-yaml
""",
    "not indented": """\
# what this is
repos:
- repo: https://example.org/a
  rev: v1  # frozen
  hooks:
  - id: check-yaml
  - id: prettier # why
    args:
    - --one
    - "two: three"

# what follows
ci:
  autofix_prs: false
""",
    "wide": """\
---
default_language_version:
    python: python3
repos:
-   repo: https://example.org/a
    rev: v1
    hooks:
    -   id: check-yaml
        args: [
            --unsafe,  # a comment ]
            'it''s',
        ]
    -   id: prettier
        name: |
            Prettier: all
              # of it
fail_fast: true
""",
    "hooks first": """\
fail_fast: true
repos:
  - hooks:
      - args: ["[", '{']
        id: 'prettier'
      - id: "check-yaml"
        files: >-
          a
          b
    repo: https://example.org/a
    rev: "v1"
  - repo: meta
    hooks: [{id: check-hooks-apply}, {id: identity}]
    # - id: old
exclude_nothing: 1
""",
    "anchors": """\
.names: &names [python, pyi]
repos:
  - repo: local
    hooks:
      - &first
        id: prettier
        language: system
        entry: "a \\" b"
        types_or: *names
      - id: two
        name: goes on
          over lines
        language: system
        entry: x
""",
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("style", STYLES)
def test_the_block_goes_into_the_list_of_repos(tmp_path, style: str, end: str, closed) -> None:
    """Whatever the style: no byte is lost, and the file says what it said, and the hooks."""
    text = STYLES[style] if closed else STYLES[style].rstrip("\n")
    data = text.replace("\n", end).encode()
    after = result_of(tmp_path, data)
    assert is_kept(data, after)
    assert after.count(b"\r\n") == (after.count(b"\n") if end == "\r\n" else 0)
    plain, found = without_ours(yaml.safe_load(after))
    assert plain == yaml.safe_load(data)
    assert found == [*BLOCK, LINE]
    assert result_of(tmp_path, after) == after


@pytest.mark.parametrize(
    "text",
    [
        "repos: []\n",
        "repos: [{repo: meta, hooks: [{id: identity}]}]\n",
        "{repos: []}\n",
        "- repo: meta\n  hooks:\n  - id: identity\n",
        "",
        "repos:\n",
        "ci: {}\n",
        "repos:\n- repo: meta\n  hooks:\n  - id: x\n---\na: 1\n",
        "%YAML 1.1\n---\nrepos:\n- repo: meta\n",
        "repos:\n- repo: meta\n\thooks: []\n",
        "repos:\n- repo: meta\n  rev: |+\n    a\n\n",
        'repos:\n- repo: "a\n    b"\n',
        "repos:\n- repo: meta\nrepos:\n- repo: meta\n",
        "repos: &all\n  ? a\n  : b\n",
        "repos: *all\n",
        "repos:\n  - repo: meta\n - repo: local\n",
        "repos:\n- - repo: meta\n",
        "repos:\n- repo: meta\n  args: [a,\n",
        "repos:\n- repo: [a] b\n",
        "repos:\n- repo: a: b\n",
        "repos:\n- repo: a # b\n    c\n",
        "repos:\n- repo: meta\nwords\n",
        "repos:\n- repo: meta\r  rev: x\n",
        "repos:\n- repo: 'a' b\n",
        "repos:\n- repo: ['a\n    b']\n",
        "repos:\n- repo: |\n    no line end",
        b"repos:\n- repo: \xff\n",
    ],
)
def test_what_is_not_plain_is_left_to_a_person(tmp_path, text) -> None:
    """No line is guessed at: the lines to add are named, and nothing is written."""
    data = text if isinstance(text, bytes) else text.encode()
    steps = steps_for(tmp_path, data)
    assert [step.state for step in steps] == ["by hand"]
    assert yaml.safe_load(steps[0].text) == BLOCK


def test_a_list_on_one_line_is_told_from_anything_else() -> None:
    """What `types` say is read where it can be, and is unknown elsewhere."""
    assert words("[python, 'pyi', \"c++\"]") is None
    assert words("[python, 'pyi', \"c\"]") == ["python", "pyi", "c"]
    assert words("[]") == []
    assert words("python") is None
    assert words(None) is None


ON_A_LINE = ["a", "'it''s'", '"q\\n"', "[x, 'y]', {z: 1}]", "http://x/y", "a - b", "&n v", "-1"]
ON_LINES = ["|\n{i}  # x\n{i}  y", ">-\n{i}   x\n\n{i}   z", "[\n{i}- a,\n  'b'\n]", "x\n{i}  y"]
ODD = [
    "a#b",
    "a  # c",
    "{a: b}",
    "*n",
    "don't",
    "",
    "!!str 1",
    "^(a|b)$",
    "'a' # c",
    "# d",
    '"\\x41"',
]
SCALARS = st.sampled_from([*ON_A_LINE, *ON_LINES, *ODD])
KEYS = ("args", "name", "files", "exclude", "types", "x", "'q'", '"id2"', "pass_filenames", "<<")


@st.composite
def documents(draw) -> str:
    """A configuration in some style, in parts of which odd things stand."""
    dash, gap = draw(st.sampled_from([0, 2, 4])), draw(st.sampled_from([1, 3]))
    deeper = draw(st.sampled_from([0, 2]))
    column = dash + 1 + gap

    def value(indent: int) -> str:
        return draw(SCALARS).replace("{i}", " " * indent)

    def noise(indent: int) -> str:
        return draw(st.sampled_from(["", "", "", "\n", f"{' ' * indent}# n: [\n", "# - id: z\n"]))

    text = draw(st.sampled_from(["", "# c\n", "---\n", "\ufeff"]))
    text += f"top: {value(0)}\n" if draw(st.booleans()) else ""
    text += "repos:" + draw(st.sampled_from(["", " ", "  # all", " &r"])) + "\n"
    for _ in range(draw(st.integers(1, 3))):
        text += noise(dash) + f"{' ' * dash}-{' ' * gap}repo: {value(column)}\n"
        text += f"{' ' * column}hooks:\n"
        for _ in range(draw(st.integers(1, 3))):
            start = column + deeper
            keys = " " * (start + 1 + gap)
            name = draw(st.sampled_from(["prettier", "codespell", "typos", "other"]))
            rows = [f"id: {name}"]
            chosen = draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
            rows += [f"{key}: {value(len(keys))}" for key in chosen]
            rows = draw(st.permutations(rows))
            text += f"{' ' * start}-{' ' * gap}{rows[0]}\n" + noise(len(keys))
            text += "".join(f"{keys}{row}\n" for row in rows[1:]) + noise(start)
    text += f"last: {value(0)}\n" if draw(st.booleans()) else ""
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from(["\n", " ", "'", "[", "#", ": ", "- ", "x"]))
            + text[at:]
        )
    return text


@settings(max_examples=100, deadline=None)
@given(documents())
def test_no_document_is_changed_in_meaning(tmp_path_factory, text: str) -> None:
    """Whatever YAML is drawn: what is written is what was meant, or nothing is written at all."""
    data = text.encode()
    try:
        before = yaml.safe_load(data)
        known = [hook for repo in before["repos"] for hook in repo["hooks"]]
        assert all(isinstance(hook["id"], str) for hook in known)
    except (yaml.YAMLError, TypeError, KeyError, AssertionError):
        return  # pre-commit would refuse it as well
    folder = tmp_path_factory.getbasetemp()
    after = result_of(folder, data)
    assert is_kept(data, after)
    try:
        config = read(data)
    except NotPlain:
        assert after == data
        return
    plain, found = without_ours(yaml.safe_load(after))
    assert plain == before
    assert found[0] == BLOCK[0]
    if "<<" in text:
        return  # an id may be merged in, and is then on no line of its hook
    assert [hook.id for hook in config.hooks] == [hook["id"] for hook in known]
    for hook, said in zip(config.hooks, known, strict=True):
        assert set(hook.keys) == set(said)
        for key, value in hook.keys.items():
            if isinstance(said[key], str) and value is not None:
                assert value == said[key]
