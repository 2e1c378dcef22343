import os

# What these recordings were made from stood on this machine; see ../README.md. The port is no part
# of a recording. An application that asks Claude itself needs nothing of this.
os.environ.setdefault("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080")
