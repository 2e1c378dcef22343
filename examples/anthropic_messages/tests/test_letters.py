from letters import answer, read_out

LATE = "My bicycle was to be ready on Friday. Where is it?"


def test_a_late_bicycle_is_apologised_for():
    text, tokens = answer(LATE)
    assert "sorry" in text
    assert tokens > 0


def test_a_price_is_told():
    text, _ = answer("What does a new chain cost?")
    assert "€" in text


def test_an_answer_is_read_out_in_pieces():
    pieces = []
    assert read_out(LATE, pieces.append) == "end_turn"
    assert len(pieces) > 3
    assert "sorry" in "".join(pieces)
