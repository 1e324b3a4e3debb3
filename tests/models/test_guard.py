"""What a training on GPUs is refused for, and how it is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.guard import SetUpError, guard_gpus

ROOT = Path(__file__).parents[2]


def test_a_gpu_for_each_rank_is_enough():
    assert guard_gpus(gpus=4, local_ranks=4, has_nccl=True) is None


@pytest.mark.parametrize(
    ("gpus", "local_ranks", "has_nccl", "message"),
    [
        (0, 1, True, "TensorFlow sees no GPU on this host: install NVIDIA's driver and `footfall.gpu.`"),
        (2, 2, False, "compiled without NCCL.*HOROVOD_GPU_OPERATIONS=NCCL"),
        (2, 3, True, "3 ranks on this host have 2 GPUs between them, expected one for each: set train.ranks"),
    ],
)
def test_what_is_missing_is_said(gpus, local_ranks, has_nccl, message):
    with pytest.raises(SetUpError, match=message):
        guard_gpus(gpus, local_ranks, has_nccl)


def test_a_rank_that_is_to_have_a_gpu_ends_at_once_where_there_is_none():
    code = "from models.train import start; start(1, 'gpu')"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if run.returncode == 0:
        pytest.skip("there is a GPU here")
    assert "SetUpError: train.device=gpu, but TensorFlow sees no GPU on this host" in run.stderr
