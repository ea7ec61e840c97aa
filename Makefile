# make is the manual: `make help`. Everything that is needed goes into .venv and .makegood here, and nowhere else but the caches of
# Python packages and of Kafka's jars. Nothing needs Docker, Java or Node.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
T ?= tests
MINUTES ?= 2
RECORDS ?= 100000
REQUESTS ?= 50000
SEEDS ?= 2000

.DEFAULT_GOAL := help
.PHONY: help up down clean status test bench simulate guards chaos fuzz fuzz-http check format docs lock setup

help:  ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

up: $(VENV)/run.ready  ## Start everything, feed the sample the first time, print where to look (again: resume)
	@$(BIN)/makegood up

down: $(VENV)/run.ready  ## Stop everything; what is there stays
	@$(BIN)/makegood down

status: $(VENV)/run.ready  ## What runs, and how it is
	@$(BIN)/makegood status

clean:  ## Stop everything and forget it: the embedded Kafka's and PostgreSQL's data, too
	@if $(BIN)/makegood --version >/dev/null 2>&1; then said=$$($(BIN)/makegood down --home .makegood 2>&1) || { echo "$$said" >&2; exit 1; }; else \
		pid=$$(sed -n 's/^ "pid": \([0-9][0-9]*\),$$/\1/p' .makegood/state.json 2>/dev/null); \
		if [ -n "$$pid" ] && kill -0 "$$pid" 2>/dev/null; then \
			echo "process $$pid seems to run what lies in .makegood, and $(BIN)/makegood, which would stop it, is not usable: make setup, then make clean. (Without a $(VENV): kill $$pid stops everything; if that is no process of makegood's, remove .makegood/state.json.)" >&2; \
			exit 1; \
		fi; \
	fi
	rm -rf .makegood .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

test: $(VENV)/dev.ready  ## Run the tests; T=path runs some
	@$(BIN)/python -m pytest $(if $(filter tests,$(T)),$(SIDE_BY_SIDE)) $(T)

# All of them in two processes, each with servers of its own: most tests wait most of the time.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

simulate: $(VENV)/dev.ready  ## Live through so many seeds of trouble in simulated time: SEEDS=2000; SEED=n lives through one, and tells it
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) $(if $(FIRST),--first $(FIRST)) $(if $(JOBS),--jobs $(JOBS)))

guards: $(VENV)/dev.ready  ## Take the machine's guards away one by one: after how many seeds is each missed?
	@$(BIN)/python -m tests.simulation --guards

chaos: $(VENV)/dev.ready  ## Kill, freeze and cut off everything under load, then check everything; MINUTES=2 says for how long
	@$(BIN)/python -m tests.faults.chaos $(MINUTES)

fuzz: $(VENV)/dev.ready  ## Send malformed records to the services, and account for each: RECORDS=100000 SEED=1
	@$(BIN)/python -m tests.faults.fuzz $(RECORDS) $(or $(SEED),1)

fuzz-http: $(VENV)/dev.ready  ## Ask the console what it allows and what it does not: REQUESTS=50000 SEED=1
	@$(BIN)/python -m tests.faults.over_http $(REQUESTS) $(or $(SEED),1)

check: $(VENV)/dev.ready  ## Format, lint, types, walls between the rooms, documents written by the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.schemas --check
	$(BIN)/python -m deploy.reference --check

bench: $(VENV)/dev.ready  ## How fast it is, held against the least that such a system must do; B="…" for more (B=--help)
	@$(BIN)/python -m tests.benchmarks $(B)

format: $(VENV)/dev.ready  ## Format and mend what can be mended
	$(BIN)/ruff check --fix --exit-zero -q .
	$(BIN)/ruff format .

docs: $(VENV)/dev.ready  ## Write the documents that are written by the code
	$(BIN)/python -m deploy.schemas
	$(BIN)/python -m deploy.reference

lock: $(VENV)/dev.ready  ## Resolve the dependencies anew and pin them with their hashes
	echo uv | $(BIN)/uv pip compile -q $(LOCK) - -o requirements/uv.txt
	$(BIN)/uv pip compile -q $(LOCK) --extra build pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q $(LOCK) --extra build --extra dev pyproject.toml -o requirements/dev.txt

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade

setup: $(VENV)/dev.ready  ## Only set up .venv, for an editor

$(BIN)/uv: requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "makegood needs Python 3.11 or newer; none was found. Install one, or name it: make up PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version)" >&2
	@said=$$($(PYTHON) -m venv $(VENV) 2>&1) || { echo "$$said" >&2; \
		echo "$(VENV) could not be made: on Debian and Ubuntu, apt install python3-venv" >&2; exit 2; }
	@echo "installing uv, which installs the rest" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# uv is quick; where it can't reach what pip can (certificates, proxies), pip does the same, slower.
define install
@$(BIN)/uv pip install -q --system-certs --python $(BIN)/python $(1) 2>$(VENV)/uv.log || $(BIN)/python -m pip install -q --disable-pip-version-check $(1)
endef

$(VENV)/run.ready: $(BIN)/uv requirements/run.txt pyproject.toml
	@echo "installing what makegood needs" >&2
	$(call install,--require-hashes -r requirements/run.txt)
	$(call install,--no-deps --no-build-isolation -e .)
	@touch $@

$(VENV)/dev.ready: $(VENV)/run.ready requirements/dev.txt
	@echo "installing what its tests and checks need" >&2
	$(call install,--require-hashes -r requirements/dev.txt)
	@touch $@
