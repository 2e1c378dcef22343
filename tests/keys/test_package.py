"""What the package gives at once, and what it imports only when it is asked for."""

import os
import subprocess
import sys

import pytest

from cas_llm import keys


@pytest.mark.parametrize("name", keys.__all__)
def test_every_name_is_there(name):
    """Also those of modules that are imported only then; each is the same thing twice."""
    found = getattr(keys, name)
    assert found is not None
    assert getattr(keys, name) is found


@pytest.mark.parametrize("name", sorted(keys._LATER))
def test_a_name_of_a_later_module_is_that_modules(name):
    """And is kept, so that it is looked up once."""
    vars(keys).pop(name, None)
    found = keys.__getattr__(name)
    assert found.__module__ == f"cas_llm.keys.{keys._LATER[name]}"
    assert vars(keys)[name] is found


def test_a_name_that_is_not_there_is_an_error_as_of_any_module():
    """In Python's own words."""
    with pytest.raises(AttributeError) as raised:
        keys.nothing  # noqa: B018
    assert str(raised.value) == "module 'cas_llm.keys' has no attribute 'nothing'"


def test_deriving_a_key_does_not_import_what_only_a_miss_needs():
    """A replay that hits pays for no explanation."""
    program = "import sys, cas_llm.keys; print(sorted(n for n in sys.modules if 'explain' in n))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, env=environment, check=True, capture_output=True)
    assert done.stdout.strip() == b"[]"
