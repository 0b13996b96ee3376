# Two commands are enough: `make demo` runs the main job on real data, `make test` passes the tests.
# Both set everything up first, from pinned constraints, into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= out
WORKERS ?= 2
# One OpenMP thread: two of them on a busy machine spin against each other.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo test check lint types imports format bench synth train mutate test-slow test-rtl-full rtl-coverage coverage clean formal
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## install everything into .venv (the other targets do this when needed)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "qsim needs Python 3.11 or newer as '$(PYTHON)'. Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. Debian, Ubuntu: apt-get install python3-venv"; exit 2; }
	@for tool in g++ make perl; do command -v $$tool >/dev/null || \
	  { echo "$$tool is missing: the RTL simulator is compiled with it. Debian, Ubuntu: apt-get install g++ make perl; Fedora: dnf install gcc-c++ make perl"; exit 2; }; done
	@echo "Setting up $(VENV) (about 2 GB; one to three minutes on a good line, without output until it is done) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt nncodec || \
	  echo "nncodec could not be built: 'qsim bench-methods --peers' leaves it out"
	@echo "Compiling the simulation kernels once ..."
	@$(BIN)/python -m qsim.sim.fast
	@touch $@

demo: $(READY) ## the main job on real data: compress, simulate, price, verify in RTL, report
	@$(BIN)/qsim demo --out $(OUT)/demo

# A file's tests stay in one process: they share the model that the first of them builds. In the order of the names the files with the most to build
# begin early.
test: $(READY) ## all tests, in WORKERS processes
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: $(READY) ## the longer checks
	$(BIN)/python -m pytest -m slow

test-rtl-full: $(READY) ## whole MNIST through the RTL of every PE (DIGITS=10000, EVENT_DIGITS=1000 of them with SimPy), 2,000 drawn layers; an hour
	QSIM_DIGITS=$(or $(DIGITS),10000) QSIM_EVENT_DIGITS=$(or $(EVENT_DIGITS),1000) $(BIN)/python -m pytest -m slow --log-cli-level=INFO tests/rtl/test_full.py tests/rtl/test_random.py

rtl-coverage: $(READY) ## what must have happened in the RTL and how often it did (table in out/coverage)
	$(BIN)/python -m pytest --log-cli-level=INFO -k test_every_bin_is_hit tests/rtl/test_random.py tests/rtl/test_huffman.py

check: lint types imports coverage ## everything that reads the code, and the quick tests with coverage

lint: $(READY) ## Ruff: style and likely bugs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict
	$(BIN)/mypy

imports: $(READY) ## the import contracts of docs/architecture.md
	$(BIN)/lint-imports --no-cache

# The rooms that need neither training nor Verilator; the other rooms are covered by `make test`.
QUICK := tests/formats tests/encode tests/model tests/arch tests/sim tests/energy tests/contracts tests/test_bottom.py tests/test_results.py
COVERED := $(foreach room,formats encode model arch sim energy results errors units files actions,--cov=qsim.$(room))

coverage: $(READY) ## the quick tests, which must cover at least 93 % of the rooms they are about
	$(BIN)/python -m pytest $(COVERED) --cov-report=term --cov-fail-under=93 -m "not slow and not rtl" $(QUICK)

format: $(READY) ## rewrite the source in the house layout
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## measure; prints a table and writes out/bench.json
	$(BIN)/python -m benchmarks --out $(OUT)/bench.json

synth: $(READY) ## synthesis, place and route of the larger arrays, with the frequencies they must reach
	$(BIN)/python -m pytest -m slow tests/rtl/test_synth.py

train: $(READY) ## rebuild the shipped float checkpoints from their seeds (minutes)
	$(BIN)/qsim train lenet-300-100 --out workloads/data/lenet_300_100.safetensors
	$(BIN)/qsim train lenet-5 --out workloads/data/lenet_5.safetensors

formal: $(READY) ## prove the stream components and the sequencer of the RTL (minutes)
	$(BIN)/python -m rtl.formal

mutate: $(READY) ## plant bugs in the RTL, each of which a test must catch (ONLY=name: one of them)
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m mutation --out $(OUT)/mutate.json $(if $(ONLY),--only "$(ONLY)")

clean: ## remove everything that was made, the environment included
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
