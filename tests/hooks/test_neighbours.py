"""What other people's hooks do to a store: the real programs, run over one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.stores import HOST, asks, every_kind, os_bytes, recorded, says

from cas_llm.cli.neighbours import NEIGHBOURS
from cas_llm.wire import Request, Response

LINES = 9
# What a prompt may be, and a part keeps byte for byte.
PROMPTS = (
    "Be brief.\n" * LINES + "No line end",
    "Be brief. \n" * LINES,
    "Be brief.\n" * LINES + "\n\n",
    "Be brief.\r\n" * LINES,
    "Be\r\nbrief.\n" * LINES,
    "\ufeffBe brief.\n" * LINES,
    "Be \u201cbrief\u201d \u2014 e\ufb03cient,\u00a0too.\n" * LINES,
)
# Put together here, so that no speller stops at this file.
MISTAKE = "reci" + "eve"
LINK = "https://github.com/o/r/blob/" + "main/a.py#L1"
ANSWER = f"You {MISTAKE} \u201ca lot\u201d \u2014 e\ufb03cient,\u00a0see {LINK}"


class Tree:
    """A git repository with a store of every kind of file in it, all of them committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q")
        store = every_kind(folder / "cache_store")
        for number, prompt in enumerate(PROMPTS):
            store.save(recorded(prompted(prompt, number), says(ANSWER)))
        sound = Response(200, (("content-type", "audio/mpeg"),), os_bytes(600_000))
        store.save(recorded(replace(asks("Speak"), url=f"{HOST}/audio/speech"), sound))
        store.close()
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "A store")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "core.safecrlf=false", *arguments]
        return subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout

    def files(self, *ends: str) -> list[str]:
        return [name for name in self.git("ls-files").splitlines() if name.endswith(ends)]

    def run(self, module: str, *arguments: str) -> tuple[int, str]:
        """The exit code of a module's `main`, and what it printed."""
        place, _, name = module.partition(":")
        code = f"import sys; from {place} import {name or 'main'} as main; sys.exit(main())"
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONUTF8": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    @property
    def changed(self) -> list[str]:
        """What differs from what was committed; it is put back."""
        names = self.git("diff", "--name-only").splitlines()
        self.git("checkout", "-q", "--", ".")
        return names


def prompted(text: str, number: int) -> Request:
    """A chat request with *text* for its system prompt."""
    messages = [{"role": "system", "content": text}, {"role": "user", "content": str(number)}]
    return replace(asks(""), body=json.dumps({"model": "m", "messages": messages}).encode())


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Iterator[Tree]:
    return Tree(tmp_path_factory.mktemp("neighbours"))


FIXERS = {
    "end-of-file-fixer": ("pre_commit_hooks.end_of_file_fixer", ()),
    "trailing-whitespace": ("pre_commit_hooks.trailing_whitespace_fixer", ()),
    "mixed-line-ending": ("pre_commit_hooks.mixed_line_ending", ()),
    "fix-byte-order-marker": ("pre_commit_hooks.fix_byte_order_marker", ()),
}


@pytest.mark.parametrize("name", FIXERS)
def test_what_cas_llm_lays_out_is_a_fixed_point(tree: Tree, name: str) -> None:
    """The four common fixers find nothing in requests, answers, tapes and the store's own files."""
    module, arguments = FIXERS[name]
    names = [*tree.files(".json", ".md", "format", ".gitignore", ".gitattributes")]
    assert len(names) > 25
    assert tree.run(module, *arguments, *names) == (0, "")
    assert tree.changed == []


@pytest.mark.parametrize("name", FIXERS)
def test_a_prompt_is_no_fixed_point(tree: Tree, name: str) -> None:
    """A text part is a prompt byte for byte, which a fixer would rewrite: so it is kept away."""
    module, arguments = FIXERS[name]
    code, _said = tree.run(module, *arguments, *tree.files(".txt"))
    assert (code, bool(tree.changed)) == (1, True)
    assert (NEIGHBOURS[name].does, NEIGHBOURS[name].kinds) == ("would rewrite", ("prompt",))


REWRITERS = {
    "pretty-format-json": ("pre_commit_hooks.pretty_format_json", ("--autofix",), (".json",)),
    "fix-smartquotes": ("texthooks.fix_smartquotes", (), (".json", ".txt")),
    "fix-unicode-dashes": ("texthooks.fix_unicode_dashes", (), (".json", ".txt")),
    "fix-ligatures": ("texthooks.fix_ligatures", (), (".json", ".txt")),
    "fix-spaces": ("texthooks.fix_spaces", (), (".json", ".txt")),
    "codespell": ("codespell_lib:_script_main", ("--write-changes",), (".json",)),
}


@pytest.mark.parametrize("name", REWRITERS)
def test_a_rewriter_changes_recordings(tree: Tree, name: str) -> None:
    """What `init` keeps away because it rewrites does rewrite."""
    module, arguments, ends = REWRITERS[name]
    tree.run(module, *arguments, *tree.files(*ends))
    assert tree.changed
    assert name in NEIGHBOURS


REFUSERS = {
    "check-added-large-files": (
        "pre_commit_hooks.check_added_large_files",
        ("--enforce-all",),
        (".mp3",),
    ),
    "check-vcs-permalinks": ("pre_commit_hooks.check_vcs_permalinks", (), (".json",)),
    "codespell": ("codespell_lib:_script_main", (), (".json",)),
    "detect-secrets": ("detect_secrets.pre_commit_hook", (), (".json",)),
}


@pytest.mark.parametrize("name", REFUSERS)
def test_a_refuser_blocks_recordings_and_changes_none(tree: Tree, name: str) -> None:
    """What `init` keeps away because it refuses does refuse."""
    module, arguments, ends = REFUSERS[name]
    code, said = tree.run(module, *arguments, *tree.files(*ends))
    assert code > 0
    assert "cache_store/" in said
    assert tree.changed == []
    assert NEIGHBOURS[name].does == "would refuse"


HARMLESS = {
    "check_json": (".json",),
    "check_merge_conflict": (".json", ".txt", ".md"),
    "check_case_conflict": ("",),
    "detect_private_key": (".json", ".txt", ".md"),
}


@pytest.mark.parametrize("module", HARMLESS)
def test_a_harmless_neighbour_may_look(tree: Tree, module: str) -> None:
    """What passes over a store as it is needs no exclude:, and gets none."""
    code, said = tree.run(f"pre_commit_hooks.{module}", *tree.files(*HARMLESS[module]))
    assert (code, tree.changed) == (0, []), said
    assert module.replace("_", "-") not in NEIGHBOURS


def test_the_store_under_test_is_read_back(tree: Tree) -> None:
    """The odd prompts and the large answer are in it, byte for byte."""
    parts = {path.read_bytes() for path in Path(tree.folder).rglob("*.txt")}
    assert {prompt.encode() for prompt in PROMPTS} <= parts
    assert max(path.stat().st_size for path in Path(tree.folder).rglob("*.mp3")) == 600_000
