"""Text of a pull request's author on GitHub: it stays text, in a log line and on the page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cas_llm.session.github import code, command, fenced, one_line

HOSTILE = [
    "::error::all is well",
    "a\n::set-output name=x::y",
    "50% off, file=x:1",
    "a\r\nb",
    "<script>alert(1)</script>",
    "@everyone see #1 and https://example.org",
    "| a | b |\n| --- | --- |\n| c | d |",
    "`` ` ``` ````",
    "`",
    "``` \n</details>\n```",
    "![x](http://example.org/x.png)",
    "\x1b[2J\x07\x00",
    "\u202egnp.exe",
    "\u2028::stop-commands::x",
    "   ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_workflow_command_is_one_line_however_the_text_breaks(text):
    """GitHub's own escapes; what it reads back is what was said."""
    line = command("error", text, title=text, file="a,b:c.py", line=3)
    assert not {"\r", "\n"} & set(line)
    head, _, data = line.removeprefix("::error ").partition("::")
    back = data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    assert back == text
    members = dict(member.split("=", 1) for member in head.split(","))
    assert members["file"] == "a%2Cb%3Ac.py"
    assert members["line"] == "3"
    title = members["title"].replace("%3A", ":").replace("%2C", ",")
    assert title.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") == text


def test_properties_that_are_not_known_are_left_out():
    """A place without a line is a place all the same."""
    assert command("notice", "x", file="", line="") == "::notice::x"
    assert command("error", "x", file="a.py", line="") == "::error file=a.py::x"


def rendered(text: str) -> list[str]:
    """The kinds of all tokens of a page, as GitHub's dialect has them."""
    parser = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    found = []
    for token in parser.parse(text):
        found += [token.type, *(child.type for child in token.children or ())]
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_span_holds_whatever_it_is_given(text):
    """No HTML, link, image, table or second paragraph comes out of it."""
    kinds = rendered(f"- **3** {code(text)} and more\n")
    assert kinds.count("code_inline") == 1
    assert not {"html_inline", "html_block", "link_open", "image", "table_open"} & set(kinds)
    assert kinds.count("paragraph_open") == 1


@given(st.text())
def test_any_text_is_one_code_span(text):
    """Whatever backticks it has; what it shows is the text in one line."""
    (inline,) = [t for t in MarkdownIt("commonmark").parse(f"x {code(text)} y") if t.children]
    (span,) = [child for child in inline.children if child.type == "code_inline"]
    assert span.content == (one_line(text).strip() or "(empty)")
    assert [child.type for child in inline.children] == ["text", "code_inline", "text"]


@given(st.text(alphabet="`~ \n\tax"))
def test_no_line_ends_a_fence(text):
    """One block, and after it the page goes on."""
    kinds = [token.type for token in MarkdownIt("commonmark").parse(f"{fenced(text)}\n\nafter\n")]
    assert kinds == ["fence", "paragraph_open", "inline", "paragraph_close"]


def test_what_hides_or_reorders_text_is_shown():
    """Controls, direction marks and lone surrogates as escapes; letters stay."""
    assert one_line("a\u202eb\x1bc\ud800") == "a\\u202eb\\u001bc\\ud800"
    assert one_line("Größe → 漢字 🙂") == "Größe → 漢字 🙂"
