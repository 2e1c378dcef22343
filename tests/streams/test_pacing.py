"""Pauses of a replayed stream follow its recording, or don't happen."""

import pytest

from cas_llm.errors import ConfigError
from cas_llm.streams.pacing import delays
from cas_llm.wire import Chunk

CHUNKS = (Chunk(3, 0.5), Chunk(2, 0.75), Chunk(1, 0.75), Chunk(4, 1.75))


def test_instant_waits_for_nothing():
    """An instant replay has one zero for each chunk."""
    assert delays(CHUNKS, "instant") == (0.0,) * 4


def test_recorded_waits_as_the_recording_did():
    """The first pause is the time to the first byte, the others lie between chunks."""
    assert delays(CHUNKS, "recorded") == (0.5, 0.25, 0.0, 1.0)


@pytest.mark.parametrize("pace", [2.0, 2, "2", "2.0"])
def test_a_factor_divides_the_pauses(pace):
    """A factor of two is twice as fast, as a number or as text."""
    assert delays(CHUNKS, pace) == (0.25, 0.125, 0.0, 0.5)


def test_a_clock_that_went_back_gives_no_negative_pause():
    """Pauses are never negative, and time lost isn't waited for twice."""
    assert delays((Chunk(1, 1.0), Chunk(1, 0.5), Chunk(1, 1.5)), "recorded") == (1.0, 0.0, 0.5)


@pytest.mark.parametrize("pace", ["fast", 0, -1, True, float("nan"), float("inf"), None, "", "nan"])
def test_any_other_pace_is_a_config_error(pace):
    """A wrong pace is named together with what is right."""
    with pytest.raises(ConfigError, match="'instant'"):
        delays(CHUNKS, pace)


def test_no_chunks_need_no_pauses():
    """A body that came as a whole has no pauses."""
    assert delays((), "recorded") == delays((), "instant") == ()
