# Everything sets itself up: a virtual environment in .venv, made once and brought up to date when the
# project's files change. PYTHON chooses the interpreter, PIP_ARGS is added to every `pip install`.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 2
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(PIP_ARGS)

.PHONY: help serve chat test check format clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

serve: .venv/serve  ## serve the default model on HOST and PORT, fetching it when needed
	@$(BIN)/steersman serve --host $(HOST) --port $(PORT)

chat: .venv/serve  ## chat with it in this terminal
	@$(BIN)/steersman chat

test: .venv/dev  ## run the tests, in WORKERS processes
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: .venv/dev  ## format, lint, types, known vulnerabilities, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	@$(BIN)/python .ci/audit.py
	@$(MAKE) --no-print-directory test

format: .venv/dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the virtual environment and all that is made
	rm -rf .venv .pytest_cache .ruff_cache dist build

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "steersman needs Python 3.11 or newer; set PYTHON.")'
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

# torch comes first and pinned, so that nothing else brings in another build of it
.venv/serve: .venv/made pyproject.toml constraints.txt
	@echo "Installing the server (a few minutes the first time)"
	@$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	@$(INSTALL) --editable '.[server]'
	@touch $@

.venv/dev: .venv/made pyproject.toml constraints.txt
	@echo "Installing everything and the tools (a few minutes the first time)"
	@$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	@$(INSTALL) --editable '.[all]' --group dev
	@touch $@
