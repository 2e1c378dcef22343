import pytest
from blurbs import blurb, genre


@pytest.mark.vcr
def test_a_blurb_names_its_hero():
    assert "keeper" in blurb("The Lighthouse")


@pytest.mark.vcr
def test_a_genre_follows_from_the_blurb():
    assert genre("The Lighthouse") == "mystery"


@pytest.mark.vcr
@pytest.mark.parametrize("title", ["Salt", "A Winter in Graz"])
def test_a_blurb_is_one_sentence(title):
    assert blurb(title).count(".") == 1
