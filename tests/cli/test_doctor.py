"""`cas-llm doctor` says what holds, who said so, and what is amiss."""

from __future__ import annotations

import json


def told(project, *arguments: str, **env: str):
    result = project.cas_llm("doctor", "--json", *arguments, env=env)
    return result.code, json.loads(result.stdout)


def setting(report, name: str):
    return next(row for row in report["settings"] if row["name"] == name)


def test_each_setting_says_where_it_came_from(project) -> None:
    """Table, environment, command line and default are told apart."""
    project.file("pyproject.toml", "[tool.cas-llm]\nmax_cost = 2\n").cas_llm("init")
    code, report = told(project, "--store", "elsewhere", CAS_LLM_MODE="capture")
    assert code == 0
    assert setting(report, "max_cost")["source"].endswith("pyproject.toml [tool.cas-llm]")
    assert setting(report, "mode")["source"] == "CAS_LLM_MODE"
    assert setting(report, "store")["source"] == "the command line"
    assert setting(report, "exhausted")["source"] == "default"


def test_no_value_of_a_key_is_printed(project) -> None:
    """A provider key is said to be set, and a redaction pattern is only named."""
    secret = "a-very-secret-value"
    env = {"OPENAI_API_KEY": secret, "CAS_LLM_REDACT": f"mine={secret}"}
    result = project.cas_llm("doctor", env=env)
    assert secret not in result.text
    assert "OPENAI_API_KEY" in result.stdout
    assert secret not in project.cas_llm("doctor", "--json", env=env).text


def test_an_ignored_store_is_wrong(project) -> None:
    """A store that git ignores ends with 1 and names the command."""
    project.file(".gitignore", "cache_store/\n").cas_llm("init")
    code, report = told(project)
    wrong = [point for point in report["points"] if point["state"] == "wrong"]
    assert code == 1
    assert "check-ignore" in wrong[0]["command"]


def test_attributes_that_let_git_convert_are_wrong(project) -> None:
    """core.autocrlf without the store's .gitattributes would damage recordings."""
    project.cas_llm("init")
    project.git("config", "core.autocrlf", "true")
    assert told(project)[0] == 0
    (project.path / "cache_store" / ".gitattributes").unlink()
    code, report = told(project)
    assert code == 1
    assert any("autocrlf" in point["what"] for point in report["points"])


def test_a_bad_setting_is_reported_and_the_rest_is_still_told(project) -> None:
    """doctor doesn't stop at what it is there to find."""
    code, report = told(project, CAS_LLM_MODE="replya")
    assert code == 1
    assert "CAS_LLM_MODE" in report["points"][0]["what"]
    assert report["versions"]["python"]


def test_what_cannot_be_seen_is_named(project) -> None:
    """The limits of every mode are on the page."""
    said = project.cas_llm("doctor").stdout
    assert "native TLS" in said
    assert "child processes" in said


def test_a_newer_store_is_wrong(project) -> None:
    """A store of a later version is said to be so, with the way to upgrade."""
    project.file("cache_store/format", "cas-llm/store/9\n")
    code, report = told(project)
    assert code == 1
    assert any("pip install -U" in point["what"] for point in report["points"])
