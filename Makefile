# make demo | make test | make lint: each sets up .venv first, once.
# Needs make and a Python >= 3.11, nothing else: make demo PYTHON=/path/to/python3.12

PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --quiet
# Two workers with one thread each: more threads than cores slow torch down.
WORKERS ?= 2

.PHONY: demo test lint style format types clean

demo: $(VENV)/installed
	$(RUN) docs/demo.py

test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(WORKERS)

lint: style format types

style: $(VENV)/installed-dev
	$(RUN) -m ruff check .

format: $(VENV)/installed-dev
	$(RUN) -m ruff format --check .

types: $(VENV)/installed-dev
	$(RUN) -m pyright

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found; name one: make demo PYTHON=/path/to/python" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	PIP_CONSTRAINT=constraints.txt $(PIP) install --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	PIP_CONSTRAINT=constraints.txt $(PIP) install --editable ".[dev]"
	@touch $@
