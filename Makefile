# Footfall. `make` lists what there is; every target sets up first what it needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST = $(PYTHON) -m pytest -v --durations=30 -n 2 --dist loadfile --no-loadscope-reorder
CODE = $(wildcard features models jobs conf reports serving)
SUBMIT = SPARK_LOCAL_IP=127.0.0.1 .venv/bin/spark-submit
ENCODER = model=sasrec model.width=32 model.blocks=1 train.batch_size=64 train.learning_rate=2e-3
SIMULATED = source=simulated privacy.ids=plain $(foreach each,raw lake artifacts,$(each)=var/tasks/shop/$(each)) registry=sqlite:///var/tasks/shop/mlflow.db
TASK = churn
FEW = ds=2017-12-28 promote.holdout_days=28 privacy.ids=plain
STYLED = $(CODE) $(wildcard airflow_dags benchmarks tests tools setup.py)

.PHONY: help setup demo tasks few-labels test test-long test-cluster test-open-bandit test-quick bench-data bench-night bench-runaway bench-catalogue bench-score bench-warm-start bench-train bench-choices bench-serve bench-new-items item-vectors scale services lint format wheel docs ui airflow airflow-demo tensorboard requirements clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup:  ## make .venv and .venv-airflow: some minutes on a new machine, then nothing to do
	@tools/setup.sh
	@tools/airflow_setup.sh

demo: setup  ## the whole pipeline on public data: ingest, train, promote, score, report
	$(PYTHON) -m jobs.demo

tasks: setup  ## all tasks, on the lake of the demo and on a simulated shop: var/tasks/summary.json
	$(SUBMIT) jobs/tasks.py ds=2017-12-27 promote.holdout_days=27 privacy.ids=plain report=var/tasks $(ENCODER) train.epochs=2 tasks=[next_item]
	$(SUBMIT) jobs/tasks.py ds=2018-01-01 promote.holdout_days=32 privacy.ids=plain report=var/tasks $(ENCODER) train.learning_rate=5e-4 train.epochs=6 tasks=[churn,spend,next_event,purchase,promotion,together,demand,uplift_observed,segments]
	$(SUBMIT) jobs/simulate.py raw=var/tasks/shop/raw simulate.users=4000 simulate.days=141 simulate.campaign_every_days=14 simulate.bots=0
	$(SUBMIT) jobs/nightly.py ds=2026-05-21 $(SIMULATED)
	$(SUBMIT) jobs/tasks.py ds=2026-05-21 promote.holdout_days=28 report=var/tasks $(SIMULATED) $(ENCODER) train.epochs=6 tasks=[next_event_type,session_purchase,support_intent,ad_click,uplift]

few-labels: setup  ## pretrained encoders beside training from scratch at shares of a task's labels, on the lake of the demo and in its report
	$(SUBMIT) jobs/examples.py $(FEW)
	$(SUBMIT) jobs/examples.py $(FEW) task=$(TASK)
	$(PYTHON) -m jobs.few_labels $(FEW) task=$(TASK) $(ENCODER) train.epochs=8
	$(SUBMIT) jobs/report.py ds=2018-01-01 privacy.ids=plain report_command="make few-labels"

test: setup lint  ## lint, then the tests, two files at a time
	$(PYTEST) -m "not long"

test-long: setup  ## the tests that `make test` leaves out: more of a kind, a kill at each commit among them
	$(PYTEST) -m long

test-cluster: setup  ## the tests on several hosts and on Spark clusters, which they make themselves; hosts as root only
	$(PYTHON) -m pytest -v --durations=15 -n 0 -m cluster

test-quick: setup lint  ## lint, then the tests except those marked slow
	$(PYTEST) -m "not slow and not long"

test-open-bandit: setup  ## estimators of policies on Open Bandit's sample, of the package obp, fetched without what it needs
	"$$(tools/uv.sh)/uv" pip install --quiet --python $(PYTHON) --no-deps --target var/open_bandit obp==0.4.1
	PYTHONPATH=var/open_bandit $(PYTHON) -m pytest -v -n 0 tests/models/test_open_bandit.py

bench-data: setup  ## sessions and sequences of 1, 10 and 50 million events, beside DuckDB and Polars
	$(PYTHON) -m benchmarks.data $(SIZES)

bench-night: setup  ## a night on a lake of a year of 50 million events, beside the load of the year
	$(PYTHON) -m benchmarks.night $(SIZE)

bench-runaway: setup  ## sessions and sequences of a lake that robots flooded, in a gigabyte
	$(PYTHON) -m benchmarks.runaway $(MILLIONS)

bench-catalogue: setup  ## training with 0.1, 1 and 5 million items on one rank, beside the plan of its memory
	$(PYTHON) -m benchmarks.catalogue $(ITEMS)

bench-score: setup  ## the best 100 of a million items for 5,000 users, beside NumPy and faiss
	$(PYTHON) -m benchmarks.score $(ITEMS) $(USERS)

bench-warm-start: setup  ## a training that begins from an older model's weights, beside one that does not
	$(PYTHON) -m benchmarks.warm_start $(USERS)

bench-train: setup  ## reading and training, beside pyarrow, Petastorm used the usual way, PyTorch and one core
	$(PYTHON) -m benchmarks.train $(SIZE)

bench-choices: setup  ## a training step as it is, and with one thing at a time done otherwise
	$(PYTHON) -m benchmarks.choices $(ROWS)

item-vectors: setup  ## vectors of the demo's items by the text of their catalogue, for model.content
	"$$(tools/uv.sh)/uv" run --quiet --isolated --no-project --python 3.11 --with wordllama==0.4.0.post1 --with "pyarrow>=18" \
		python tools/text_vectors.py var/demo/raw/items/products.json.gz var/demo/item_vectors.parquet \
		--id product_id --text product_category product_type department brand

bench-new-items: item-vectors  ## items that no training saw, ranked by their text, on the lake of the demo
	$(PYTHON) -m benchmarks.new_items

bench-serve: setup  ## answers in real time at several rates, beside TensorFlow asked once a request
	$(PYTHON) -m benchmarks.serve $(RATES)

scale: setup  ## docs/scale.md, what shops of any size need, from measured constants
	$(PYTHON) -m benchmarks.scale

services: setup  ## MLflow's server on PostgreSQL, on loopback, with what they keep in var/services
	$(PYTHON) -m tools.services

lint: setup  ## ruff and mypy
	.venv/bin/ruff check $(STYLED)
	.venv/bin/ruff format --check $(STYLED)
	$(if $(CODE),.venv/bin/mypy $(CODE))

format: setup  ## let ruff rewrite what it can
	.venv/bin/ruff check --fix $(STYLED)
	.venv/bin/ruff format $(STYLED)

wheel: setup  ## dist/footfall-*.whl, for spark-submit --py-files
	@rm -rf build dist
	@"$$(tools/uv.sh)/uv" build --quiet --wheel --no-build-isolation --python $(PYTHON) --out-dir dist
	@ls dist/*.whl

docs: setup  ## docs/tables.md, docs/features.md and docs/configuration.md, from where all that is declared
	@$(PYTHON) -m tools.generate_docs

ui: setup  ## MLflow's pages on the demo's runs and models
	@mkdir -p var/demo
	@echo "MLflow: http://127.0.0.1:5000 (Ctrl-C stops it)"
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false .venv/bin/mlflow server --backend-store-uri sqlite:///var/demo/mlflow.db --host 127.0.0.1 --port 5000 --workers 1

airflow: setup  ## Airflow on the year of the demo, until Ctrl-C: its address and password are printed
	@$(PYTHON) -m tools.airflow_service

airflow-demo: setup  ## three nights, a training and a score by Airflow, unattended; a table and a picture in var/airflow
	@$(PYTHON) -m tools.airflow_demo

tensorboard: setup  ## TensorBoard on the curves of the demo's trainings; LOGS=FOLDER for others
	.venv/bin/tensorboard --logdir $(or $(LOGS),var/demo/lake.tensorboard) --host 127.0.0.1

requirements:  ## pin again what requirements/*.in ask for
	@tools/requirements.sh

clean:  ## remove what runs and builds left behind, var/ too (keeps .venv)
	rm -rf build dist *.egg-info spark-warehouse metastore_db derby.log .mypy_cache .pytest_cache .ruff_cache .hypothesis var
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
