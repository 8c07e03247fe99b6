"""A rank that hangs, data that only one rank has wrong, calls of one rank only, and torchrun's restarts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import torchglm as tg

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]

DATA = """
import os, signal, sys, time
import numpy as np
import torchglm as tg
from torchglm import checkpoint
from torchglm.errors import RankError

rng = np.random.default_rng(1)
data = {"x": rng.normal(size=5000), "z": rng.normal(size=5000)}
data["y"] = rng.poisson(np.exp(0.3 + 0.5 * data["x"]))
rank = int(os.environ["RANK"])
"""

HANGS = """
fit = tg.glm("y ~ x", data, "poisson")
if rank == 1:
    time.sleep(8)
    os._exit(0)
began = time.perf_counter()
try:
    fit.with_covariance("HC0")
except RankError as error:
    print(f"{time.perf_counter() - began:.1f} s: {error}", flush=True)
    os._exit(0)
"""

ALONE = """
fit = tg.glm("y ~ x", data, "poisson", cluster=np.arange(5000) % 9)
hc3 = fit.with_covariance("HC3")
if rank == 0:
    print(fit.summary(), hc3.bse, fit.null_deviance, fit.fittedvalues.sum(), fit.predict(data).sum())
    try:
        fit.with_covariance("HC2")
    except RankError as error:
        print("REFUSED", error)
"""

KILLED_ONCE = """
steps, write = [], checkpoint.Checkpoint._write

def dying(self, trace, theta):
    write(self, trace, theta)
    steps.append(1)
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and rank == 1 and len(steps) == 4:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.Checkpoint._write = dying
fit = tg.glm("y ~ x + z", data, "poisson", solver="lbfgs", checkpoint="running")
if rank == 0:
    print("MADE", len(steps), "OF", len(fit.trace), "PARAMS", *map(repr, map(float, fit.params)), flush=True)
"""


def test_a_rank_that_hangs_is_missed_within_the_timeout(two_ranks):
    first, _ = two_ranks(DATA + HANGS, TORCHGLM_RANKS_TIMEOUT="2")
    waited = re.search(r"^([\d.]+) s: Rank 0 of 2 lost the others while computing standard errors", first, re.M)
    assert waited, first
    assert 1.0 < float(waited[1]) < 6.0
    assert "They wait for each other 2 s (TORCHGLM_RANKS_TIMEOUT)" in first


def test_one_rank_may_print_what_all_have_computed(two_ranks):
    first, second = two_ranks(DATA + ALONE)
    assert "sandwich clustered by" in first
    assert "REFUSED Rank 0 of 2 lost the others" in first
    assert "If a method of a fit was called on some ranks only: call it on all of them" in first
    assert second == ""


def test_torchrun_starts_again_from_the_checkpoint(tmp_path):
    (tmp_path / "fit.py").write_text(DATA + KILLED_ONCE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [*torchrun, "--standalone", "fit.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = re.search(r"MADE (\d+) OF (\d+) PARAMS (.*)", ran.stdout)
    assert found, ran.stdout
    # The first point of the second attempt is the fourth of the first, or the third: what the killed rank had sent
    # last may be lost with it.
    assert int(found[2]) - int(found[1]) in (2, 3)
    data: dict[str, object] = {}
    exec(DATA.replace('int(os.environ["RANK"])', "0"), data)
    expected = tg.glm("y ~ x + z", data["data"], "poisson").params
    np.testing.assert_allclose([float(text) for text in found[3].split()], expected, rtol=1e-8)
    assert not (tmp_path / "running").exists()
