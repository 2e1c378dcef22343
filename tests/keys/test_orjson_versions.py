"""Keys do not depend on the JSON library's version: its float text has changed between releases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDEST = "3.8.3"


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the oldest orjson has wheels up to 3.11")
def test_the_oldest_supported_orjson_gives_the_same_keys(tmp_path):
    """All that pins the key holds under the oldest orjson that may be installed."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(tmp_path)]
    subprocess.run([*pip, f"orjson=={OLDEST}"], check=True)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = subprocess.run(
        [sys.executable, "-c", "import orjson; print(orjson.__version__)"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == OLDEST
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/keys"]
    done = subprocess.run(
        [*tests, "--deselect", "tests/keys/test_orjson_versions.py"],
        env=os.environ | {"PYTHONPATH": path, "CAS_LLM_SLOW": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
