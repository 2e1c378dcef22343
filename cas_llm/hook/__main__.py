"""``python -m cas_llm.hook``."""

from __future__ import annotations

import sys

from cas_llm.hook import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
