"""Scripts of other people, from npm at a fixed version, below `build/npm/`; git ignores them.

`npm pack` fetches one archive and runs none of its code; its digest must be the one written here.
A new version is a new line: ``npm pack NAME@VERSION --json`` says its digest.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
PLACE = TREE / "build" / "npm"

PACKAGES = {
    "mermaid": (
        "11.17.2",
        "V6K3C8EBdEsPFZXSKMJe6ppQOENxuHARr9GvHX4hh47lAbhMRD9qf4oEK7LoaRQxULMa80/qt5gHO73aCleBBg==",
    ),
    "iframe-worker": (
        "1.0.4",
        "roeaaI+Lg1LJNfgpCjoRe/+WzEjy9+Z08LoEvu85MCPbBjwm+qXz8Ag5U05lHa6V1CysZyGzE0SOkAtSUA5q7Q==",
    ),
    "playwright-core": (
        "1.55.0",
        "GvZs4vU3U5ro2nZpeiwyb0zuFaqb9sUiAJuyrWpcGouD8y9/HLgGbNRjIph7zU9D3hnPaisMl9zG9CgFi/biIg==",
    ),
    "axe-core": (
        "4.14.1",
        "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ),
}
"""Name: version, and the SHA-512 of its archive in base 64."""


class Missing(Exception):
    """A package that is not here and can't be fetched; says why and what helps."""


def package(name: str) -> Path:
    """The folder of the package *name*, fetched the first time.

    Raises:
        Missing: there is no npm, it can't fetch the archive, or the archive is another one.

    """
    version, digest = PACKAGES[name]
    folder = PLACE / f"{name}-{version}"
    if not (folder / "package.json").is_file():
        PLACE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PLACE) as scratch:
            _unpack(_fetch(name, version, Path(scratch)), digest, Path(scratch))
            shutil.rmtree(folder, ignore_errors=True)
            (Path(scratch) / "package").rename(folder)
    return folder


def _fetch(name: str, version: str, scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing(
            f"{name} comes from npm, which is not installed (Debian: apt-get install npm)"
        )
    done = subprocess.run(
        [npm, "pack", f"{name}@{version}", "--silent", "--pack-destination", str(scratch)],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    archives = list(scratch.glob("*.tgz"))
    if done.returncode or not archives:
        raise Missing(f"npm can't fetch {name}@{version}: {done.stderr.strip() or 'no archive'}")
    return archives[0]


def _unpack(archive: Path, digest: str, scratch: Path) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != digest:
        raise Missing(
            f"{archive.name} has the digest {found}, not the one in {Path(__file__).name}"
        )
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
