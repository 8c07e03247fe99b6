"""Two processes, each of which reads row groups of its own, give the numbers of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import torchglm
from torchglm.design.streams.parquet import open_parquet
from torchglm.errors import DataError
from torchglm.numerics.ranks import Ranks

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def answers(command, files, path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TORCHGLM_RANKS_TIMEOUT": "60"}
    run = [sys.executable, *command, str(HERE / "ranked.py"), str(files), str(path)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text())


def test_two_processes_give_the_numbers_of_one(files, tmp_path):
    one = answers([], files, tmp_path / "one.json")
    two = answers(["-m", "torch.distributed.run", "--nproc-per-node", "2"], files, tmp_path / "two.json")
    assert one.keys() == two.keys()
    assert "cannot be evaluated" in one["error"]
    for name in one.keys() - {"error"}:
        (params, errors, numbers, text), theirs = one[name], two[name]
        scale = np.maximum(np.abs(params), errors)
        assert np.nanmax(np.abs(np.subtract(theirs[0], params)) / scale) < 1e-12, name
        np.testing.assert_allclose(theirs[1], errors, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(theirs[2], numbers, rtol=1e-12, err_msg=name)
        assert theirs[3] == text


@pytest.mark.parametrize("world", [1, 2, 3, 7, 9])
def test_every_row_group_is_read_once(files, world):
    stream = torchglm.stream(files).stream
    shares = [stream.share(Ranks(rank, world)) for rank in range(world)]
    assert [group for share in shares for group in share.groups] == list(stream.groups)
    assert min(share.rows for share in shares) > 0
    if world <= 3:
        assert max(share.rows for share in shares) - min(share.rows for share in shares) <= 2 * 1_500


def test_too_few_row_groups(files):
    stream = open_parquet([files / "part 0.parquet"], torchglm.stream(files).stream.room)
    with pytest.raises(DataError, match=r"has 3 row group\(s\) for 4 processes.*row_group_size"):
        stream.share(Ranks(0, 4))


def test_what_cannot_be_shared(frame):
    with pytest.raises(DataError, match=r"cannot be shared by 2 processes\. Write it to Parquet first"):
        torchglm.stream(lambda: [frame]).stream.share(Ranks(0, 2))
