"""Where the time of one hit goes, below the SDK: each function's own share, by a profiler.

A profiler makes calls dearer than work, so the shares show where to look, not what to expect;
``run.py --rows session`` has the true figure.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import statistics
import sys
import tempfile
import time
from pathlib import Path

from payloads import KINDS
from variants import variant

_CALLS = 2000
_SHOWN = 35


def main(kind_name: str = "chat", name: str = "cas-llm session", count: int = 1000) -> None:
    """Print the median of a hit without the profiler, then the profile of many."""
    kind, held = KINDS[kind_name], variant(name)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        held.build(root, kind, count)
        call = held.open(root, kind)
        for number in range(count):
            call(number)
        seconds = []
        for number in range(_CALLS):
            began = time.perf_counter()
            call(number * 7919 % count)
            seconds.append(time.perf_counter() - began)
        print(f"{name}, {kind_name}: {statistics.median(seconds) * 1e6:.0f} us a hit")
        profile = cProfile.Profile()
        profile.enable()
        for number in range(_CALLS):
            call(number * 7919 % count)
        profile.disable()
        held.close()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("tottime").print_stats(_SHOWN)
    print(text.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:3])
