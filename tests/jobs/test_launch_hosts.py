"""Ranks on three hosts that share a folder, and no temporary one."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.jobs.namespaces import PORT, HostsHere, hosts_here, needs_hosts, until
from tests.jobs.trainings import ROOT, arguments, assert_same_weights, is_to_lose, local, make_shop, trained

pytestmark = [pytest.mark.cluster, needs_hosts]
RANKS = "tests.jobs.ranks"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with hosts_here(tmp_path_factory.mktemp("hosts"), 3) as hosts:
        yield hosts


def start(here: HostsHere, shared: Path, *arguments: str, hosts: str = "") -> subprocess.Popen[str]:
    """tests/jobs/ranks.py on the hosts."""
    return here.start(
        "-m", "tests.jobs.ranks_on_hosts", str(shared), str(here.key), hosts or here.of(), *arguments
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def test_the_first_rank_is_shown_and_nothing_else(here, tmp_path):
    assert ended(start(here, tmp_path, "well")) == (0, "rank 0 of 3\n")
    assert not list(tmp_path.iterdir())


def test_a_rank_of_another_host_that_fails_ends_the_others_and_its_reason_is_told(here, tmp_path):
    assert ended(start(here, tmp_path, "second says why")) == (1, "the second has had enough\n")
    assert not [process for i in range(3) for process in here.processes(i, RANKS)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_rank_outlives_the_launcher_and_none_is_told_secrets_on_a_command_line(here, tmp_path, how):
    launcher = start(here, tmp_path, "long", str(tmp_path))
    assert until(lambda: len([f for f in tmp_path.iterdir() if f.name in "012" and f.read_text()]) == 3)
    ranks = [here.processes(i, RANKS)[0] for i in range(3)]
    assert [rank.environ()["HOROVOD_RANK"] for rank in ranks] == ["0", "1", "2"]
    assert {rank.environ()["A_SECRET"] for rank in ranks} == {"hidden words"}
    lines = [" ".join(process.cmdline()) for i in range(3) for process in here.processes(i)]
    assert len([line for line in lines if "jobs.rank" in line]) >= 3
    assert not [line for line in lines if "hidden words" in line or "told in secret" in line]
    ranks[2].suspend()  # one that hangs as hard as it can
    launcher.send_signal(how)
    launcher.wait()
    assert until(lambda: not [rank for rank in ranks if rank.is_running()], seconds=60)
    assert until(lambda: not list(tmp_path.glob("ranks-*")), seconds=60), "what was handed over lies about"


def test_a_folder_that_the_hosts_do_not_share_is_told(here):
    code, said = ended(start(here, here.own, "well"))
    assert code == 1
    assert "train.checkpoints must be shared by all hosts" in said


def test_a_host_that_does_not_answer_is_named_with_what_to_do(here, tmp_path):
    nobody = f"{here.addresses[0].rsplit('.', 1)[0]}.99"
    code, said = ended(start(here, tmp_path, "well", hosts=f"[{here.addresses[0]}:1,{nobody}:1]"))
    assert code == 1
    assert said.startswith(f"{nobody} does not answer ssh (")
    assert "go on without: train.min_ranks=1" in said


def test_a_host_whose_own_name_others_cannot_reach_is_told(here, tmp_path):
    file = Path("/etc/netns", here.names[1], "hosts")
    before = file.read_text()
    file.write_text(before.replace(here.addresses[1], "127.0.1.1"))
    try:
        code, said = ended(start(here, tmp_path, "well"))
    finally:
        file.write_text(before)
    assert code == 1
    assert "of this host stands for 127.0.1.1 here: put its network address into /etc/hosts" in said


def training(here: HostsHere, shop: Path, registry: str, *more: str) -> subprocess.Popen[str]:
    places = [f"train.hosts={here.of()}", f"train.ssh_port={PORT}", f"train.ssh_key={here.key}"]
    given = arguments(
        shop, registry, "train=hosts", "train.ranks=3", "train.checkpoint_steps=1", *places, *more
    )
    return here.start("jobs/train.py", *given)


@pytest.mark.long
def test_a_training_whose_rank_was_killed_ends_with_the_weights_of_one_on_this_machine(here, tmp_path):
    make_shop(tmp_path)
    run = training(here, tmp_path, "hosts")
    said = []
    for line in run.stdout:
        said.append(line)
        if is_to_lose(tmp_path, said):
            here.processes(2, "jobs.train_rank")[0].kill()
    text = "".join(said)
    assert run.wait() == 0, text
    lost = f"rank 2 on {here.addresses[2]} was ended by SIGKILL"
    assert f"{lost}; starting all of them from the last checkpoint" in text
    assert re.search(r"going on behind step [1-9]\d* of epoch \d,", text)
    assert f"restarts=1, lost={lost}" in said[-1]
    version, _ = trained(tmp_path, "hosts")
    assert (version.tags["ranks"], version.tags["resumed"]) == ("3", "1")
    assert not list((tmp_path / "lake.checkpoints").iterdir())
    subprocess.run(local(tmp_path, "local", "train.ranks=3"), cwd=ROOT, check=True, capture_output=True)
    assert_same_weights(tmp_path, "local", "hosts")
