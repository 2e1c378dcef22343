"""The table of modes, and how a mode is named."""

import pytest

from cas_llm.errors import ConfigError
from cas_llm.modes import SPELLINGS, Act, Mode, decide, parse_mode


@pytest.mark.parametrize(
    ("mode", "hit", "miss"),
    [
        (Mode.REPLAY, Act.SERVE, Act.REFUSE),
        (Mode.FALLBACK, Act.SERVE, Act.CALL_AND_STORE),
        (Mode.CAPTURE, Act.CALL_AND_STORE, Act.CALL_AND_STORE),
        (Mode.DISABLED, Act.CALL, Act.CALL),
    ],
)
def test_the_table_holds(mode, hit, miss):
    """What each mode does on a hit and on a miss."""
    assert decide(mode, hit=True) is hit
    assert decide(mode, hit=False) is miss


def test_replay_alone_never_calls_and_only_two_modes_record():
    """What the rest of the code asks of a mode follows from the table."""
    for mode in Mode:
        acts = {decide(mode, hit=hit) for hit in (True, False)}
        assert mode.live is bool(acts & {Act.CALL, Act.CALL_AND_STORE})
        assert mode.records is (Act.CALL_AND_STORE in acts)


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("replay HIT_CACHE_OR_ABORT none", Mode.REPLAY),
        ("fallback NORMAL record new_episodes", Mode.FALLBACK),
        ("capture REFRESH_CACHE refresh all", Mode.CAPTURE),
        ("disabled DISABLE_CACHE off", Mode.DISABLED),
    ],
)
def test_other_tools_names_are_understood(words, mode):
    """Whatever the case, with dashes too, and with blanks around."""
    for word in words.split():
        for text in (word, word.lower(), word.upper(), word.replace("_", "-"), f" {word}\n"):
            assert parse_mode(text) is mode


def test_every_spelling_is_tried():
    """The table above holds all of them, and each mode's own name is one."""
    assert len(SPELLINGS) == 14
    assert {str(mode) for mode in Mode} <= set(SPELLINGS)
    assert all(parse_mode(mode) is mode for mode in Mode)


@pytest.mark.parametrize(
    ("word", "says"),
    [("replya", "did you mean 'replay'"), ("fall-bak", "'fallback'"), ("", "modes are replay,")],
)
def test_an_unknown_mode_names_the_nearest_and_the_place(word, says):
    """One clear error."""
    with pytest.raises(ConfigError, match=says) as raised:
        parse_mode(word, source="CAS_LLM_MODE")
    assert str(raised.value).startswith("CAS_LLM_MODE: ")
    assert raised.value.source == "CAS_LLM_MODE"
