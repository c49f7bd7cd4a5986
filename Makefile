# make demo   install into .venv, then index real text, ask it questions and measure recall@k
# make test   install what the tests need, then run the whole suite
# make check  ruff, the type checker and the import contracts
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test test-slow check install clean

demo: $(VENV)/.installed
	$(BIN)/ragkit demo --out demo-output

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/.installed

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch comes first and by its exact version: what needs it would otherwise take the registry's newest build.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing ragkit into $(VENV) (a few minutes: torch is large)"
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable ".[dev,gguf]"
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info demo-output
