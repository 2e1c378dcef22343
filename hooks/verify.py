"""Holds every staged recording against its name and git."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # This tree's package; and the files beside this one are no modules of their names.
    sys.path[0] = str(Path(__file__).parents[1])
    from cas_llm.hook import main

    sys.exit(main(["verify", *sys.argv[1:]]))
