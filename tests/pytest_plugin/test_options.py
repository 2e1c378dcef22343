"""How a run is told what to do: flags, variables, ini options, markers, an overridden fixture."""

import pytest
from support.inner import summary_of

ONE = "def test_one(): ask('one')"


@pytest.mark.slow
def test_a_mode_is_taken_from_the_flag_then_the_environment_then_the_marker_then_the_table(inner):
    """The run says what it wants, code states the default."""
    inner.tests(
        """
        def test_plain(cas_llm):
            print("plain", cas_llm.settings.mode)

        @pytest.mark.cas_llm(mode="disabled")
        def test_marked(cas_llm):
            print("marked", cas_llm.settings.mode)

        @pytest.mark.cas_llm("capture")
        class TestClass:
            @pytest.mark.cas_llm("disabled")
            def test_nearest(self, cas_llm):
                print("nearest", cas_llm.settings.mode)
        """
    )

    def modes(*args, **env):
        lines = inner.run("-s", *args, env=env, passed=3).stdout.splitlines()
        words = ("plain", "marked", "nearest")
        return [
            line.split()[-1].rstrip(".") for word in words for line in lines if f"{word} " in line
        ]

    assert modes() == ["replay", "disabled", "disabled"]
    inner.table('mode = "fallback"')
    assert modes() == ["fallback", "disabled", "disabled"]
    assert modes(CAS_LLM_MODE="capture") == ["capture"] * 3
    assert modes("--cas-llm=REFRESH_CACHE", CAS_LLM_MODE="replay") == ["capture"] * 3


def test_a_setting_of_the_run_wins_over_one_of_a_test(inner):
    """The command line and the environment outrank a marker and the fixture."""
    inner.tests(
        """
        @pytest.fixture(scope="session")
        def cas_llm_config():
            return {"max_cost": 3, "namespace": "fixture", "exhausted": "last"}

        @pytest.mark.cas_llm(max_cost=2, namespace="marker")
        def test_it(cas_llm):
            settings = cas_llm.settings
            assert (settings.max_cost, settings.namespace) == (1, "marker")
            assert settings.exhausted == "cycle"
        """
    )
    inner.run("--cas-llm-max-cost=1", env={"CAS_LLM_EXHAUSTED": "cycle"}, passed=1)


def test_ini_options_are_settings(inner):
    """Each setting has an ini option; a list takes a line an entry."""
    inner.project.file(
        "pytest.ini",
        """
        [pytest]
        cas_llm_mode = fallback
        cas_llm_max_cost = 0.5
        cas_llm_ignore_hosts =
            app.test
            other.test
        """,
    )
    inner.tests(
        """
        def test_it(cas_llm):
            settings = cas_llm.settings
            assert settings.ignore_hosts == ("app.test", "other.test")
            assert (settings.max_cost, settings.mode.name) == (0.5, "FALLBACK")
        """
    )
    result = inner.run(passed=1)
    assert "cas-llm: fallback (pytest's ini options)" in result.stdout


def test_the_config_fixture_holds_for_those_who_see_it(inner):
    """A conftest's holds for all, a module's for its own tests, whatever its scope."""
    inner.project.file(
        "tests/conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def cas_llm_config():
            return {"namespace": "all"}
        """,
    )
    inner.tests(
        """
        def test_all(cas_llm):
            assert cas_llm.settings.namespace == "all"

        def test_all_again(cas_llm):
            assert cas_llm.settings.namespace == "all"
        """
    )
    inner.tests(
        """
        @pytest.fixture
        def cas_llm_config(cas_llm_config):
            return cas_llm_config | {"mode": "fallback"}

        def test_module(cas_llm):
            assert (cas_llm.settings.namespace, cas_llm.settings.mode.name) == ("all", "FALLBACK")
            ask("recorded without a flag")
        """,
        "tests/test_module.py",
    )
    inner.run(passed=3)
    assert len(inner.tapes()) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("exhuasted='last'", "unknown setting 'exhuasted'; did you mean 'exhausted'?"),
        ("mode='replya'", "unknown mode 'replya': did you mean 'replay'?"),
        ("repeat='twice'", "repeat must be one of 'once', 'each'"),
        ("store='elsewhere'", "store holds for the whole run"),
    ],
)
def test_a_marker_that_cannot_be_read_fails_its_test_in_one_line(inner, settings, said):
    """It names the setting, the nearest one and the test; the other tests go on."""
    inner.tests(
        f"""
        @pytest.mark.cas_llm({settings})
        def test_bad(): raise AssertionError("ran")

        def test_good(): pass
        """
    )
    result = inner.run(passed=1, error=1)
    assert said in result.stdout
    assert "tests/test_it.py::test_bad" in result.stdout
    assert "Traceback" not in result.stdout
    assert "ran" not in summary_of(result)


@pytest.mark.parametrize(
    ("table", "flags", "said"),
    [
        ("mdoe = 'replay'", (), "unknown setting 'mdoe'; did you mean 'mode'?"),
        ("", ("--cas-llm=repaly",), "unknown mode 'repaly': did you mean 'replay'?"),
        ("", ("--cas-llm-max-cost=much",), "max_cost must be an amount of US dollars"),
    ],
)
def test_a_run_that_cannot_be_configured_stops_with_one_line(inner, table, flags, said):
    """A usage error, exit code 4, before anything is collected."""
    result = inner.table(table).tests(ONE).run(*flags)
    assert result.code == 4, result
    assert said in result.stderr
    assert "Traceback" not in result.text


def test_a_store_on_the_command_line_lies_where_the_command_was_typed(inner):
    """A relative path is the shell's, not the project's."""
    inner.tests(ONE)
    inner.record("--cas-llm-store=elsewhere", passed=1)
    assert (inner.project.path / "elsewhere" / "format").is_file()
    assert not (inner.project.path / "cache_store").exists()


@pytest.mark.slow
def test_a_test_with_another_tools_vcr_marker_is_left_alone_unless_told(inner, provider):
    """`vcr = "replace"` takes it over."""
    inner.tests("@pytest.mark.vcr\ndef test_theirs(): ask('one')")
    inner.project.file("pytest.ini", "[pytest]\nmarkers = vcr: another tool's\n")
    inner.run(passed=1)
    assert (provider.count, inner.tapes()) == (1, [])
    inner.table('vcr = "replace"').run(failed=1)
    assert provider.count == 1
    inner.record(passed=1)
    inner.run(passed=1)
    assert (provider.count, len(inner.tapes())) == (2, 1)
