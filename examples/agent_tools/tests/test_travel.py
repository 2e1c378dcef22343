import pytest
from travel import Agent

FORECAST = {"Saturday": "rain", "Sunday": "sun"}


@pytest.fixture
def booked():
    return []


@pytest.fixture
def agent(booked):
    def weather(city, day):
        return {"city": city, "day": day, "sky": FORECAST[day]}

    def book(place, day):
        if place == "Rose Garden":
            raise LookupError("Rose Garden is full")
        booked.append((place, day))
        return {"confirmed": True}

    return Agent({"weather": weather, "book": book})


def test_the_sunny_day_is_booked(agent, booked):
    """Four turns: the weather of two days, a booking, the answer."""
    answer = agent.plan("A lunch outdoors in Graz this weekend.")
    assert booked == [("Lime Tree", "Sunday")]
    assert "Sunday" in answer
    assert [name for name, _ in agent.called] == ["weather", "weather", "book"]


def test_a_full_place_is_replaced(agent, booked):
    """A tool that fails is told to the model, which tries another place."""
    answer = agent.plan("A lunch at the Rose Garden in Graz on Sunday.")
    assert [arguments["place"] for name, arguments in agent.called if name == "book"] == [
        "Rose Garden",
        "Lime Tree",
    ]
    assert booked == [("Lime Tree", "Sunday")]
    assert "full" in answer


def test_a_question_needs_no_tool(agent):
    assert agent.plan("What can you do?")
    assert agent.called == []
