#!/usr/bin/env bash
# Makes .venv-airflow, Airflow's own environment: a part of `make setup`.
#
#     tools/airflow_setup.sh        some 20 seconds the first time; with nothing to do: instant
#
# It holds Airflow alone. The steps of its DAGs are commands of .venv, whose packages Airflow's would not get on with.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv-airflow/.footfall
wanted=$({ pwd; cat requirements/airflow.txt tools/airflow_setup.sh; } | sha256sum | cut -c 1-16)
if [ -x .venv-airflow/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

started=$SECONDS
uv=$(tools/uv.sh)
rm -rf .venv-airflow
"$uv/uv" venv --quiet --python "$(python3.11 -c 'import sys; print(sys.executable)')" .venv-airflow
"$uv/uv" pip sync --quiet --compile-bytecode --python .venv-airflow/bin/python requirements/airflow.txt
.venv-airflow/bin/python -W ignore -c 'import airflow.sdk, airflow.providers.apache.spark.operators.spark_submit'
echo "$wanted" >"$stamp"
echo "[$((SECONDS - started)) s] ready: .venv-airflow"
