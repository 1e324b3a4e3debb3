"""A host that is gone for good."""

import pytest

from tests.jobs.namespaces import hosts_here, needs_hosts
from tests.jobs.test_launch_hosts import training
from tests.jobs.trainings import is_to_lose, make_shop, trained


@pytest.mark.cluster
@pytest.mark.long
@needs_hosts
def test_a_training_goes_on_without_a_host_that_is_gone_and_says_how_many_ranks_ended_it(tmp_path):
    make_shop(tmp_path)
    with hosts_here(tmp_path, 3) as here:
        run = training(here, tmp_path, "hosts", "train.min_ranks=2", "train.stall_seconds=120")
        said = []
        for line in run.stdout:
            said.append(line)
            if is_to_lose(tmp_path, said):
                here.lose(2)
        text = "".join(said)
        assert run.wait() == 0, text
    assert f"{here.addresses[2]} does not answer ssh" in text
    assert "going on with 2 of 3 ranks" in text
    assert "ranks=2, ranks_asked=3, rows_per_epoch_expected=213, rows_per_epoch_seen=213" in said[-1]
    assert "restarts=1, lost=rank " in said[-1], "who noticed it first is open"
    version, _ = trained(tmp_path, "hosts")
    assert (version.tags["ranks"], version.tags["ranks_asked"]) == ("2", "3")
