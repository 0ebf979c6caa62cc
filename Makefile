# modelwatch: `make demo` shows it, `make test` proves it. Both make the environments they need.

SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
ENVS := .envs
UV := $(ENVS)/uv/bin/uv
BIN := $(ENVS)/dev/bin
MODELWATCH := $(BIN)/modelwatch

# many short processes run the same sources: where this is set, each compiles them anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-grafana setup-pyfunc setup-spark demo up down status test test-parts test-stories test-compose test-fast test-long scan zoo zoo-table test-grafana test-plugin bench-backfill bench-bridge bench-capture bench-client bench-compaction bench-analysis bench-monitors bench-detection bench-scale bench-seasonal bench-serving setup-rivals bench-quality bench-performance-estimation docs reference coverage lint format env-example lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## the whole story: train, deploy, predict, capture, detect drift
	@$(MODELWATCH) demo

up: setup ## start the stack on this machine
	@$(MODELWATCH) up

down: setup ## drain the capture queue and stop what `up` started
	@$(MODELWATCH) down

status: setup ## what runs, and where
	@$(MODELWATCH) status

test: setup-pyfunc zoo $(ENVS)/localstack/.stamp-test $(if $(shell command -v npm),setup-grafana) ## lint, types, unit, functional, integration, e2e
	@# side by side: each leaves a core free for a while
	@$(MAKE) --no-print-directory -j 3 lint test-plugin test-parts

# four workers, each with a stack of its own that its files share, share two cores: threads that wait
# for each other would only spin. In the order of the folders, the long files come first and the
# short ones of tests/unit fill the end.
PYTEST_ON_STACKS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

test-parts: setup
	@$(PYTEST_ON_STACKS) --ignore tests/stories

test-stories: setup-pyfunc $(if $(shell command -v java),setup-spark) ## what takes minutes or breaks a stack: a newcomer's demo, a season, several models, kills
	@$(PYTEST_ON_STACKS) tests/stories

test-grafana: setup $(ENVS)/grafana/.stamp-drawing ## draw the dashboards of a finished demo with Grafana's libraries, and read them
	@$(BIN)/python -m pytest -q -m drawing tests/grafana

test-plugin: setup $(ENVS)/localstack/.stamp-test ## the LocalStack plugin's own tests
	@cd localstack/lambda-process && LAMBDA_PROCESS_PYTHON=$(CURDIR)/$(ENVS)/runtime/bin/python \
	  $(CURDIR)/$(ENVS)/localstack/bin/python -m pytest -q

test-compose: setup ## compose.yaml brought up and used, in a sandbox (root; installs nothing, keeps nothing)
	@PYTHONPATH=tests/compose $(BIN)/python -m pytest -q -p no:cacheprovider tests/compose
	@$(BIN)/python tests/compose/run.py

scan: setup $(ENVS)/scan/.stamp ## checkov and cfn-guard over the templates, secrets, software bills of materials
	@$(BIN)/python tests/security/scan.py

zoo: setup $(ENVS)/zoo/.stamp ## XGBoost and CatBoost, for the zoo of models in tests/zoo

zoo-table: zoo ## try every model of the zoo, and write the table of docs/reference/models.md
	@$(BIN)/python tests/zoo/table.py

test-fast: setup ## the tests that start no server
	@$(BIN)/python -m pytest -q -n auto -m "not servers and not zoo"

coverage: setup ## lines and branches that the tests without servers reach; build/coverage has the pages
	@$(BIN)/coverage erase && $(BIN)/coverage run -m pytest -q -n auto -m "not servers and not zoo"
	@$(BIN)/coverage combine -q && $(BIN)/coverage html -q && $(BIN)/coverage report

# 40 times the examples of `make test`; another number: make test-long EXAMPLES_FACTOR=400
test-long: EXAMPLES_FACTOR ?= 40
test-long: setup zoo ## the property tests, the fuzzing of all borders and the zoo of models, whole
	@ZOO=all $(BIN)/python -m pytest -q -n auto tests/zoo
	@EXAMPLES_FACTOR=$(EXAMPLES_FACTOR) $(BIN)/python -m pytest -q -n auto --timeout 7200 -m "hypothesis and not servers" tests

# modules of these folders have names that other folders have, too: each is checked by itself
TYPED_APART := $(wildcard functions/*) localstack/lambda-process/src templates/grafana tests/support tests/compose

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@for folder in $(TYPED_APART); do (cd $$folder && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --no-error-summary \
	  --cache-dir $(CURDIR)/.mypy_cache --config-file $(CURDIR)/pyproject.toml .) || exit 1; done

bench-bridge: setup ## events a second, memory and scrape time of the bridge
	@PYTHONPATH=.:tests/support $(BIN)/python -m benchmarks.bridge

bench-capture: setup-rivals ## the consumer's rows a second, bytes on S3, the bill; whylogs beside
	@PYTHONPATH=. $(BIN)/python -m benchmarks.capture

bench-client: setup ## what client.log costs on the caller's thread, and how many a second are sent
	@PYTHONPATH=. $(BIN)/python -m benchmarks.client

bench-backfill: setup setup-spark ## profiles of hours, here and with Spark, beside Spark SQL's percentiles: rows a second and core
	@PYTHONPATH=.:$(wildcard $(ENVS)/spark/lib/python3*/site-packages) SPARK_LOCAL_IP=127.0.0.1 PYSPARK_PYTHON=$(abspath $(BIN)/python) \
	  $(BIN)/python -m benchmarks.backfill

bench-compaction: setup ## an hour of 1000 objects merged: rows a second, memory, requests
	@PYTHONPATH=. $(BIN)/python -m benchmarks.compaction

bench-analysis: setup-rivals ## a decision over 10 k to 100 M rows beside Evidently, whylogs, NannyML
	@PYTHONPATH=. $(BIN)/python -m benchmarks.analysis

bench-monitors: setup ## 1,000 monitors in one scheduled run: time, memory, S3 requests, the bill of each
	@PYTHONPATH=. $(BIN)/python -m benchmarks.monitors

bench-detection: setup ## false alarms, power and delay of drift decisions, beside Evidently
	@PYTHONPATH=. $(BIN)/python -m benchmarks.detection

bench-performance-estimation: setup-rivals ## accuracy, ROC AUC and errors without labels, beside NannyML
	@PYTHONPATH=. $(BIN)/python -m benchmarks.performance_estimation

bench-scale: setup ## limits and bill at 100 to 100,000 predictions a second, by arithmetic and a simulated queue
	@PYTHONPATH=. $(BIN)/python -m benchmarks.scale

bench-serving: setup-pyfunc ## predict beside FastAPI and mlflow.pyfunc
	@PYTHONPATH=. $(BIN)/python -m benchmarks.serving

bench-seasonal: setup $(ENVS)/flights/.stamp ## false alarms and power on three real series, beside Evidently and NannyML
	@PYTHONPATH=. $(BIN)/python -m benchmarks.seasonal

bench-quality: setup ## false alarms of learned constraints, and what they find
	@PYTHONPATH=. $(BIN)/python -m benchmarks.quality

format: setup ## rewrite the sources in the project's format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

env-example: setup ## write .env.example from the declared settings
	@$(BIN)/python -m modelwatch_cli.settings > .env.example

reference: setup ## write the generated pages of docs/reference from the code
	@PYTHONPATH=docs $(BIN)/python -m generator

docs: $(ENVS)/docs/.stamp ## build the documentation into build/site; strict, links checked
	@NO_MKDOCS_2_WARNING=1 $(ENVS)/docs/bin/mkdocs build --quiet --strict && echo "build/site/index.html"

# --- environments: one stamp per lock; a changed lock makes its environment anew -----------------

setup: $(ENVS)/dev/.stamp $(ENVS)/localstack/.stamp $(ENVS)/runtime/.stamp $(ENVS)/analysis/.stamp ## make the environments

setup-pyfunc: setup $(ENVS)/pyfunc/.stamp ## and the one for models without an ONNX form

setup-spark: $(ENVS)/spark/.stamp ## and the one that reads captures with Spark (needs Java)

setup-grafana: $(ENVS)/grafana/.stamp ## and Grafana's libraries that check the dashboards (needs npm)

setup-rivals: setup $(ENVS)/rivals/.stamp ## and the one of other people's monitoring, for benchmarks

$(UV):
	@echo "==> uv $(UV_VERSION)"
	@$(PYTHON) -m venv $(ENVS)/uv && $(ENVS)/uv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)

# $(1): environment, $(2): lock
define environment
	@echo "==> environment $(1), from $(2)"
	@rm -rf $(ENVS)/$(1) && $(UV) venv -q --no-project --python 3.13 $(ENVS)/$(1)
	@$(UV) pip install --python $(ENVS)/$(1)/bin/python --require-hashes --compile-bytecode -r $(2)
endef

$(ENVS)/dev/.stamp: requirements.txt pyproject.toml | $(UV)
	$(call environment,dev,requirements.txt)
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(ENVS)/localstack/.stamp: localstack/requirements.txt $(shell find localstack/lambda-process -name '*.py' -path '*src*' -o -name pyproject.toml -path '*lambda-process*') | $(UV)
	$(call environment,localstack,localstack/requirements.txt)
	@$(UV) pip install -q --python $(ENVS)/localstack/bin/python --no-deps ./localstack/lambda-process
	@touch $@

$(ENVS)/localstack/.stamp-test: localstack/requirements-test.txt $(ENVS)/localstack/.stamp
	@$(UV) pip install -q --python $(ENVS)/localstack/bin/python --require-hashes -r $<
	@touch $@

$(ENVS)/runtime/.stamp: localstack/runtime/requirements.txt | $(UV)
	$(call environment,runtime,localstack/runtime/requirements.txt)
	@touch $@

$(ENVS)/spark/.stamp: tests/spark/requirements.txt | $(UV)
	$(call environment,spark,tests/spark/requirements.txt)
	@touch $@

# beside the development environment, not in it: 300 MB that only tests/zoo imports
$(ENVS)/zoo/.stamp: tests/zoo/requirements.txt | $(UV)
	@echo "==> environment zoo, from $<"
	@rm -rf $(ENVS)/zoo && $(UV) pip install -q --target $(ENVS)/zoo --python 3.13 --no-deps --require-hashes -r $<
	@touch $@

$(ENVS)/flights/.stamp: benchmarks/seasonal/requirements.txt | $(UV)
	@echo "==> data of three series, from $<"
	@rm -rf $(ENVS)/flights && $(UV) pip install -q --target $(ENVS)/flights --python 3.13 --no-deps --require-hashes -r $<
	@touch $@

$(ENVS)/scan/.stamp: tests/security/requirements.txt tests/security/guard.txt | $(UV)
	$(call environment,scan,tests/security/requirements.txt)
	@$(UV) pip install -q --python $(ENVS)/scan/bin/python --no-deps --require-hashes -r tests/security/guard.txt
	@touch $@

$(ENVS)/docs/.stamp: docs/requirements.txt | $(UV)
	$(call environment,docs,docs/requirements.txt)
	@touch $@

$(ENVS)/rivals/.stamp: benchmarks/requirements.txt | $(UV)
	$(call environment,rivals,benchmarks/requirements.txt)
	@touch $@

GRAFANA_LOCK := $(addprefix tests/grafana/,package.json package-lock.json .npmrc)

$(ENVS)/grafana/.stamp: $(GRAFANA_LOCK)
	@echo "==> Grafana's libraries, from tests/grafana/package-lock.json"
	@rm -rf $(ENVS)/grafana && mkdir -p $(ENVS)/grafana && cp $^ $(ENVS)/grafana
	@cd $(ENVS)/grafana && npm ci --omit=dev
	@touch $@

# what draws is four times as large as what checks
$(ENVS)/grafana/.stamp-drawing: $(ENVS)/grafana/.stamp
	@echo "==> Grafana's libraries that draw"
	@cd $(ENVS)/grafana && npm ci
	@touch $@

$(ENVS)/%/.stamp: layers/%/requirements.txt | $(UV)
	$(call environment,$*,layers/$*/requirements.txt)
	@touch $@

LOCK := pip compile -q --generate-hashes --no-emit-index-url --python-version 3.13 --custom-compile-command "make lock"

lock: $(UV) ## resolve every requirements.in anew
	@$(UV) $(LOCK) --upgrade --extra local pyproject.toml requirements.in -o requirements.txt
	@for layer in inference capture analysis pyfunc; do \
	  $(UV) $(LOCK) --upgrade -c requirements.txt layers/$$layer/requirements.in -o layers/$$layer/requirements.txt; done
	@$(UV) $(LOCK) --upgrade -c requirements.txt --extra bridge pyproject.toml -o templates/bridge/requirements.txt
	@$(UV) $(LOCK) --upgrade tests/spark/requirements.in -o tests/spark/requirements.txt
	@$(UV) $(LOCK) --upgrade --no-deps -c requirements.txt tests/zoo/requirements.in -o tests/zoo/requirements.txt
	@$(UV) $(LOCK) --upgrade tests/security/requirements.in -o tests/security/requirements.txt
	@$(UV) $(LOCK) --upgrade --no-deps tests/security/guard.in -o tests/security/guard.txt
	@$(UV) $(LOCK) --upgrade benchmarks/requirements.in -o benchmarks/requirements.txt
	@$(UV) $(LOCK) --upgrade --no-deps benchmarks/seasonal/requirements.in -o benchmarks/seasonal/requirements.txt
	@$(UV) $(LOCK) --upgrade docs/requirements.in -o docs/requirements.txt
	@$(UV) $(LOCK) --upgrade localstack/runtime/requirements.in -o localstack/runtime/requirements.txt
	@cd tests/grafana && rm -f package-lock.json && npm install --package-lock-only
	@# LocalStack 4.14.0 works only with the dependencies of its release day
	@$(UV) $(LOCK) --exclude-newer 2026-03-20 localstack/requirements.in -o localstack/requirements.txt

clean: ## delete the environments (the data in .modelwatch stays)
	@rm -rf $(ENVS) build
