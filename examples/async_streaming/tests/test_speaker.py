import pytest
from speaker import Speaker

CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}


@pytest.fixture
def heard():
    return []


@pytest.fixture
async def speaker(heard):
    async with Speaker(lambda question, piece: heard.append((question, piece))) as made:
        yield made


async def test_an_answer_arrives_in_pieces(speaker, heard):
    whole = await speaker.answer("Why is the sky blue?")
    pieces = [piece for _, piece in heard]
    assert len(pieces) > 5
    assert "".join(pieces) == whole


async def test_answers_at_once_do_not_mix(speaker):
    answers = await speaker.answers([f"What is the capital of {land}?" for land in CAPITALS])
    for answer, city in zip(answers, CAPITALS.values(), strict=True):
        assert city in answer


async def test_a_listener_may_stop_it():
    """What was read until then is recorded, and replays as far."""
    heard = []

    def listen(_, piece):
        heard.append(piece)
        if len(heard) == 3:
            raise InterruptedError

    async with Speaker(listen) as speaker:
        with pytest.raises(InterruptedError):
            await speaker.answer("How are mountains made?")
    assert len(heard) == 3
