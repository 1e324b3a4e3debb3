#!/usr/bin/env bash
# Pins everything that requirements/*.in lead to: what `make requirements` does.
#
#     tools/requirements.sh [--upgrade]        about 10 seconds
#
# What is pinned already keeps its version unless its .in line forbids it; --upgrade looks for newer ones.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(tools/uv.sh)/uv
compile() {    # no address of an index in the files: where packages come from is the machine's business
    "$uv" pip compile --quiet --python-version 3.11 --no-header --no-emit-index-url --annotation-style line "$@"
}

compile "$@" requirements/runtime.in --output-file requirements/runtime.txt
compile "$@" requirements/dev.in --output-file requirements/dev.txt
compile "$@" --override requirements/airflow-overrides.txt requirements/airflow.in --output-file requirements/airflow.txt
if grep -nE 'https?://|--(extra-)?index|--find-links' requirements/*.txt; then
    echo "an address got into the pins: remove it" >&2
    exit 1
fi
wc -l requirements/*.txt
