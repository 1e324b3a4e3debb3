#!/usr/bin/env bash
# Prints the folder with `uv` and `pip`, after installing them into the user's cache if they are not there yet.
#
#     "$(tools/uv.sh)/uv" --version        about 5 seconds the first time, instant afterwards
set -euo pipefail

version=0.13.9
home=${XDG_CACHE_HOME:-$HOME/.cache}/footfall/uv/$version

if [ ! -e "$home/ready" ]; then
    echo "  installing uv $version into the user's cache: a few seconds, once" >&2
    rm -rf "$home"
    mkdir -p "$(dirname "$home")"
    python3.11 -m venv "$home"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$version" >&2
    touch "$home/ready"
fi
echo "$home/bin"
