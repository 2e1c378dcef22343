import pytest
from notices import short, slogans


def test_a_closed_week_keeps_its_day():
    notice = (
        "The library will be closed next week because the roof is being repaired. "
        "It opens again on Monday."
    )
    assert "Monday" in short(notice)


@pytest.mark.parametrize(
    ("notice", "place"),
    [
        ("The concert in Lyon was moved from Friday to Sunday because of the storm.", "Lyon"),
        ("The exhibition of maps has moved from the cellar to the tower room.", "tower"),
    ],
)
def test_a_place_is_kept(notice, place):
    assert place in short(notice)


@pytest.mark.cas_llm(repeat="each")
def test_slogans_differ():
    """One question, three answers, each recorded."""
    assert len(set(slogans("dinosaurs", 3))) == 3
