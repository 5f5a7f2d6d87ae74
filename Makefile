# Everything here sets up what it needs: a .venv with the exact pins of requirements.txt and the project itself.

# The Python that makes the .venv: the first of these that is 3.11 or newer. `make PYTHON=/path/to/python3.12` overrules.
PYTHON ?=
PYTHONS := python3 python3.11 python3.12 python3.13 python3.14
PYTEST_ARGS ?=
# One more than there are processors, for tests wait now and then; and no more than four.
TEST_WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 3); echo $$((cores < 3 ? cores + 1 : 4)))
# Set to yes, each law tries all of its examples: before a release, and after a change of what a law speaks of.
THOROUGH ?=
export THOROUGH
LOCK_ARGS ?=
HOST ?= 127.0.0.1
PORT ?= 5000
BACKEND ?= sqlite:///mlflow.db
ARTIFACTS ?= mlartifacts
WORKERS ?= 1

BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	--annotation-style line --custom-compile-command "make lock" $(LOCK_ARGS)

# A module stays on one worker, which makes its fixtures once. In the order of the folders: the first ones hold the
# modules that take longest, which must not be left for the end. schemathesis is used as a library alone: every worker
# would wait for the plugin.
PYTEST = $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -p no:schemathesis
# Lines that the tests' own processes run: of the rest, most run in processes of their own.
COVERED := --cov registry --cov serving/contract --cov serving/scorecard --cov-report term:skip-covered --cov-fail-under 90

# What a recipe starts finds the .venv's programs first: nothing needs to be activated.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Sources are compiled once, and not by each process anew.
unexport PYTHONDONTWRITEBYTECODE
# Tools that would report home do not.
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run ui notebooks server test coverage check lock docs bench clean

help:
	@awk -F ':.*## ' '/^##@ / { printf "%s%s\n", sep, substr($$0, 5); sep = "\n" } \
		/^[a-z]+:.*## / { printf "  make %-9s  %s\n", $$1, $$2 }' Makefile

##@ First steps

run: .venv/run.stamp ## train two models, promote them, ask them over HTTP and as a Lambda function, step by step
	@$(BIN)/python -m pipelines.demo

ui: server ## open MLflow's pages on the runs and models of this folder, http://127.0.0.1:5000

notebooks: .venv/notebooks.stamp ## open JupyterLab on the notebooks
	@exec $(BIN)/jupyter lab --notebook-dir notebooks

##@ In operation
server: .venv/run.stamp ## the tracking server with its pages, and the watch (BACKEND=postgresql://... ARTIFACTS=s3://... HOST= PORT=)
	@exec $(BIN)/python -m registry ui --backend "$(BACKEND)" --artifacts "$(ARTIFACTS)" \
		--host "$(HOST)" --port "$(PORT)" --workers "$(WORKERS)"

##@ Development
test: .venv/dev.stamp ## run the tests in parallel (PYTEST_ARGS="-k sources" runs some; THOROUGH=yes tries more)
	@$(PYTEST) $(PYTEST_ARGS)

coverage: .venv/dev.stamp ## measure which lines the fast tests run: registry, contract and scorecard
	@$(PYTEST) $(COVERED) -q tests/registry tests/serving/contract tests/serving/scorecard

check: .venv/dev.stamp ## lint, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: .venv/run.stamp ## compile requirements*.txt and conda.yaml from pyproject.toml (LOCK_ARGS=--upgrade)
	@$(LOCK) pyproject.toml -o requirements.txt
	@$(LOCK) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	@$(LOCK) --extra notebooks -c requirements-dev.txt pyproject.toml -o requirements-notebooks.txt
	@$(LOCK) --extra spark -c requirements-dev.txt pyproject.toml -o requirements-spark.txt
	@for part in server parquet; do $(LOCK) --no-deps --generate-hashes -c requirements.txt \
		serving/packaging/docker/$$part.in -o serving/packaging/docker/$$part.txt; done
	@{ printf '# Compiled from requirements.txt by: make lock\n'; \
		printf 'name: model-lifecycle\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n'; \
		sed -n -e 's/ *#.*//' -e 's/^[a-z].*/      - &/p' requirements.txt; } > conda.yaml

docs: .venv/dev.stamp ## build the documentation site, build/docs/index.html
	@$(BIN)/python docs/reference/generate.py
	@$(BIN)/python docs/build.py

bench: .venv/dev.stamp ## run the benchmarks, print their tables and write build/bench.json
	@rm -rf build/bench; mkdir -p build/bench
	@set -e; for script in tests/benchmarks/bench_*.py; do \
		$(BIN)/python "$$script" --json "build/bench/$$(basename "$$script" .py).json"; done
	@$(BIN)/python -c 'import json, pathlib; \
		files = sorted(pathlib.Path("build/bench").glob("bench_*.json")); \
		whole = {file.stem: json.loads(file.read_text()) for file in files}; \
		pathlib.Path("build/bench.json").write_text(json.dumps(whole, indent=1) + "\n")'
	@echo "written: build/bench.json"

clean: ## remove the .venv and all that the tools made; the tracking store stays
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run.stamp: requirements.txt pyproject.toml
	$(call install,requirements.txt)

.venv/dev.stamp: requirements-dev.txt pyproject.toml
	$(call install,requirements-dev.txt)
	@touch .venv/run.stamp

.venv/notebooks.stamp: requirements-notebooks.txt pyproject.toml
	$(call install,requirements-notebooks.txt)
	@touch .venv/run.stamp

# Set up the .venv from the pins in $(1): by uv, which is one of them and takes a tenth of pip's time; by pip where uv
# fails, or pip is set to an index that uv does not know. The file `unfinished` is there as long as it runs: a set-up
# that was cut short is thrown away and done again.
define install
@set -e; \
if [ -e .venv/unfinished ]; then rm -rf .venv; fi; \
if ! [ -x $(BIN)/python ]; then \
	for python in "$(PYTHON)" $(if $(PYTHON),,$(PYTHONS)); do \
		[ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "make: Python 3.11 or newer is needed, and $(if $(PYTHON),$(PYTHON) is not,none of $(PYTHONS) is): install one," \
			"or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "make: $$(command -v "$$python") cannot make virtual environments: install its venv package" \
			"(Debian, Ubuntu: apt-get install python3-venv), or name another: make PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	mkdir -p .venv; touch .venv/unfinished; \
	"$$python" -m venv .venv; \
fi; \
touch .venv/unfinished; \
echo "Setting up .venv from $(1): $$(grep -c == $(1)) packages, a few hundred MB ..."; \
pip="$(BIN)/python -m pip install --quiet --disable-pip-version-check"; \
$$pip "$$(grep -o '^uv==[0-9.]*' $(1))"; \
uv="$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode"; \
if ! [ -t 2 ]; then uv="$$uv --quiet"; fi; \
if $(BIN)/python -m pip config list | grep -q '\.index-url' || ! { $$uv -r $(1) && $$uv --no-deps -e .; }; then \
	echo "make: pip installs them, which takes some minutes" >&2; \
	$$pip -r $(1); $$pip --no-deps -e .; \
fi; \
rm .venv/unfinished; touch $@
endef
