"""Blob ids are git's own."""

import subprocess

import pytest

from cas_llm.dependencies.blobs import ABSENT, algorithm_of, blob_id, id_of


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_an_id_is_what_git_says(tmp_path, form):
    """In the hash that the repository uses."""
    done = subprocess.run(
        ["git", "init", "-q", f"--object-format={form}", str(tmp_path)], check=False
    )
    if done.returncode:
        # Git before 2.29 makes repositories with SHA-1 only.
        pytest.skip("this git knows no such hash")
    file = tmp_path / "a.txt"
    file.write_bytes(b"a\nb\r\n\xff")
    said = subprocess.run(
        ["git", "-C", str(tmp_path), "hash-object", "--no-filters", "a.txt"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert algorithm_of(tmp_path) == form
    assert id_of(file, form) == blob_id(file.read_bytes(), form) == said.stdout.strip()


def test_where_there_is_nothing(tmp_path):
    """No repository, no file."""
    assert algorithm_of(tmp_path) == "sha1"
    assert id_of(tmp_path / "absent") == id_of(tmp_path) == ABSENT
