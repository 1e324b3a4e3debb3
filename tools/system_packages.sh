#!/usr/bin/env bash
# Checks for the four things pip cannot bring: Python 3.11 with venv, Java 17 or 21, a C++ compiler, cmake.
#
#     tools/system_packages.sh       instant when all are there
#
# What is missing is installed by apt when run as root; anyone else is told the command and stopped.
set -euo pipefail

missing=()

java_version() {    # 17 for 17.0.15; nothing where there is no Java
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' || true
}

if ! python3.11 -c 'import ensurepip, venv' 2>/dev/null; then
    missing+=(python3.11 python3.11-venv)
fi

case $(java_version) in
    17 | 18 | 19 | 20 | 21) ;;
    *)
        if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 || [ ! -e /etc/debian_version ]; then
            missing+=(openjdk-17-jre-headless)
        else
            missing+=(openjdk-21-jre-headless)    # newer releases of Debian no longer have 17; Spark 4.0 runs on both
        fi
        ;;
esac

command -v g++ >/dev/null || missing+=(g++)        # Horovod is compiled once for each machine
command -v cmake >/dev/null || missing+=(cmake)

# Tests make hosts of network namespaces, as root, and start an sshd in each. Under systemd the package would start one for
# good, which nobody has asked for: there it is left out, and so are these tests.
if [ "$(id -u)" -eq 0 ] && [ ! -d /run/systemd/system ] && { [ ! -x /usr/sbin/sshd ] || ! command -v ip >/dev/null; }; then
    echo "  installing openssh-server and iproute2 with apt, for the tests on several hosts"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openssh-server iproute2; } \
        >/dev/null 2>&1 </dev/null || echo "  apt could not: these tests will be skipped" >&2
fi

# PostgreSQL under MLflow and Airflow, and what predictions are published into. Under systemd, too, it would be started for good.
if [ "$(id -u)" -eq 0 ] && [ ! -d /run/systemd/system ] && ! command -v initdb >/dev/null &&
    ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
    echo "  installing postgresql with apt, for make services and its tests"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql; } \
        >/dev/null 2>&1 </dev/null || echo "  apt could not: these tests will be skipped" >&2
fi

[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
    echo "  missing on this machine: ${missing[*]}" >&2
    echo "  install them, then run make again:" >&2
    echo "      sudo apt-get update && sudo $install" >&2
    exit 1
fi

echo "  installing ${missing[*]} with apt: about a minute"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && $install; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "  apt could not install ${missing[*]} (log: $log)" >&2
    exit 1
fi
rm -f "$log"

case $(java_version) in
    17 | 18 | 19 | 20 | 21) ;;
    *)
        echo "  Java 17 is installed, but the java found first is another: point JAVA_HOME at Java 17" >&2
        exit 1
        ;;
esac
