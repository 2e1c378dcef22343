"""An agent of twelve turns, with the time in a tool result: transcript (e)."""

AGENT = """
    import json
    import pathlib

    NOW = pathlib.Path(__file__).with_name("now.txt").read_text().strip()

    def test_trip():
        messages = [{"role": "user", "content": "Plan a trip"}]
        for turn in range(1, 13):
            content = said(post(messages, temperature=1))
            messages.append({"role": "assistant", "content": content})
            if turn == 6:
                result = {"flight": "LH 1", "fetched_at": NOW}
                messages.append({"role": "tool", "tool_call_id": "call_1",
                                 "content": json.dumps(result)})
            else:
                messages.append({"role": "user", "content": f"Go on {turn}"})
"""
