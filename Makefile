# make train   set up, make the embedded data set, train FUSE-MIL on it, write the report (DEBUG=1: in a minute)
# make test    set up and run the whole test suite
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
RECIPE := recipes/SynthScenes
ifeq ($(DEBUG),1)
TRAIN_OPTIONS := --debug --batch_size=8 --data_folder=data/debug --data.train_clips=20 --data.evaluate_clips=20
endif

.PHONY: install train test lint clean

install: $(STAMP)

$(STAMP): setup.py constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(v < (3, 10) and f'Python 3.10 or newer is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11')"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e ".[test]"
	@touch $@

train: $(STAMP)
	cd $(RECIPE) && ../../$(BIN)/python train.py hparams/fuse_pnl.yaml $(TRAIN_OPTIONS) $(OPTIONS)

test: $(STAMP)
	$(BIN)/python -m pytest $(OPTIONS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) build *.egg-info
