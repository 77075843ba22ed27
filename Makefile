# The same commands for people and CI. `make help` lists them.
# Needs Python 3.11 with venv; everything else is installed below the checkout.

PYTHON ?= python3.11
UV_VERSION := 0.13.8
DAY ?= 2020-07-06
ONCE ?=

export LASCOPF_HOME ?= $(CURDIR)/.lascopf
# uv reads the locked environment's place from here; a foreign active environment is not touched.
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS := never
# Where Python may not keep what it compiled, each start compiles Airflow and pandas again for seconds.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
UV := .venv-uv/bin/uv
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status test test-services test-oracle test-gridfm test-julia test-stack benchmark
.PHONY: benchmark-stream lint lint-workflows audit env images stack stack-check format docs check clean clean-state

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install the locked environment into .venv

# A pinned uv in an environment of its own: syncing .venv must not remove the tool that does it.
$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; install it, or set PYTHON" >&2; exit 6; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) has no venv; install python3.11-venv" >&2; exit 6; }
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(READY): pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --quiet --python $(PYTHON)
	@touch $@

demo: $(READY) ## the main job on real data; ONCE=1 ends by itself, DAY=YYYY-MM-DD takes another day
	@$(BIN)/lascopf demo --day $(DAY) $(if $(ONCE),--once)

up: $(READY) ## start PostgreSQL and Airflow and leave them running
	@$(BIN)/lascopf up --detach

down: $(READY) ## end them
	@$(BIN)/lascopf down

status: $(READY) ## how they are
	@$(BIN)/lascopf status

# A worker for each processor, with a server of its own and one thread for linear algebra. A file's
# tests stay together, since they share what they build. WORKERS=0 runs them in one process.
WORKERS ?= logical
PARALLEL := -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

test: $(READY) ## all tests but those that need other servers
	$(ONE_THREAD) $(BIN)/pytest $(PARALLEL) -m "not services and not benchmark and not stack and not julia"

# The outside solvers have an environment of their own: the platform must not lean on them.
.venv-oracle/.ready: pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv-oracle $(UV) sync --locked --quiet --group oracle --python $(PYTHON)
	@touch $@

test-oracle: .venv-oracle/.ready ## the solvers against PyPSA, Egret and others
	$(ONE_THREAD) .venv-oracle/bin/pytest $(PARALLEL) -m oracle tests/oracle

# With servers of your own in LASCOPF_TEST_*: .venv/bin/pytest -m services
test-services: $(READY) ## tests against real servers, in containers of their own (Docker)
	tests/services/with_servers $(BIN)/pytest -m services

test-julia: $(READY) ## the Julia solver's own tests, and it against the embedded methods (Julia or Docker)
	$(BIN)/pytest -m julia tests/julia

# The programs that read scenario datasets, far from the platform's environment; torch makes it large.
.venv-gridfm/.ready: tests/gridfm/pyproject.toml tests/gridfm/uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv-gridfm $(UV) sync --locked --quiet --project tests/gridfm --python $(PYTHON)
	@touch $@

# Most of these are in one file, and its tests share what they build with all processes.
test-gridfm: $(READY) .venv-gridfm/.ready ## gridfm-datakit and gridfm-graphkit read our datasets
	$(ONE_THREAD) .venv-gridfm/bin/pytest $(PARALLEL) --dist worksteal -c tests/gridfm/pyproject.toml --rootdir tests/gridfm tests/gridfm

BENCHMARKS := copy power_flow ac_opf dispatch rolling decomposition scenario_writing scenario stream_sink
benchmark: .venv-oracle/.ready ## measure, as ratios within one run (about 40 minutes)
	set -e; for name in $(BENCHMARKS); do .venv-oracle/bin/python tests/benchmarks/$${name}_benchmark.py; done

# Needs a broker and TimescaleDB on this machine, named by LASCOPF_TEST_KAFKA and LASCOPF_TEST_TIMESCALEDB_URL.
benchmark-stream: $(READY) ## from Kafka to committed rows; needs running servers (docs/PERFORMANCE.md)
	$(BIN)/python tests/benchmarks/stream_benchmark.py

docs: $(READY) ## write the data dictionary from the table declarations
	$(BIN)/python -m data_engineering.model.dictionary > docs/DATA_DICTIONARY.md.partial
	mv docs/DATA_DICTIONARY.md.partial docs/DATA_DICTIONARY.md

lint: $(READY) $(UV) ## ruff, mypy, import-linter, lock check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(UV) lock --check --quiet
	$(UV) lock --check --quiet --project tests/gridfm

AUDITOR := pip-audit==2.10.1
audit: $(UV) ## known holes in the locked packages (asks PyPI)
	$(UV) export --locked --quiet --no-emit-project --no-default-groups --all-extras --output-file .venv-uv/audit.txt
	.venv-uv/bin/uvx --quiet --python $(PYTHON) $(AUDITOR) --strict --disable-pip --require-hashes --requirement .venv-uv/audit.txt

env: ## write .env for the compose stack, every secret a fresh one
	@./deploy/make-env

# Images of the platform; their names and bases can be given as in .env.
LASCOPF_AIRFLOW_IMAGE ?= lascopf-airflow:local
LASCOPF_JULIA_IMAGE ?= lascopf-julia:local
AIRFLOW_IMAGE ?= apache/airflow:3.3.2-python3.11
JULIA_IMAGE ?= julia:1.11
images: ## build the images of the compose stack
	DOCKER_BUILDKIT=1 docker build --file Dockerfile.airflow --tag $(LASCOPF_AIRFLOW_IMAGE) --build-arg AIRFLOW_IMAGE=$(AIRFLOW_IMAGE) .
	DOCKER_BUILDKIT=1 docker build --file Dockerfile.julia --tag $(LASCOPF_JULIA_IMAGE) --build-arg BASE=$(JULIA_IMAGE) .

stack: stack-check ## start the compose stack, once nothing hinders it
	docker compose up --detach

test-stack: $(READY) images ## the compose stack, killed and scaled (Docker)
	$(BIN)/pytest -m stack tests/stack

stack-check: $(READY) ## whether the compose stack can start: secrets, ports, images, memory, disk
	@$(BIN)/lascopf deploy check

ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
lint-workflows: $(UV) ## actionlint (needs Go) and zizmor on .github
	go run $(ACTIONLINT)
	.venv-uv/bin/uvx --quiet --python $(PYTHON) zizmor==1.32.0 --offline .github

format: $(READY) ## put the code into ruff's form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test ## everything that CI checks

clean: ## remove the environment and caches
	rm -rf .venv .venv-uv .venv-oracle .venv-gridfm .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

clean-state: ## forget everything that the platform stored on this machine
	@test ! -x $(BIN)/lascopf || $(BIN)/lascopf down
	rm -rf "$(LASCOPF_HOME)"
