# Two commands from a bare clone: `make demo` and `make test`. Everything is installed into $(VENV).
PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
# PyTorch's index of CPU builds; an unreachable index must cost seconds, hence the few retries.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_FLAGS = --progress-bar off --no-deps --retries 1 --timeout 20
# compat: a path entry, so that a clone's own folder name never hides the package
EDITABLE = --config-settings editable_mode=compat --editable
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
RUN = $(VENV)/bin

.PHONY: demo test test-all lint reproduce clean

demo: $(VENV)/.installed ## the main job on the embedded virtual network, ending in scores and a report
	$(RUN)/ecoembed run

test: $(VENV)/.installed-dev ## all tests but the slow ones
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 -m "not slow"

test-all: $(VENV)/.installed-dev ## the slow ones too
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2

lint: $(VENV)/.installed-dev ## style, types and the import contract
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

reproduce: $(VENV)/.installed ## regenerate every committed result and fail if one differs; FLAGS=--quick: in a minute or two
	$(RUN)/python evaluation/reproduce.py $(FLAGS)
	$(RUN)/python evaluation/tables.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "ecoembed needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# The CPU build of torch comes first, alone: from pip's configured places, else from PyTorch's index; where there is no
# build of that name (macOS, Windows) the plain one is a CPU build already.
$(VENV)/.torch: | $(VENV)/bin/python
	$(PIP) install $(TORCH_FLAGS) torch==$(TORCH)+cpu \
	  || $(PIP) install $(TORCH_FLAGS) --index-url $(TORCH_INDEX) torch==$(TORCH)+cpu \
	  || $(PIP) install --progress-bar off torch==$(TORCH)
	touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.torch
	$(PIP) install --progress-bar off --quiet $(EDITABLE) .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.torch
	$(PIP) install --progress-bar off --quiet $(EDITABLE) ".[dev]"
	$(PIP) install --progress-bar off --quiet --no-deps sen2nbar==2024.6.0 # oracle of NBAR; its own dependencies would take pandas back to 2
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) ecoembed-demo build dist *.egg-info
