"""Keeps a child of the test suite on loopback: this folder stands on its PYTHONPATH."""

import loopback_only

loopback_only.enforce()
