# `make app` starts the app, `make test` runs every test, `make` alone checks and tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export GRADIO_ANALYTICS_ENABLED = False

.DEFAULT_GOAL := all
.PHONY: all app check test format requirements screenshots clean

all: check test

app: $(VENV)/.models
	@$(BIN)/python app.py

check: $(VENV)/.check
	$(BIN)/ruff format $(if $(CI),--check) .
	$(BIN)/ruff check $(if $(CI),,--fix) .
	$(BIN)/mypy

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(VENV)/.test $(VENV)/.models
	@sh tests/browser/install.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile

# For Hugging Face Spaces, which install it before they have the checkout. A test compares.
requirements: $(VENV)/.venv
	$(BIN)/python .ci/requirements.py > requirements.txt

# The pictures of docs/, from the app on the real model.
screenshots: $(VENV)/.test $(VENV)/.models
	@sh tests/browser/install.sh
	$(BIN)/python docs/screenshots.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis

# Debian's Python without python3-venv has no ensurepip, which puts pip into a venv; the pip outside can do it too.
BARE_VENV = $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install -q pip

# Each stamp is older than pyproject.toml where something has to be installed again.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v not in ((3, 11), (3, 12)) and f"Crossfade needs Python 3.11 or 3.12; {sys.executable} is {v[0]}.{v[1]}. Name one: make app PYTHON=python3.11")'
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); else $(BARE_VENV); fi
	@touch $@

$(VENV)/.app: $(VENV)/.venv pyproject.toml
	@echo "Installing Crossfade into $(VENV) (once, some minutes) ..."
	@$(BIN)/python -m pip install -q -e .
	@touch $@

# The page would fetch and index too; here it is seen on the terminal.
$(VENV)/.models: $(VENV)/.app
	@$(BIN)/crossfade models --fetch smollm2-135m >/dev/null
	@$(BIN)/crossfade models --fetch minilm >/dev/null
	@echo "Indexing the default corpus ..."
	@$(BIN)/crossfade index tidewell
	@touch $@

$(VENV)/.check: $(VENV)/.app
	@$(BIN)/python -m pip install -q -e '.[check]'
	@touch $@

$(VENV)/.test: $(VENV)/.app
	@echo "Installing what training and the tests need ..."
	@$(BIN)/python -m pip install -q -e '.[transformers,test]'
	@touch $@
