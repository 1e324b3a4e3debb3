"""Hosts on one machine: network namespaces with an address, an sshd and a temporary folder of their own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PORT = 2222
SSH_CONFIG = """UserKnownHostsFile /dev/null
LogLevel ERROR
ServerAliveInterval 5
ServerAliveCountMax 2
"""


def why_not() -> str:
    """Why there can be no hosts here; nothing: there can."""
    if os.geteuid() != 0:
        return "they are network namespaces, which root makes"
    if not SSHD or not shutil.which("ip"):
        return "they need sshd and ip: apt-get install openssh-server iproute2"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode:
        return "this machine lets root make no network namespaces"
    return ""


needs_hosts = pytest.mark.skipif(bool(why_not()), reason=f"no hosts here: {why_not()}")


@dataclass(frozen=True)
class HostsHere:
    """Running hosts; the first is where commands are run."""

    names: list[str]  # of the namespaces
    addresses: list[str]
    key: Path
    own: Path  # a folder whose files each host has for itself

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A Python of the first host, which can tell nobody else what is in its temporary folder."""
        return subprocess.Popen(
            within(self.names[0], self.own, sys.executable, "-W", "ignore", *command),
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.own), "A_SECRET": "hidden words"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def of(self, ranks: int = 1) -> str:
        """Them all as `train.hosts`."""
        return f"[{','.join(f'{address}:{ranks}' for address in self.addresses)}]"

    def processes(self, number: int, word: str = "") -> list[psutil.Process]:
        """Those on a host, counted from 0, that have this word on their command line."""
        pids = subprocess.run(
            ["ip", "netns", "pids", self.names[number]], capture_output=True, text=True
        ).stdout
        found = []
        for pid in pids.split():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return [process for process in found if is_with(process, word)]

    def lose(self, number: int) -> None:
        """The host is gone, and nobody is told: no packet comes from it any more."""
        run("ip", "-n", self.names[number], "link", "set", "eth0", "down")
        for process in self.processes(number):
            process.kill()


@contextmanager
def hosts_here(folder: Path, count: int) -> Iterator[HostsHere]:
    """`count` hosts that reach each other by eth0, and by ssh with a key."""
    tag, net = f"ff{os.getpid() % 10_000}", f"10.77.{os.getpid() % 250 + 1}"
    names = [f"{tag}n{i}" for i in range(count)]
    addresses = [f"{net}.{i + 1}" for i in range(count)]
    own = folder / "own"
    own.mkdir()
    for each in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / each))
    Path("/run/sshd").mkdir(exist_ok=True)
    here = HostsHere(names, addresses, folder / "user", own)
    run("ip", "link", "add", tag, "type", "bridge")
    try:
        run("ip", "link", "set", tag, "up")
        for i, name in enumerate(names):
            make_host(name, addresses[i], f"{tag}v{i}", tag)
            start_sshd(name, addresses[i], folder, own)
        yield here
    finally:
        for i, name in enumerate(names):
            for process in here.processes(i):
                process.send_signal(signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        run("ip", "link", "del", tag)


def make_host(name: str, address: str, link: str, bridge: str) -> None:
    run("ip", "netns", "add", name)
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", link, "master", bridge, "up")
    run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    for each in ("lo", "eth0"):
        run("ip", "-n", name, "link", "set", each, "up")
    files = Path("/etc/netns", name)  # what a process of the namespace finds in /etc
    (files / "ssh").mkdir(parents=True)
    (files / "ssh" / "ssh_config").write_text(SSH_CONFIG)
    (files / "hosts").write_text(f"127.0.0.1 localhost\n{address} {os.uname().nodename}\n")


def start_sshd(name: str, address: str, folder: Path, own: Path) -> None:
    options = {
        "AuthorizedKeysFile": folder / "user.pub",
        "StrictModes": "no",
        "Port": PORT,
        "ListenAddress": address,
        "PidFile": "none",
    }
    command = [str(SSHD), "-f", "/dev/null", "-h", str(folder / "host")]
    run(*within(name, own, *command, *(f"-o{option}={value}" for option, value in options.items())))


def within(name: str, own: Path, *command: str) -> list[str]:
    """The command as one of the namespace, for which `own` is empty at first."""
    mounted = f'mount -t tmpfs tmpfs {own} && exec "$@"'
    return ["ip", "netns", "exec", name, "sh", "-c", mounted, "sh", *command]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def is_with(process: psutil.Process, word: str) -> bool:
    """Whether it lives, and this is one of the words of its command line."""
    try:
        return not word or word in process.cmdline()
    except psutil.Error:
        return False


def until(look, seconds: float = 300):
    """What `look` sees as soon as it is something, or at the end."""
    end = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return seen
