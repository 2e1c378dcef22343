"""`cas-llm init` puts the guard into git, and `doctor` says whether it is at work."""

from __future__ import annotations

import json

import pytest
import yaml

from cas_llm import cli
from cas_llm.cli import fencing, hook_config, hooking
from cas_llm.cli import init as init_command
from cas_llm.cli.yaml_lines import NotPlain

OURS = [f"cas-llm-{name}" for name in hooking.HOOKS]


def test_a_repository_without_a_configuration_gets_one(checkout) -> None:
    """The four hooks, both stages, and the command that installs them."""
    said = checkout.run("init")
    assert list(checkout.hooks) == OURS
    assert yaml.safe_load(checkout.text)["default_install_hook_types"] == list(hooking.STAGES)
    assert hooking.INSTALL in said
    before = checkout.text
    assert "done" not in checkout.run("init")
    assert checkout.text == before


def test_the_version_that_is_here_is_pinned(checkout, monkeypatch) -> None:
    """The environment pre-commit makes has the cas-llm that wrote the block."""
    monkeypatch.setattr(hooking, "version", lambda: "1.2.3")
    checkout.run("init")
    pinned = {tuple(hook["additional_dependencies"]) for hook in checkout.hooks.values()}
    assert pinned == {("cas-llm==1.2.3",)}


@pytest.mark.parametrize("other", ["0.9", "2.0"])
def test_a_block_of_another_version_is_left_and_named(checkout, monkeypatch, other: str) -> None:
    """The hooks and the tests must be of one version: which to write is said."""
    checkout.config(f"id: cas-llm-verify\nadditional_dependencies: [cas-llm=={other}]")
    before = checkout.text
    monkeypatch.setattr(hooking, "version", lambda: "1.2.3")
    said = checkout.run("init")
    assert f"pins cas-llm {other}, and 1.2.3 is here" in said
    assert "| cas-llm==1.2.3" in said
    assert checkout.text == before


def test_a_block_that_is_there_is_left_alone(checkout) -> None:
    """A hook that somebody left out stays out, and is named."""
    checkout.config(*(f"id: {name}" for name in OURS[1:]))
    before = checkout.text
    assert "the hooks of cas-llm, without replayable" in checkout.run("init")
    assert checkout.text == before


def test_a_dry_run_shows_the_lines_and_writes_none(checkout) -> None:
    """Each line that would be added is on the screen."""
    checkout.config("id: prettier")
    before = checkout.text
    said = checkout.run("init", "--dry-run")
    assert "|       - id: cas-llm-verify" in said
    assert "|         exclude: ^cache_store/" in said
    assert checkout.text == before


def test_no_pre_commit_leaves_git_to_others(checkout) -> None:
    """Without hooks nothing is written, and nothing of theirs is said."""
    said = checkout.run("init", "--no-pre-commit")
    assert "pre-commit" not in said
    assert not (checkout.path / hooking.CONFIG).exists()


def test_json_names_the_next_commands(checkout) -> None:
    """A program is told the same as a person."""
    told = json.loads(checkout.run("init", "--json"))
    assert told["next"] == ["pytest --cas-llm=fallback", hooking.INSTALL]
    assert {step["state"] for step in told["steps"]} == {"write"}


@pytest.mark.parametrize("name", ["lefthook.yml", ".husky"])
def test_another_hook_manager_is_told_what_to_start(checkout, name: str) -> None:
    """A project that doesn't use pre-commit gets no file of its, but the programs to start."""
    place = checkout.path / name
    if name.startswith("."):
        place.mkdir()
        place /= "pre-commit"
    place.write_text("x")
    said = checkout.run("init")
    assert "| python -P -m cas_llm.hook verify" in said
    assert not (checkout.path / hooking.CONFIG).exists()
    place.write_text("".join(f"python -m cas_llm.hook {hook}\n" for hook in hooking.HOOKS))
    assert "by hand" not in checkout.run("init")


def test_a_store_outside_the_repository_needs_no_hook(checkout, tmp_path_factory) -> None:
    """What git doesn't hold, git's hooks don't guard."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "store"
    checkout.run("init", "--store", str(elsewhere))
    assert not (checkout.path / hooking.CONFIG).exists()


def test_a_link_to_the_configuration_stays_one(checkout) -> None:
    """What the link points to is added to, with its mode, and no partial file is left."""
    target = checkout.path / "shared.yaml"
    checkout.config("id: check-yaml")
    (checkout.path / hooking.CONFIG).rename(target)
    target.chmod(0o640)
    (checkout.path / hooking.CONFIG).symlink_to(target.name)
    checkout.run("init")
    assert (checkout.path / hooking.CONFIG).is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert not list(checkout.path.glob("*.cas-llm"))
    assert "cas-llm-verify" in checkout.hooks


def test_a_write_that_fails_leaves_the_file_whole(checkout, monkeypatch) -> None:
    """Whoever reads the file sees all of the new text or none, and nothing else is left."""
    checkout.config("id: check-yaml")
    before = checkout.text

    def refused(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(init_command.shutil, "copymode", refused)
    with pytest.raises(SystemExit) as ended:
        cli.main(["init"])
    assert ended.value.code != 0
    assert checkout.text == before
    assert not list(checkout.path.glob(".*.cas-llm"))


def test_a_file_that_cannot_be_added_to_is_named_with_its_lines(checkout) -> None:
    """A configuration in another style keeps its bytes; what to add is on the screen."""
    checkout.write(
        "repos: [{repo: local, hooks: [{id: prettier, name: p, entry: p, language: system}]}]\n"
    )
    before = checkout.text
    said = checkout.run("init")
    assert "| exclude: ^cache_store/" in said
    assert "id: cas-llm-secrets" in said
    assert checkout.text == before


def test_a_line_that_would_not_read_back_is_not_written(checkout, monkeypatch) -> None:
    """The result is read before it is written: anything but the hooks and all there was is no."""
    checkout.config("id: prettier", "{id: typos}")
    before = checkout.text
    monkeypatch.setattr(hooking, "block", lambda *_: "  - repo: local\n    x: 'y\n")
    monkeypatch.setattr(fencing, "_line", lambda _: "exclude: 'a\n")
    assert checkout.run("init").count("by hand") == 2
    assert checkout.text == before
    checkout.config("id: prettier")
    assert "add below line 5" in checkout.run("init")
    monkeypatch.setattr(fencing, "_line", lambda _: "exclud: a\n")
    monkeypatch.setattr(hooking, "block", lambda *_: "  - repo: local\n")
    assert checkout.run("init").count("by hand") == 2


def test_doctor_tells_whether_the_hooks_guard_the_store(checkout, project) -> None:
    """None at all, not started by git, and started at both stages are told apart."""
    (checkout.path / ".git").rmdir()
    project.run("git", "init", "-q", str(checkout.path))
    checkout.run("init", "--no-pre-commit")
    assert [(p["state"], p["command"]) for p in checkout.points()] == [("note", "cas-llm init")]
    checkout.config("id: prettier")
    checkout.run("init")
    checkout.write(checkout.text.replace("        exclude: ^cache_store/\n", ""))
    told = checkout.points()
    assert (told[0]["state"], told[0]["command"]) == ("note", hooking.INSTALL)
    assert "pre-commit and pre-push" in told[0]["what"]
    assert "prettier would rewrite recordings" in told[1]["what"]
    for stage in hooking.STAGES:
        (checkout.path / ".git" / "hooks" / stage).write_text(
            "#!/bin/sh\n# File generated by pre-commit: https://pre-commit.com\n"
        )
    assert checkout.points()[0]["state"] == "ok"
    assert hooking.INSTALL not in checkout.run("init")


def test_hooks_that_git_looks_for_elsewhere_are_found(checkout, project) -> None:
    """`core.hooksPath` is where git starts them from."""
    (checkout.path / ".git").rmdir()
    project.run("git", "init", "-q", str(checkout.path))
    project.run("git", "-C", str(checkout.path), "config", "core.hooksPath", "own")
    (checkout.path / "own").mkdir()
    (checkout.path / "own" / "pre-push").write_text("exec python -m cas_llm.hook verify\n")
    assert hooking.not_installed(checkout.path) == ["pre-commit"]


def test_not_plain_says_which_line() -> None:
    """A person finds the place."""
    with pytest.raises(NotPlain, match="line 3: a tab"):
        hook_config.read(b"repos:\n- repo: meta\n\thooks: []\n")
