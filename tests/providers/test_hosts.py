"""The tables of hosts and variables hold what the code that reads them may rely on."""

import pytest

from cas_llm.providers import (
    BASE_URL_VARIABLES,
    KEY_VARIABLES,
    KNOWN_HOSTS,
    is_provider_host,
    provider_for,
)


@pytest.mark.parametrize("pattern", KNOWN_HOSTS)
def test_each_pattern_matches_a_host_of_its_own(pattern):
    """A pattern is lower case, has at most one star, and finds the host it stands for."""
    assert pattern == pattern.lower()
    assert pattern.count("*") <= 1
    assert is_provider_host(pattern.replace("*", "some-place.x"))


def test_each_key_variable_names_a_family():
    """A placeholder key is made for a family that exists."""
    for family in KEY_VARIABLES.values():
        assert provider_for(family).family == family


def test_variables_are_named_once_and_are_names():
    """No variable is both a key and an address."""
    assert len(set(BASE_URL_VARIABLES)) == len(BASE_URL_VARIABLES)
    assert not set(BASE_URL_VARIABLES) & set(KEY_VARIABLES)
