"""Starts the tests that a commit or push touches, with nothing live."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # This tree's package; and the files beside this one are no modules of their names.
    sys.path[0] = str(Path(__file__).parents[1])
    from cas_llm.hook import main

    sys.exit(main(["replayable", *sys.argv[1:]]))
