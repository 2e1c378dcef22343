"""Settings: one table, one order of precedence, and errors that say where."""

import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from cas_llm.config import (
    OPTIONS,
    Rank,
    Settings,
    find_store,
    find_table,
    load,
    on_ci,
    read_option,
)
from cas_llm.errors import ConfigError, NotAStore
from cas_llm.modes import Mode
from cas_llm.store.layout import read_format


@pytest.fixture
def folder(tmp_path):
    """A folder in no repository and below no project."""
    place = tmp_path / "project"
    place.mkdir()
    return place


def table(folder, text):
    (folder / "pyproject.toml").write_text(f"[tool.cas-llm]\n{text}\n", "utf-8")


def test_without_anything_the_defaults_hold(folder):
    """FALLBACK, and each option's own default."""
    settings = load(folder, {})
    assert settings.mode is Mode.FALLBACK
    assert settings.mode_said.source == "default"
    for option in OPTIONS:
        if option.name not in {"mode", "store"}:
            assert getattr(settings, option.name) == option.default, option.name


def test_every_option_is_a_setting_and_every_setting_an_option():
    """A name is known in all places or in none."""
    names = {field.name for field in fields(Settings)} - {"said", "sources"} | {"mode"}
    assert {option.name for option in OPTIONS} == names
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)
    assert all(option.help for option in OPTIONS)


def test_each_default_is_a_value_its_option_may_have():
    """A default written out is the same as none."""
    for option in OPTIONS:
        if option.default is not None:
            assert option.read(option.default) == option.default, option.name


@pytest.mark.parametrize(
    ("environ", "under_pytest", "mode", "source"),
    [
        ({}, True, Mode.REPLAY, "default under pytest"),
        ({"CI": "true"}, False, Mode.REPLAY, "default on CI"),
        ({"CI": "false"}, False, Mode.FALLBACK, "default"),
        ({"CI": "1"}, True, Mode.REPLAY, "default under pytest"),
    ],
)
def test_the_default_mode_is_replay_where_nobody_watches(
    folder, environ, under_pytest, mode, source
):
    """In pytest and on CI."""
    settings = load(folder, environ, under_pytest=under_pytest)
    assert (settings.mode, settings.mode_said.source) == (mode, source)


@pytest.mark.parametrize(("value", "ci"), [("", False), ("0", False), ("No", False), ("x", True)])
def test_ci_is_what_the_environment_says(value, ci):
    """Any value but an empty one or a no."""
    assert on_ci({"CI": value}) is ci
    assert not on_ci({})


def voices():
    return [
        (Rank.COMMAND_LINE, "capture"),
        (Rank.ENVIRONMENT, "disabled"),
        (Rank.CALL, "fallback"),
        (Rank.MARKER, "replay"),
        (Rank.USE, "capture"),
        (Rank.TABLE, "disabled"),
    ]


@pytest.mark.parametrize("first", range(6))
def test_the_run_says_what_it_wants_and_code_states_the_default(folder, first):
    """Command line, environment, per call, marker, use(), table: in this order, however added."""
    settings = load(folder, {})
    for rank, mode in reversed(voices()[first:]):
        settings = settings.says(mode, rank, rank.name)
    assert settings.mode_said.source == voices()[first][0].name
    settings = load(folder, {})
    for rank, mode in voices()[first:]:
        settings = settings.says(mode, rank, rank.name)
    assert settings.mode_said.source == voices()[first][0].name


def test_a_later_voice_of_the_same_rank_wins_and_none_says_nothing(folder):
    """An inner use() goes before the outer one."""
    settings = load(folder, {}).says("replay", Rank.USE, "outer")
    assert settings.says("capture", Rank.USE, "inner").mode is Mode.CAPTURE
    assert settings.says(None, Rank.USE, "inner") is settings


def test_command_line_then_environment_then_ini_then_table(folder):
    """For every setting, and each one's source is told."""
    table(
        folder, 'max_cost = 1\npace = "recorded"\nvcr = "replace"\nexhausted = "last"\nmode="off"'
    )
    settings = load(
        folder,
        {"CAS_LLM_MAX_COST": "3", "CAS_LLM_PACE": "3"},
        command_line={"max_cost": "4"},
        ini={"max_cost": "2", "pace": "2", "vcr": "keep", "mode": "replay"},
    )
    assert (settings.max_cost, settings.pace, settings.vcr, settings.exhausted) == (
        4.0,
        "3",
        "keep",
        "last",
    )
    assert settings.mode is Mode.REPLAY
    assert settings.sources["max_cost"] == "the command line"
    assert settings.sources["pace"] == "CAS_LLM_PACE"
    assert settings.sources["vcr"] == "pytest's ini options"
    assert settings.sources["exhausted"] == f"{folder / 'pyproject.toml'} [tool.cas-llm]"
    assert "durable" not in settings.sources


def test_an_empty_variable_says_nothing(folder):
    """As CI systems set variables they have no value for."""
    assert load(folder, {"CAS_LLM_MODE": "", "CAS_LLM_STORE": ""}).sources.keys() == {"store"}


def test_variables_that_are_no_settings_are_left_alone(folder):
    """Those cas-llm tells its own children by, and other programs' ones."""
    load(folder, {"CAS_LLM_SESSION": "x", "CAS_LLM_CORPUS": "x", "CASLLM": "x", "MODE": "x"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('mdoe = "replay"', "unknown setting 'mdoe'; did you mean 'mode'?"),
        ("xyzzy = 1", "unknown setting 'xyzzy'; known are mode, store"),
        ('mode = "replya"', "did you mean 'replay'?"),
        ("mode = 1", "mode must be text"),
        ('exhausted = "never"', "exhausted must be one of 'miss', 'last', 'cycle', not 'never'"),
        ('max_cost = "much"', "max_cost must be an amount of US dollars"),
        ("max_cost = -1", "US dollars"),
        ("max_cost = nan", "US dollars"),
        ("max_cost = inf", "US dollars"),
        ("max_cost = true", "US dollars"),
        ("record_errors = [200]", "statuses from 400 to 599"),
        ('record_errors = ["x"]', "statuses from 400 to 599"),
        ("record_errors = 400", "list of texts"),
        ('durable = "maybe"', "durable must be true or false"),
        ("hosts = 1", "hosts must be a list of texts"),
        ("hosts = {a = 1}", "hosts must map host names"),
        ("normalise = [1]", "normalise must be a list of texts"),
        ('redact = ["no pattern"]', "each rule must read name=pattern"),
        ('redact = ["x=("]', "redact has no valid pattern for 'x'"),
        ('pace = "fast"', "pace"),
        ("pace = -1", "pace"),
        ("pace = true", "pace must be text"),
        ("stale = 1", "stale must be a table"),
        ("store = 1", "store must be the path of a folder, not 1"),
        ('store = ""', "store must be the path of a folder, not ''"),
    ],
)
def test_a_bad_setting_is_one_clear_error_with_its_place(folder, text, says):
    """What, where, and the nearest that is right."""
    table(folder, text)
    with pytest.raises(ConfigError) as raised:
        load(folder, {})
    assert says in str(raised.value)
    assert str(raised.value).startswith(str(folder / "pyproject.toml"))
    assert str(raised.value).count("pyproject.toml") == 1


def test_a_bad_variable_names_the_variable(folder):
    """Its own name, and the nearest for an unknown one."""
    with pytest.raises(ConfigError, match=r"^CAS_LLM_MODE: unknown mode"):
        load(folder, {"CAS_LLM_MODE": "x"})
    with pytest.raises(ConfigError, match=r"^CAS_LLM_MDOE: .*did you mean CAS_LLM_MODE"):
        load(folder, {"CAS_LLM_MDOE": "x"})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[tool.cas-llm", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        (b"[tool]\ncas-llm = 1", "must be a table"),
    ],
)
def test_a_pyproject_that_cannot_be_read_names_itself(folder, content, says):
    """No parser's own exception."""
    (folder / "pyproject.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=says) as raised:
        load(folder, {})
    assert str(folder / "pyproject.toml") in str(raised.value)


def test_a_pyproject_without_permission_names_itself(folder, monkeypatch):
    """Nor the operating system's."""
    table(folder, "")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(folder, {})


@pytest.mark.parametrize("content", ["tool = 1", "[project]\nname = 'x'", ""])
def test_a_pyproject_without_our_table_is_passed_over(folder, content):
    """The search goes on upwards."""
    table(folder, 'mode = "off"')
    (folder / "inner").mkdir()
    (folder / "inner" / "pyproject.toml").write_text(content)
    assert load(folder / "inner", {}).mode is Mode.DISABLED
    assert find_table(folder / "inner")[0] == folder


def store_at(path):
    path.mkdir(parents=True)
    (path / "format").write_text("cas-llm/store/1\n")
    return path


def test_the_store_lies_where_the_most_explicit_says(project):
    """Option, variable, table, the nearest store upwards, the git root: each before the next."""
    root = project.path
    deep = root / "a" / "b"
    deep.mkdir(parents=True)
    assert load(deep, {}).store == root / "cache_store"
    assert load(deep, {}).sources["store"] == "the git root"
    nearest = store_at(root / "a" / "cache_store")
    assert load(deep, {}).store == nearest
    assert load(nearest, {}).store == load(nearest / "objects", {}).store == nearest
    table(root, "")
    assert load(deep, {}).store == root / "cache_store"
    table(root, 'store = "recordings"')
    assert load(deep, {}).store == root / "recordings"
    environ = {"CAS_LLM_STORE": "/env"}
    assert load(deep, environ).store == Path("/env")
    assert load(deep, environ, command_line={"store": "/line"}).store == Path("/line")


def test_a_relative_store_is_relative_to_who_says_it(folder, monkeypatch):
    """The table's to its file, the command line's and the environment's to where one stands."""
    table(folder, 'store = "x/y"')
    deep = folder / "deep"
    deep.mkdir()
    assert load(deep, {}).store == folder / "x" / "y"
    assert load(deep, {}, command_line={"store": "x"}).store == deep / "x"
    assert load(deep, {"CAS_LLM_STORE": "x"}).store == deep / "x"
    monkeypatch.setenv("HOME", "/home/ada")
    assert load(deep, {"CAS_LLM_STORE": "~/x"}).store == Path("/home/ada/x")


def test_a_relative_start_is_searched_upwards_too(folder, monkeypatch):
    """`Path('.')` has no parents of its own."""
    table(folder, 'mode = "off"')
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    settings = load(Path(), {})
    assert settings.mode is Mode.DISABLED
    assert settings.store == folder / "cache_store"
    assert settings.store.is_absolute()


def test_without_a_repository_the_current_folder_is_named_as_such(folder):
    """`doctor` says why."""
    settings = load(folder, {})
    if settings.sources["store"] != "the git root":
        assert settings.store == folder / "cache_store"
        assert settings.sources["store"] == "no git repository: the current folder"


def test_a_folder_named_like_a_store_without_format_is_none(folder):
    """The format file makes a store."""
    (folder / "cache_store").mkdir()
    assert find_store(folder) != folder / "cache_store"


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        (
            "hosts",
            "LLM.example.org=openai, other.example.org",
            {"llm.example.org": "openai", "other.example.org": ""},
        ),
        ("hosts", {"A.example.org": "openai"}, {"a.example.org": "openai"}),
        ("ignore_hosts", " a, b ,,", ("a", "b")),
        ("normalise", ["trim", "uuid"], ("trim", "uuid")),
        ("redact", {"badge": "B-[0-9]+=x"}, (("badge", "B-[0-9]+=x"),)),
        ("redact", "badge=B-[0-9]+", (("badge", "B-[0-9]+"),)),
        ("record_errors", "400,429", frozenset({400, 429})),
        ("record_errors", [500], frozenset({500})),
        ("record_errors", "all", "all"),
        ("durable", "Yes", True),
        ("durable", "off", False),
        ("max_cost", "0", 0.0),
        ("pace", 2, "2"),
        ("pace", "0.5", "0.5"),
        ("mode", Mode.CAPTURE, Mode.CAPTURE),
    ],
)
def test_a_value_is_read_from_text_and_from_toml(name, raw, value):
    """The environment has only texts."""
    assert read_option(name, raw, "here") == value


@pytest.mark.parametrize("name", ["cas_llm", "casllm", "Cas-LLM", '"cas.llm"'])
def test_a_misspelt_table_is_an_error_and_not_silence(folder, name):
    """Else every setting in it would be its default, and nobody would know."""
    (folder / "pyproject.toml").write_text(f"[tool.{name}]\nmode = 'capture'\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: .* write \[tool\.cas-llm\]"):
        load(folder, {})
    (folder / "pyproject.toml").write_text("[tool.other]\n[tool.cas-llm]\nmode = 'capture'\n")
    assert load(folder, {}).mode is Mode.CAPTURE


def test_but_puts_values_in_place_and_says_whose(folder):
    """None leaves a setting as it is; a bad one names who gave it."""
    settings = load(folder, {})
    changed = settings.but("use()", exhausted="last", namespace=None, store=str(folder / "s"))
    assert (changed.exhausted, changed.namespace, changed.store) == ("last", "", folder / "s")
    assert changed.sources["exhausted"] == changed.sources["store"] == "use()"
    assert settings.exhausted == "miss"
    assert replace(changed, exhausted="miss").exhausted == "miss"
    with pytest.raises(ConfigError, match=r"^use\(\): exhausted must be one of"):
        settings.but("use()", exhausted="x")
    with pytest.raises(ConfigError, match=r"^use\(\): unknown setting 'exhaust'"):
        settings.but("use()", exhaust="x")


def test_the_environment_is_the_processs_own_by_default(folder, monkeypatch):
    """What a shell exports counts."""
    assert not [name for name in os.environ if name.startswith("CAS_LLM_MODE")]
    monkeypatch.setenv("CAS_LLM_MODE", "off")
    assert load(folder).mode is Mode.DISABLED


@pytest.mark.parametrize(
    ("environ", "command_line"), [({"CAS_LLM_NAMESPACE": "run"}, {}), ({}, {"namespace": "run"})]
)
def test_what_the_run_says_no_code_changes(folder, environ, command_line):
    """The environment and the command line outrank markers and use(), for every setting."""
    settings = load(folder, environ, command_line=command_line)
    changed = settings.but("use()", namespace="code", exhausted="last")
    assert (changed.namespace, changed.exhausted) == ("run", "last")
    assert changed.sources["namespace"] == settings.sources["namespace"]
    assert changed.but("the command line", namespace="later").namespace == "later"


def test_a_value_that_loses_is_still_read(folder):
    """A typo in the code is told also where the environment wins."""
    settings = load(folder, {"CAS_LLM_EXHAUSTED": "last"})
    with pytest.raises(ConfigError, match=r"use\(\): exhausted must be one of"):
        settings.but("use()", exhausted="stop")


def test_what_a_parent_process_said_code_may_change(folder):
    """CAS_LLM_SESSION names no setting."""
    settings = load(folder, {}).but("CAS_LLM_SESSION", namespace="parent")
    assert settings.but("use()", namespace="child").namespace == "child"


@pytest.mark.parametrize("environ", [{}, {"CAS_LLM_STORE": "notes"}])
def test_a_store_that_is_a_file_is_one_clear_error(folder, environ):
    """Whoever named it, it is told before anything is read there."""
    (folder / "notes").write_text("not a store")
    table(folder, 'store = "notes"')
    with pytest.raises(ConfigError, match=r"store must be a folder, and .*notes is a file"):
        load(folder, environ)
    with pytest.raises(NotAStore, match=r"notes: it is a file, not a folder"):
        read_format(folder / "notes")


def test_hosts_add_up(folder):
    """Hosts named in the code are added; one named twice is whose word weighs more."""
    table(folder, 'hosts = {"a.example" = "one", "b.example" = "two"}')
    changed = load(folder, {}).but("use()", hosts={"b.example": "three", "c.example": ""})
    assert changed.hosts == {"a.example": "one", "b.example": "three", "c.example": ""}
    run = load(folder, {"CAS_LLM_HOSTS": "b.example=run"})
    changed = run.but("use()", hosts={"b.example": "three", "c.example": ""})
    assert changed.hosts == {"b.example": "run", "c.example": ""}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('scope = "everything"', "hooks scope must be one of"),
        ("max_seconds = 0", "hooks max_seconds must be a number of seconds above 0"),
        ("max_second = 3", "hooks has no 'max_second'; did you mean 'max_seconds'?"),
    ],
)
def test_a_table_of_settings_names_the_member_that_is_wrong(
    tmp_path: Path, line: str, wrong: str
) -> None:
    """A bad member of a table is told like any other bad setting."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.cas-llm.hooks]\n{line}\n", "utf-8")

    with pytest.raises(ConfigError, match=wrong):
        load(tmp_path, {})
