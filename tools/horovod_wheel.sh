#!/usr/bin/env bash
# Builds Horovod's wheel once for this machine and prints where it is.
#
#     tools/horovod_wheel.sh .venv/bin/python PIP        about 3 minutes the first time, nothing afterwards
#
# Horovod is compiled against the TensorFlow of the environment, so there is no wheel of it to download, and tools that
# install it directly compile it again for each environment. The wheel is kept in the user's cache, by Python, TensorFlow,
# platform and C library; Gloo is the only transport, TensorFlow the only framework. HOROVOD_GPU_OPERATIONS=NCCL in the
# environment makes one for GPUs (docs/gpu.md).
set -euo pipefail

version=0.28.1
python=$1
pip=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/footfall/wheels

key=$("$python" - "$version" <<'PYTHON'
import os, platform, sys, sysconfig
from importlib.metadata import PackageNotFoundError, version

def tensorflow():
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            return f"{name}-{version(name)}"
        except PackageNotFoundError:
            pass
    sys.exit("Horovod needs TensorFlow in the environment first: run `make setup`")

python = "py{}.{}".format(*sys.version_info)
parts = [f"horovod-{sys.argv[1]}", python, tensorflow(), sysconfig.get_platform(), "".join(platform.libc_ver())]
print(*parts, *filter(None, [os.environ.get("HOROVOD_GPU_OPERATIONS")]), sep="_")
PYTHON
)

built() { find "$cache/$key" -name 'horovod-*.whl' 2>/dev/null | head -n 1; }

if [ -n "$(built)" ]; then
    built
    exit
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/building.XXXXXX")    # beside its destination, so that the last step is a rename
log=$cache/$key.log
build=
trap '[ -z "$build" ] || kill -- "-$build" 2>/dev/null || true; rm -rf "$work"' EXIT

echo "  compiling Horovod $version for this machine: about 3 minutes, once (log: $log)" >&2
mkdir "$work/wheel" "$work/tmp"
# setsid: pip, cmake and the compilers are one process group, which the trap ends whole when this script is interrupted.
setsid env HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
    HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_CPU_OPERATIONS=GLOO \
    CMAKE_POLICY_VERSION_MINIMUM=3.5 MAKEFLAGS=-j2 TMPDIR="$work/tmp" \
    "$pip" --python "$python" wheel --no-deps --no-build-isolation --no-cache-dir \
    --wheel-dir "$work/wheel" "horovod==$version" >"$log" 2>&1 </dev/null 9>&- &
build=$!

started=$SECONDS
while kill -0 "$build" 2>/dev/null; do
    sleep 1
    elapsed=$((SECONDS - started))
    [ $((elapsed % 10)) -ne 0 ] || echo "  compiling Horovod: ${elapsed} s" >&2
done

if ! wait "$build"; then
    build=
    echo "  Horovod did not compile. The end of $log:" >&2
    tail -n 40 "$log" >&2
    exit 1
fi
build=
echo "  compiled in $((SECONDS - started)) s" >&2

# Another set-up may have finished the same build meanwhile: its wheel is as good.
mv -T "$work/wheel" "$cache/$key" 2>/dev/null || [ -n "$(built)" ]
built
