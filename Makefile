.DEFAULT_GOAL := help
PYTHON_RUN := .venv/bin/python
WAIT ?= 1
N ?= 3
SAMPLE ?= 200
SEED ?= 1

.PHONY: help setup models demo up down sql dev test test-core test-dagster mutants chaos hostile lint hooks pins audit \
	licences bench migrate release parallel doctor \
	delete-job

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what is missing into .venv (and Debian packages, where it may); PYTHON=python3.12 chooses one
	@scripts/setup

demo: setup  ## one job with three real images from start to end; WAIT=0 stops everything afterwards
	@WAIT=$(WAIT) $(PYTHON_RUN) -m service.demo

up: setup  ## start the service on DATABASE_URL, or on an embedded database, and leave it running
	@$(PYTHON_RUN) -m service up

down: setup  ## stop the service
	@$(PYTHON_RUN) -m service down

parallel: setup  ## N=2: from now on two variants at a time
	@$(PYTHON_RUN) -m service parallel $(N)

sql: setup  ## psql on the service's database; it reads SQL from a pipe too
	@$(PYTHON_RUN) -m service sql

dev: setup  ## `dagster dev` on a database and an instance of its own, which the service does not notice
	@$(PYTHON_RUN) -m service dev

migrate: setup  ## bring the database of DATABASE_URL to the current schema; PLAN=1 only says what would happen
	@$(PYTHON_RUN) -m resources.postgres.migrations $(if $(PLAN),--plan)
	@$(if $(PLAN),true,$(PYTHON_RUN) -m service.dagster_tables)

release: setup  ## N=100: start so many of the old variants that are held since the database was adopted
	@$(PYTHON_RUN) -m resources.postgres.release $(N)

delete-job: setup  ## JOB=id: delete a job with its rows, pictures, partitions, runs and logs
	@$(PYTHON_RUN) -m service delete-job $(JOB)

models: ## install what LLaVA, YOLO and model servers need (some GB)
	@scripts/setup models

test: models  ## all tests, four at a time since many wait, and how much of the code they reach
	@scripts/setup test
	@$(PYTHON_RUN) -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered

test-core: setup  ## all tests but those of the models, those in a browser, and those on Debian's PostgreSQL
	@$(PYTHON_RUN) -m pytest -q --ignore tests/models --ignore tests/web --ignore tests/database/test_debian_postgres.py

mutants: setup  ## SAMPLE=200 SEED=1: change one operator at a time, and count what the unit tests notice
	@$(PYTHON_RUN) -m testing.mutants --sample $(SAMPLE) --seed $(SEED)

chaos: setup  ## SEED=1: kill every part of a service at every moment; one table of what became of its jobs
	@$(PYTHON_RUN) -m testing.chaos --seed $(SEED)

hostile: models  ## every attack on what comes from outside: files, copies, paths, model servers, web, roles
	@scripts/setup test
	@$(PYTHON_RUN) -m testing.hostile

test-dagster: setup  ## VERSION=1.13.29: the tests of orchestration/ against another Dagster
	@scripts/test-dagster $(VERSION)

lint: setup  ## lint, format, types and the direction of imports
	@$(PYTHON_RUN) -m ruff check .
	@$(PYTHON_RUN) -m ruff format --check .
	@$(PYTHON_RUN) -m mypy .
	@.venv/bin/lint-imports

hooks:  ## install a git hook that runs `make lint` before each commit
	@git config core.hooksPath scripts/hooks

pins: setup  ## write the digests of all files of the pinned versions into constraints*.txt
	@scripts/pins

audit: setup  ## ask PyPI for known vulnerabilities of every pinned package
	@$(PYTHON_RUN) scripts/audit.py

licences: setup  ## write the licences of all pinned packages into docs/licences.md
	@$(PYTHON_RUN) scripts/licences.py

doctor: setup  ## whether the chosen models can run, and if not the way out
	@$(PYTHON_RUN) -m service.doctor

bench: models  ## the figures of docs/performance.md
	@$(PYTHON_RUN) -m benchmarks.main_job --json .service/bench-main-job.json
	@$(PYTHON_RUN) -m benchmarks.creative --json .service/bench-creative.json --sheet .service/bench-creative.png
	@$(PYTHON_RUN) -m benchmarks.orchestration --json .service/bench-orchestration.json --plots .service
	@$(PYTHON_RUN) -m benchmarks.models --json .service/bench-models.json
