"""checkpoint=: a fit that was stopped goes on from its last step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import torchglm as tg
from torchglm.errors import CheckpointError, CheckpointWarning, ConvergenceWarning, OptionError

KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import cases
import torchglm as tg
from torchglm import checkpoint

replace = os.replace
def killing(*paths):
    replace(*paths)
    killing.left -= 1
    if not killing.left:
        os.kill(os.getpid(), signal.SIGKILL)
killing.left = 5
checkpoint.os.replace = killing
tg.glm("count ~ " + cases.RIGHT, cases.DATA, "poisson", solver="lbfgs", checkpoint={path!r})
"""


def stopped(path: Path, cases, formula: str = "count ~ a + g", **how) -> tg.Fit:
    with pytest.warns(ConvergenceWarning):
        return tg.glm(formula, cases.DATA, "poisson", solver="lbfgs", max_steps=3, checkpoint=path, **how)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"theta": [1.0]}, "has 1 coefficients, the fit 4"),
        ({"theta": None}, "lacks its fit, theta or trace"),
        ({"theta": ["a"] * 4}, "lacks its fit, theta or trace"),
        ({"fit": []}, "lacks its fit, theta or trace"),
        ({"fit": None}, "lacks its fit, theta or trace"),
        ({"trace": [{}]}, "lacks its fit, theta or trace"),
        ({"trace": 5}, "lacks its fit, theta or trace"),
    ],
)
def test_a_file_that_lacks_something(tmp_path, cases, change, message):
    path = tmp_path / "running"
    stopped(path, cases)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        tg.glm("count ~ a + g", cases.DATA, "poisson", solver="lbfgs", checkpoint=path)


def test_a_fit_killed_in_the_middle_goes_on(tmp_path, cases):
    path = tmp_path / "running"
    script = KILLED.format(here=str(Path(cases.__file__).parent), path=str(path))
    ended = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    kept = json.loads(path.read_text())
    assert len(kept["trace"]) == 5
    formula = f"count ~ {cases.RIGHT}"
    plain = tg.glm(formula, cases.DATA, "poisson", solver="lbfgs")
    fit = tg.glm(formula, cases.DATA, "poisson", solver="lbfgs", checkpoint=path)
    trace = fit.record.facts.trace
    assert trace[:5] == kept["trace"]
    assert trace[5]["loss"] < trace[4]["loss"]
    assert [row["step"] for row in trace] == list(range(len(trace)))
    assert fit.record.facts.steps == trace[-1]["step"]
    assert fit.record.facts.passes > trace[4]["passes"]
    np.testing.assert_allclose(fit.params, plain.params, rtol=1e-8)
    np.testing.assert_allclose(fit.bse, plain.bse, rtol=1e-8)
    assert not list(tmp_path.iterdir())


def test_the_file_of_a_fit_that_is_done_is_gone(tmp_path, cases):
    fit = tg.glm("count ~ a + g", cases.DATA, "poisson", checkpoint=tmp_path / "running")
    assert fit.converged
    assert fit.call.checkpoint is None  # so that update() has none of its own
    assert not list(tmp_path.iterdir())


def test_what_stopped_before_the_maximum_goes_on_from_there(tmp_path, cases):
    path = tmp_path / "running"
    first = stopped(path, cases)
    assert path.exists()
    second = tg.glm("count ~ a + g", cases.DATA, "poisson", solver="irls", checkpoint=path)
    assert second.record.facts.trace[:4] == first.record.facts.trace
    np.testing.assert_allclose(second.params, tg.glm("count ~ a + g", cases.DATA, "poisson").params, rtol=1e-10)


def test_a_model_of_several_predictors(tmp_path, cases):
    path, formula = tmp_path / "running", "positive ~ a + g"
    with pytest.warns(ConvergenceWarning):
        tg.glm(formula, cases.DATA, "gamma", "log", dispersion="~ b", max_steps=2, checkpoint=path)
    fit = tg.glm(formula, cases.DATA, "gamma", "log", dispersion="~ b", checkpoint=path)
    assert len(fit.record.facts.trace) > 3
    plain = tg.glm(formula, cases.DATA, "gamma", "log", dispersion="~ b")
    np.testing.assert_allclose(fit.params, plain.params, rtol=1e-8)


@pytest.mark.parametrize(
    "formula, family, what",
    [
        ("count ~ a + b", "poisson", "its formula is 'count ~ a \\+ g', here it is 'count ~ a \\+ b'"),
        ("count ~ a + g", "quasipoisson", "its family is "),
    ],
)
def test_another_fit_is_refused(tmp_path, cases, formula, family, what):
    path = tmp_path / "running"
    stopped(path, cases)
    with pytest.raises(CheckpointError, match=what):
        tg.glm(formula, cases.DATA, family, checkpoint=path)
    assert path.exists()


def test_other_columns_and_other_rows_are_refused(tmp_path, cases):
    path = tmp_path / "running"
    stopped(path, cases)
    fewer = cases.DATA[cases.DATA["g"] != "r"]
    with pytest.raises(CheckpointError, match="its columns is"):
        tg.glm("count ~ a + g", fewer, "poisson", checkpoint=path)
    with pytest.raises(CheckpointError, match="its rows is 398, here it is 297"):
        tg.glm("count ~ a + g", cases.DATA.iloc[:298], "poisson", checkpoint=path)


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"torchglm checkpoint": 99}'])
def test_what_is_no_checkpoint_is_refused(tmp_path, cases, content):
    path = tmp_path / "running"
    path.write_text(content)
    with pytest.raises(CheckpointError, match="is no checkpoint that can be read"):
        tg.glm("count ~ a", cases.DATA, "poisson", checkpoint=path)
    assert path.read_text() == content


def test_a_folder_that_is_not_there_is_refused_before_the_fit(tmp_path, cases):
    with pytest.raises(CheckpointError, match="there is no folder"):
        tg.glm("count ~ a", cases.DATA, "poisson", checkpoint=tmp_path / "nowhere" / "running")
    with pytest.raises(OptionError, match="is the path of a file; got int"):
        tg.glm("count ~ a", cases.DATA, "poisson", checkpoint=3)


def test_a_disk_that_is_full_does_not_stop_the_fit(tmp_path, cases, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torchglm.checkpoint.os.replace", full)
    with pytest.warns(CheckpointWarning, match="No space left on device. The fit goes on without it"):
        fit = tg.glm("count ~ a", cases.DATA, "poisson", checkpoint=tmp_path / "running")
    assert fit.converged
    assert not list(tmp_path.iterdir())
