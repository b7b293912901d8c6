# `make help` lists the targets. Every target installs what it needs into the virtual environment .venv. It needs only
# make, Python 3.11 or later, and pip. It installs again only if pyproject.toml has changed.

VENV ?= .venv
JOBS ?= 2
ARGS ?=
BIN  := $(VENV)/bin

# The first Python that is new enough; `make test PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: help demo test cuda quick lint docs pictures matrix dist clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18
	@echo '  ARGS="…" passes arguments: make demo ARGS="--epochs 5 --device torch", make test ARGS="--device torch"'

demo: $(VENV)/installed-demo  ## train on handwritten digits; write the model and a picture to the folder out
	$(BIN)/dlarray train digits --output out $(ARGS)

# One thread per worker: the arrays of the tests are small, and BLAS threads would compete with the workers.
# Where no GPU can be emulated (without g++ or the network, on another platform), the tests run and say why.
test: $(VENV)/installed-test  ## run all tests on all devices of this machine, and on emulated GPUs
	@$(BIN)/python -m tests.cuda_on_cpu || true
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

cuda: $(VENV)/installed-test  ## run the tests of CUDA, on emulated GPUs: needs x86-64 Linux and g++
	$(BIN)/python -m tests.cuda_on_cpu
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --emulated --device cuda -k "cuda or nccl" $(ARGS)

quick: $(VENV)/installed-test  ## run the tests that the changed files need, on NumPy, in under two minutes
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --device numpy-float64 -m 'not slow' \
		$$($(BIN)/python .ci/quick.py) $(ARGS)

lint: $(VENV)/installed-lint  ## check the code with ruff and pyright
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/installed-docs  ## run all examples and build the documentation in docs/_build/html
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo 'open docs/_build/html/index.html'

pictures: $(VENV)/installed-demo  ## draw the pictures of README.md again
	$(BIN)/python .ci/readme.py docs/_static

# An environment of its own: the libraries take some 10 GB. mparray is the example of a package that is not dlarray's.
matrix:  ## check every array library in one process, and write docs/array_libraries.md
	$(MAKE) VENV=.venv-matrix .venv-matrix/installed-matrix
	.venv-matrix/bin/python -m pip install --quiet --disable-pip-version-check --editable examples/dlarray-mparray
	.venv-matrix/bin/python .ci/matrix.py docs/array_libraries.md $(ARGS)

dist: $(VENV)/installed-build  ## build the source distribution and the wheel in dist
	rm -rf dist
	$(BIN)/python -m build --outdir dist

clean:  ## remove everything that these targets have made
	rm -rf $(VENV) .venv-matrix build dist out docs/_build docs/api docs/auto_examples .pytest_cache .ruff_cache \
		tests/cuda_on_cpu/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	@echo 'installing dlarray[$*] into $(VENV)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# A Python without ensurepip (Debian without python3-venv) uses its own pip to fill the environment.
$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'dlarray needs Python 3.11 or later, but none was found: install one, or give its path: make $(MAKECMDGOALS) PYTHON=/path/to/python' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'dlarray needs Python 3.11 or later; $(PYTHON) is older or does not run' >&2; exit 1; }
	@echo 'creating the virtual environment $(VENV) with $(PYTHON)'
	@if '$(PYTHON)' -c 'import ensurepip' 2>/dev/null; then '$(PYTHON)' -m venv --clear $(VENV); else \
		'$(PYTHON)' -m venv --clear --without-pip $(VENV) && '$(PYTHON)' -m pip --python $(BIN)/python install --quiet pip; fi || \
		{ echo 'the virtual environment could not be created: $(PYTHON) lacks venv, or both ensurepip and pip (on Debian and Ubuntu: apt install python3-venv)' >&2; exit 1; }
