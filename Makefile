# `make demo` and `make test` set everything up themselves. What is set up already is not done again.

BIN := .venv/bin
export PYTHON

.PHONY: help demo test check docs data bench soak wheel zip clean preflight
.DEFAULT_GOAL := help

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: .venv/.checked .data/completejourney/transactions.parquet ## sets everything up, then runs the main job on real grocery data
	$(BIN)/habitue run --config conf/demo.yml

# A small table costs Spark's driver far more than its executors, so one session leaves half of two cores idle.
WORKERS := 2

test: .venv/.checked data ## sets everything up, then passes the tests
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not connect and not soak"
	$(BIN)/pytest -q -m connect # a Connect server cannot share a process with a classic session

check: .venv/.installed ## style, types, and that the generated documents are up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m habitue.docs --check

docs: .venv/.installed ## writes the pages of docs/ that are made from the code
	$(BIN)/python -m habitue.docs

data: .data/completejourney/transactions.parquet .data/cdnow/CDNOW_sample.txt .data/ecom/ecom.csv.gz ## puts the test data into .data

bench: $(patsubst benchmarks/%.py,bench-%,$(wildcard benchmarks/*.py)) ## runs all benchmarks (bench-features: one)

bench-%: benchmarks/%.py .venv/.checked data
	$(BIN)/python $< $(OPTIONS)

soak: .venv/.checked data ## the slow bars on real data
	$(BIN)/pytest -q -m soak

spark-%: | preflight ## the tests of trees and segments on another Spark: spark-4.0.1, spark-4.1.1
	@sh scripts/test_on_spark.sh $*

wheel: .venv/.installed ## dist/habitue-*.whl
	@rm -rf build dist/habitue-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

zip: wheel ## dist/habitue.zip, for spark-submit --py-files
	cp dist/habitue-*.whl dist/habitue.zip # the same archive; Spark's executors import from it only under this name

clean: ## removes what runs and builds leave; keeps .venv and .data
	rm -rf warehouse out build dist lib/*.egg-info mlruns metastore_db derby.log spark-warehouse .pytest_cache .mypy_cache .ruff_cache
	find lib jobs tests scripts benchmarks conf -name __pycache__ -type d -prune -exec rm -rf {} +

# Java, memory and disk, before anything is fetched and on every run: it takes a tenth of a second.
preflight:
	@python=$$(sh scripts/find_python.sh) && PYTHONPATH=lib "$$python" -m habitue.machine

.venv/.installed: setup.py constraints.txt | preflight
	@sh scripts/install.sh

# The whole doctor: starts Spark, which fetches the Delta jars the first time.
.venv/.checked: .venv/.installed
	@echo "Checking the set-up (the first time Spark fetches the Delta jars, about 90 MB) ..."
	@$(BIN)/habitue doctor 2>.venv/doctor.log || { echo "What Spark wrote is in .venv/doctor.log."; exit 1; }
	@touch $@

.data/completejourney/transactions.parquet: | .venv/.installed
	@$(BIN)/python scripts/read_data.py completejourney

.data/cdnow/CDNOW_sample.txt: | .venv/.installed
	@$(BIN)/python scripts/read_data.py cdnow

.data/ecom/ecom.csv.gz: | .venv/.installed
	@$(BIN)/python scripts/read_data.py ecom
