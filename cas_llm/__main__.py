"""``python -m cas_llm`` is ``cas-llm``."""

from __future__ import annotations

from cas_llm.cli import main

if __name__ == "__main__":
    main()
