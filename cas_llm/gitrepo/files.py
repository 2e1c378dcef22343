"""What git holds of files: in a commit, in the index, and blobs by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cas_llm.gitrepo.running import run_git


def versions_of(root: Path, path: Path) -> list[bytes]:
    """What git holds of *path*: the index's content, HEAD's, then each that a commit had."""
    try:
        relative = path.relative_to(root).as_posix()
    except ValueError:
        return []
    found = [run_git(root, "cat-file", "blob", f":{relative}")]
    found.append(run_git(root, "cat-file", "blob", f"HEAD:{relative}"))
    log = run_git(root, "log", "--all", "--format=%H", "--diff-filter=AM", "--", relative) or b""
    found += [
        run_git(root, "cat-file", "blob", f"{commit}:{relative}")
        for commit in log.decode("ascii").split()
    ]
    return [content for content in found if content is not None]


def files_at(root: Path, revision: str, folder: str) -> dict[str, str] | None:
    """Path below *folder* to blob id, of all that *revision* holds there; None without it.

    *folder* is relative to *root*, the top of the work tree.
    """
    only = () if folder == "." else ("--", folder)
    said = run_git(root, "ls-tree", "-r", "-z", "--full-tree", revision, *only)
    return None if said is None else _below(folder, said)


def files_in_index(root: Path, folder: str) -> dict[str, str] | None:
    """Path below *folder* to blob id, of all that the index holds; None without an answer.

    Of a file in conflict, one side's.
    """
    said = run_git(root, "ls-files", "-s", "-z", "--full-name", "--", folder)
    return None if said is None else _below(folder, said)


def sides_in_index(root: Path, folder: str) -> dict[str, dict[int, str]]:
    """Path below *folder* to blob id by stage, of all that is in conflict there.

    Stage 1 is what both sides had in common, 2 what HEAD has, 3 what the other side has; one that
    has no such file is left out.
    """
    said = run_git(root, "ls-files", "-u", "-z", "--full-name", "--", folder) or b""
    start = "" if folder == "." else f"{folder}/"
    found: dict[str, dict[int, str]] = {}
    for line in said.decode("utf-8", "surrogateescape").split("\0"):
        meta, _, name = line.partition("\t")
        if name:
            _mode, blob, stage = meta.split()
            found.setdefault(name.removeprefix(start), {})[int(stage)] = blob
    return found


def _below(folder: str, listing: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    start = "" if folder == "." else f"{folder}/"
    for line in listing.split(b"\0"):
        meta, _, name = line.decode("utf-8", "surrogateescape").partition("\t")
        if name:
            words = meta.split()
            # `ls-tree` says mode, kind and id, `ls-files` mode, id and stage.
            found[name.removeprefix(start)] = words[2] if len(words[2]) > 1 else words[1]
    return found


def contents(root: Path, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes of each of *blobs* that git has; one question for all of them."""
    asked = "".join(f"{blob}\n" for blob in blobs)
    said = run_git(root, "cat-file", "--batch", data=asked.encode("ascii")) if asked else b""
    position, said = 0, said or b""
    while position < len(said):
        end = said.index(b"\n", position)
        words = said[position:end].split()
        position = end + 1
        if len(words) == 3:
            size = int(words[2])
            yield words[0].decode("ascii"), said[position : position + size]
            position += size + 1
