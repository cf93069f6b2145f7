# Everything sets itself up: a virtual environment in .venv, and system packages through apt where that is allowed.
# `make help` lists the targets.

VENV ?= .venv
export PYTHON ?=
ARGS ?=
# A worker for every core, up to four; a file's tests stay together, as they share what is dear to make.
WORKERS ?= -n logical --maxprocesses 4 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := -c constraints.txt

# What Qt's wheels leave to the system, and what a machine without a screen needs to show windows all the same.
QT_PACKAGES := libegl1 libgl1 libgl1-mesa-dri libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-randr0 libxcb-xfixes0
SCREEN_PACKAGES := xvfb xauth

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-napari test test-slow screenshots format lint types wheel docs benchmarks clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## run the main job on an embedded sample; results in demo/
	$(BIN)/stemnmf demo --out demo

demo-napari: $(VENV)/.napari ## the same, then show it in napari (needs a screen)
	@tools/apt-need $(QT_PACKAGES)
	$(BIN)/stemnmf demo --out demo --napari

test: $(VENV)/.dev ## run the tests, napari windows included; ARGS="-k rings" picks some
	@tools/apt-need $(SCREEN_PACKAGES) $(QT_PACKAGES)
	tools/with-screen $(BIN)/python -m pytest $(WORKERS) $(ARGS)

format: $(VENV)/.dev ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint: $(VENV)/.dev ## check formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## check types
	$(BIN)/mypy

wheel: $(VENV)/.dev ## build the wheel into dist/ and check it in an environment without the source
	tools/check-wheel $(BIN)/python

test-slow: ## the tests that take over a minute: the films and the measured silver, where the shared data is
	@$(MAKE) --no-print-directory test ARGS="-m slow $(ARGS)"

screenshots: $(VENV)/.dev ## drive the plugin and write the pictures of README and docs
	@tools/apt-need $(SCREEN_PACKAGES) $(QT_PACKAGES)
	tools/with-screen $(BIN)/python docs/make_screenshots.py

docs: $(VENV)/.dev ## write the docs pages that are generated from the code
	$(BIN)/python tools/settings_page.py docs/settings.md

benchmarks: ## list the benchmarks
	@for f in benchmarks/*.py; do printf '%-30s %s\n' "$$f" "$$(sed -n '1s/^"*//; 1s/"*$$//; 1p' "$$f")"; done
	@echo 'Run one with: $(BIN)/python benchmarks/NAME.py'

clean: ## remove the environment, caches and what demo and wheel made
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@tools/make-venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt src/napari_stemnmf/__init__.py | $(BIN)/python
	@echo "Installing napari-stemnmf into $(VENV) (a few minutes the first time)"
	@$(PIP) install --quiet $(CONSTRAINTS) --editable .
	@touch $@

$(VENV)/.napari: pyproject.toml constraints.txt src/napari_stemnmf/__init__.py | $(BIN)/python
	@echo "Installing napari-stemnmf and napari with Qt into $(VENV)"
	@$(PIP) install --quiet $(CONSTRAINTS) --editable ".[formats]" "napari[pyqt6]"
	@touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml constraints.txt src/napari_stemnmf/__init__.py | $(BIN)/python
	@echo "Installing napari-stemnmf, napari with Qt and the test tools into $(VENV) (a few minutes the first time)"
	@$(PIP) install --quiet $(CONSTRAINTS) --editable ".[dev]"
	@touch $@ $(VENV)/.run $(VENV)/.napari
