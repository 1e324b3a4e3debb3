"""The hosts on which a training's ranks run: which of them are there, and how they are reached."""

import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil

from conf.hosts import Host, hosts_of
from conf.schema import Train
from jobs.launch import RanksFailed

CONNECT = 10  # seconds


def answering(train: Train) -> list[Host]:
    """Those of `train.hosts` that are there; raises `RanksFailed` where they have fewer than `train.min_ranks` ranks."""
    hosts = hosts_of(train.hosts)
    with ThreadPoolExecutor(len(hosts)) as pool:
        silent = list(pool.map(lambda host: silence_of(host, train), hosts))
    there = [host for host, silence in zip(hosts, silent, strict=True) if not silence]
    if not any(silent):
        return there
    gone = "; ".join(filter(None, silent))
    ranks = sum(host.ranks for host in there)
    if ranks < (train.min_ranks or train.ranks):
        advice = f", or go on without: train.min_ranks={ranks}" if ranks else ""
        raise RanksFailed(f"{gone}: put that right{advice}", is_said=True)
    print(f"train: {gone}; going on with {ranks} of {train.ranks} ranks", flush=True)
    return there


def silence_of(host: Host, train: Train) -> str:
    """Why the host cannot be used; nothing: it answers."""
    if is_here(host):
        return ""
    command = [
        "ssh",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        f"ConnectTimeout={CONNECT}",
    ]
    try:
        asked = subprocess.run(
            [*command, *by_ssh(train), host.name, "true"], capture_output=True, text=True, timeout=3 * CONNECT
        )
    except subprocess.TimeoutExpired:
        return f"{host.name} does not answer ssh"
    if asked.returncode == 0:
        return ""
    said = asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"]
    return f"{host.name} does not answer ssh ({said[-1].strip()})"


def is_here(host: Host) -> bool:
    """Whether it is this machine, whose own addresses alone can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        try:
            own.bind((host.name, 0))
        except OSError:
            return False
    return True


def options(train: Train, hosts: Sequence[Host]) -> list[str]:
    """horovodrun's: how the others are reached. With an interface it need not ask each host for its own."""
    interface = train.interface or interface_towards(hosts)
    return by_ssh(train) + (["--network-interfaces", interface] if interface else [])


def by_ssh(train: Train) -> list[str]:
    """The port and the key, as ssh and horovodrun both call them; what is not given they know themselves."""
    port = ["-p", str(train.ssh_port)] if train.ssh_port else []
    return port + (["-i", train.ssh_key] if train.ssh_key else [])


def interface_towards(hosts: Sequence[Host]) -> str | None:
    """The network interface by which this machine reaches the first of the others; none where there is no other."""
    other = next((host for host in hosts if not is_here(host)), None)
    if other is None:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other.name, 9))  # sends nothing
        address = probe.getsockname()[0]
    found = (
        name for name, its in psutil.net_if_addrs().items() if any(each.address == address for each in its)
    )
    return next(found, None)
