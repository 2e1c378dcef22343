"""What a run has spent, as all its processes see it."""

from cas_llm.session.runs import Run


def test_a_shorter_amount_covers_a_longer_one(tmp_path):
    """The amount is written over the last one, and nothing of that is left."""
    run = Run(tmp_path / "run", "00c0ffee")
    for amount in (0.1, 0.2, 0.19999999999999996):
        run.spend(amount)
    assert Run(tmp_path / "run", "00c0ffee").spent() == 0.5


def test_the_amount_of_a_call_is_not_pushed_to_the_disk(tmp_path, monkeypatch):
    """No file is truncated to count money: that would take longer than recording an answer."""
    import os

    run = Run(tmp_path / "run", "00c0ffee")
    flags, opened = [], os.open
    monkeypatch.setattr(os, "open", lambda *args: flags.append(args[1]) or opened(*args))
    run.spend(0.25)
    run.spend(0.25)
    assert len(flags) >= 2
    assert not any(flag & os.O_TRUNC for flag in flags)
    assert Run(tmp_path / "run", "00c0ffee").spent() == 0.5
