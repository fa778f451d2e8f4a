# make train      set up, make the embedded data set, train FUSE-MIL on it, write the report (DEBUG=1: in a minute)
# make test       set up and run the tests that are fast: a few minutes on two cores
# make test-all   the same and the tests marked slow: kills, full disks, whole runs, the wheel
# make lint       ruff (rules and format) and mypy
# make docs       the pages of docs/ with the API reference, as a site in build/site
# A .venv that is a link is an environment of your own: it is used as it is, never installed into and never removed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RECIPE := recipes/SynthScenes
WORKERS ?= 2
ifeq ($(DEBUG),1)
TRAIN_OPTIONS := --debug --batch_size=8 --data_folder=data/debug --data.train_clips=20 --data.evaluate_clips=20
endif
ifeq ($(shell test -L $(VENV) && echo link),link)
# its mil_asc may be another checkout
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
else
STAMP := $(VENV)/installed
OWN_VENV := $(VENV)
endif

.PHONY: install train test test-all lint docs clean

install: $(STAMP)

$(VENV)/installed: setup.py constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(v < (3, 10) and f'Python 3.10 or newer is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11')"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e ".[test]"
	@touch $@

train: $(STAMP)
	cd $(RECIPE) && ../../$(BIN)/python train.py hparams/fuse_pnl.yaml $(TRAIN_OPTIONS) $(OPTIONS)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) $(OPTIONS)

test-all: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) -m "" $(OPTIONS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	@$(BIN)/python -c "import mkdocstrings" 2>/dev/null || { test -n "$(OWN_VENV)" && \
		$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e ".[docs]"; }
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(OWN_VENV) build *.egg-info
