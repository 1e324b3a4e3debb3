#!/usr/bin/env bash
# Makes .venv, the environment everything runs in: what `make setup` does.
#
#     tools/setup.sh        first time on a machine: 4 to 9 minutes, of which Horovod's compilation is 2 to 5
#                           further clones: two minutes; with nothing to do: instant
#
# Each step leaves a stamp in .venv/.footfall with a hash of what it was made from, and is done again only when that changes.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
stamps=$root/.venv/.footfall
cache=${XDG_CACHE_HOME:-$HOME/.cache}/footfall

hash_of() { { printf '%s\n' "$root"; cat "$@"; } | sha256sum | cut -c 1-16; }
done_already() { [ "$(cat "$stamps/$1" 2>/dev/null)" = "$2" ]; }
stamp() { echo "$2" >"$stamps/$1"; }

# A step's hash contains the one before it, so that a change redoes the steps that follow.
packages=$(hash_of requirements/dev.txt tools/uv.sh)
horovod=$packages-$(hash_of tools/horovod_wheel.sh)
spark=$packages-$(hash_of tools/spark_home.py tools/spark/*)
classes=$spark-$(hash_of tools/class_archive.py)
footfall=$packages-$(hash_of setup.py requirements/runtime.in)
everything="$horovod $classes $footfall"

if [ -x .venv/bin/python ] && done_already everything "$everything"; then exit 0; fi

# One set-up at a time on a machine: they share the cache, and Horovod need be compiled only once.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock --nonblock 9 || { echo "Another set-up is running: waiting for it"; flock 9; }

started=$SECONDS
step() { printf '[%3d s] %s\n' $((SECONDS - started)) "$1"; }

step "system packages"
tools/system_packages.sh

uv=$(tools/uv.sh)
export UV_PYTHON=$root/.venv/bin/python UV_PYTHON_DOWNLOADS=never

if ! "$UV_PYTHON" -c '' 2>/dev/null || [ ! -d "$stamps" ]; then
    step "a new .venv"
    rm -rf .venv
    "$uv/uv" venv --quiet --python "$(python3.11 -c 'import sys; print(sys.executable)')" .venv
    mkdir -p "$stamps"
fi
rm -f "$stamps/everything"

if ! done_already packages "$packages"; then
    step "packages of requirements/dev.txt: about half a minute (from the cache of uv, shared by all clones)"
    rm -f "$stamps"/*    # what is not in the list goes, Horovod and Footfall among it
    "$uv/uv" pip sync --quiet requirements/dev.txt
    stamp packages "$packages"
fi

if ! done_already horovod "$horovod"; then
    step "Horovod"
    "$uv/uv" pip install --quiet --no-deps --reinstall "$(tools/horovod_wheel.sh .venv/bin/python "$uv/pip")"
    stamp horovod "$horovod"
fi

if ! done_already spark "$spark"; then
    step "Spark: Delta's jars and the configuration"
    .venv/bin/python tools/spark_home.py
    stamp spark "$spark"
fi

if ! done_already classes "$classes"; then
    step "Spark: an archive of its classes, so that drivers start faster (half a minute)"
    .venv/bin/python tools/class_archive.py
    stamp classes "$classes"
fi

if ! done_already footfall "$footfall"; then
    step "Footfall itself, in place"
    # editable_mode=compat puts the project's folder on the path, so that folders made later can be imported too.
    "$uv/uv" pip install --quiet --no-deps --no-build-isolation --reinstall --config-settings editable_mode=compat --editable .
    stamp footfall "$footfall"
fi

# Python itself may be told to write none (PYTHONDONTWRITEBYTECODE); each process then compiles TensorFlow anew, for five seconds.
step "bytecode of all packages: half a minute"
.venv/bin/python -m compileall -q -j 0 .venv/lib/python3.11/site-packages >/dev/null || true    # templates are no Python

step "checking that all of it can be imported"
"$uv/uv" pip check --quiet
TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python -W ignore -c \
    'import delta, deltalake, horovod.tensorflow, hydra, mlflow, petastorm, pyspark, tensorflow'
stamp everything "$everything"
step "ready: .venv"
