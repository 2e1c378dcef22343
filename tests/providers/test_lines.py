"""Display lines are short, few, printable and say what they leave out."""

from hypothesis import given
from hypothesis import strategies as st

from cas_llm.providers.lines import HEIGHT, WIDTH, call, display, media, tool_result


@given(
    st.lists(st.text(max_size=400) | st.just("word " * 300) | st.text(max_size=40).map(tool_result))
)
def test_lines_stay_within_their_bounds(blocks):
    """Whatever is shown, it takes at most so many lines of at most so many characters."""
    lines = display(blocks)
    assert len(lines) <= HEIGHT
    assert all(0 < len(line) <= WIDTH for line in lines)
    assert display(blocks) == lines


def test_what_is_left_out_is_counted():
    """The last line of a long block says how many more there were."""
    lines = display(["\n".join(str(n) for n in range(40))])
    assert len(lines) == HEIGHT
    assert lines[-1] == "… 29 more lines"


def test_a_long_line_breaks_at_a_space():
    """Words stay whole where they can."""
    lines = display(["word " * 30])
    assert lines == (("word " * 20).strip(), ("word " * 10).strip())


def test_each_line_of_a_tool_result_is_marked():
    """A result of many lines can't be taken for the user's words."""
    assert display([tool_result("a\nb")]) == ("tool: a", "tool: b")
    assert display([tool_result("")]) == ("tool: (empty)",)
    assert display([tool_result({"a": None})]) == ('tool: {"a": null}',)


def test_a_call_is_one_line():
    """Arguments are shown by name, whole or cut, never over several lines."""
    assert call("f", '{"a": 1, "b": "x\\ny"}') == 'f(a=1, b="x\\ny")'
    assert call("f", None) == "f()"
    assert call("f", "{broken") == "f({broken)"
    assert call(None, {}) == "?()"
    long = call("f", {"a": "x" * 500})
    assert len(long) == WIDTH
    assert long.endswith("…)")


def test_media_never_shows_its_data():
    """An address is shown, a data URL is not."""
    assert media("image", "https://x/y.png") == "[image https://x/y.png]"
    assert media("image", "data:image/png;base64,AA", None, 5) == "[image]"
