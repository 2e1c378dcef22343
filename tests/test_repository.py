"""The guard rails of the tests hold, and the repository keeps what its pages promise."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.offline.loopback_only import LeftLoopback, is_loopback
from support.projects import TREE, Project

# An address of a documentation block (RFC 5737): even without the rail nobody would answer.
ELSEWHERE = ("192.0.2.1", 443)
TARGETS = (
    "demo",
    "test",
    "test-slow",
    "test-thorough",
    "test-pythons",
    "sdk-matrix",
    "examples",
    "lint",
    "docs",
    "docs-check",
    "reference",
    "wheel-test",
    "mutation",
    "bench",
    "clean",
)


def test_a_connection_off_loopback_is_refused() -> None:
    """No test can connect to another machine."""
    with socket.socket() as sock, pytest.raises(LeftLoopback, match=r"192\.0\.2\.1"):
        sock.connect(ELSEWHERE)


def test_connect_ex_off_loopback_is_refused() -> None:
    """The connect that returns an error code instead of raising is guarded too."""
    with socket.socket() as sock, pytest.raises(LeftLoopback):
        sock.connect_ex(ELSEWHERE)


@pytest.mark.parametrize(
    "look_up", [socket.gethostbyname, lambda name: socket.getaddrinfo(name, 443)]
)
def test_a_name_of_elsewhere_is_not_looked_up(look_up) -> None:
    """No test can ask a name server about another machine."""
    with pytest.raises(LeftLoopback, match=r"api\.example\.com"):
        look_up("api.example.com")


def test_a_refusal_is_not_an_os_error() -> None:
    """HTTP libraries retry and hide an OSError; the rail's error must come through."""
    assert not issubclass(LeftLoopback, OSError)


def test_loopback_stays_open() -> None:
    """A test can talk to a server of its own, by address and by name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", b"localhost", None]
)
def test_loopback_is_known_in_all_spellings(host) -> None:
    """Every spelling of this machine counts as loopback."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "::2"]
)
def test_a_lookalike_is_not_loopback(host: str) -> None:
    """A name that only looks like this machine does not count as loopback."""
    assert not is_loopback(host)


def test_children_of_a_project_are_kept_on_loopback(project: Project) -> None:
    """A process that a test starts has the same rail."""
    result = project.python(
        "import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)"
    )
    assert result.code == 1
    assert "LeftLoopback" in result.stderr


def test_the_home_folder_is_not_the_developers() -> None:
    """A test that writes to the home folder writes to a temporary one."""
    assert Path.home().name.startswith("cas-llm-home-")


def test_no_settings_come_in_from_outside(tmp_path: Path) -> None:
    """Provider keys, cas-llm settings and CI are gone from the environment of every test."""
    probe = tmp_path / "test_probe.py"
    probe.write_text(
        "import os\n"
        "def test_it():\n"
        "    names = {'CAS_LLM_MODE', 'OPENAI_API_KEY', 'OPENAI_BASE_URL', 'CI', 'HTTPS_PROXY'}\n"
        "    assert not names & os.environ.keys()\n"
        "    assert os.environ['CAS_LLM_CORPUS'] == 'kept'\n"
    )
    shutil.copy(TREE / "tests" / "conftest.py", tmp_path)
    names = (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "CI",
        "HTTPS_PROXY",
        "CAS_LLM_MODE",
        "CAS_LLM_CORPUS",
    )
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:cas_llm"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(probe)],
        cwd=tmp_path,
        env=os.environ | dict.fromkeys(names, "kept") | {"PYTHONPATH": str(TREE / "tests")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_project_knows_no_keys(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of a project sees what the test gives it and nothing else."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    result = project.python("import os; print('OPENAI_API_KEY' in os.environ, os.environ['HOME'])")
    assert result.stdout.split() == ["False", str(project.home)]


def test_a_project_stays_clean(project: Project) -> None:
    """Running the tests of a committed project leaves nothing in its work tree."""
    project.file("test_x.py", "def test_x():\n    pass\n").commit()
    result = project.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert (result.outcomes, project.status) == ({"passed": 1}, ""), result


def test_a_childs_pytest_tidies_up_after_no_other_run(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What it deletes when it ends is its own; what runs before this one left may be a lot."""
    project.file("test_x.py", "def test_x(tmp_path):\n    print(tmp_path)\n    assert 0\n")
    (said,) = re.findall(r"^/.*", project.pytest("-q").stdout, re.MULTILINE)
    assert Path(said).is_relative_to(tmp_path_factory.getbasetemp())


def test_every_target_of_the_makefile_is_there() -> None:
    """The targets that the pages name exist."""
    makefile = (TREE / "Makefile").read_text()
    assert [name for name in TARGETS if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_the_pages_name_only_targets_that_exist() -> None:
    """A page never sends anybody to a target that is not there."""
    for page in (TREE / "README.md", *(TREE / "docs").rglob("*.md")):
        said = r"^make ([a-z][a-z-]*)|`make ([a-z][a-z-]*)(?: [A-Z]+=[^`]*)?`"
        named = ["".join(pair) for pair in re.findall(said, page.read_text(), re.MULTILINE)]
        assert set(named) <= set(TARGETS), page.name


def test_the_readme_opens_with_the_two_commands() -> None:
    """Who clones the repository finds `make demo` and `make test` before anything else."""
    blocks = re.findall(r"```bash\n(.*?)```", (TREE / "README.md").read_text(), re.DOTALL)
    assert [line.split("#")[0].strip() for line in blocks[0].splitlines()] == [
        "make demo",
        "make test",
    ]


def test_every_page_is_in_the_navigation() -> None:
    """No page of the documentation is hidden."""
    navigation = (TREE / "mkdocs.yml").read_text()
    docs = TREE / "docs"
    pages = [page.relative_to(docs).as_posix() for page in docs.rglob("*.md")]
    assert [page for page in pages if f": {page}" not in navigation] == []


def test_nothing_names_a_registry() -> None:
    """Set-up uses whatever index pip is configured for, and never names one."""
    hosts = re.compile(
        r"files\.python" + r"hosted|pypi\.org/" + r"simple|--(extra-)?index-" + "url"
    )
    files = [TREE / name for name in ("Makefile", ".ci/run", "README.md", "pyproject.toml")]
    assert [file.name for file in files if hosts.search(file.read_text())] == []
