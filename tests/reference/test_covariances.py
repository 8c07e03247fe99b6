"""Robust covariances, as packages sandwich and clubSandwich have them: see r/covariances.R."""

from __future__ import annotations

import json
import pathlib
from functools import cache

import numpy as np
import pandas as pd
import pytest

from torchglm import covariances, glm

ROOT = pathlib.Path(__file__).resolve().parent
MODELS = {case["id"]: case for case in json.loads((ROOT / "covariances.json").read_text())["cases"]}
WITH_OPTIONS = {"HAC": covariances.HAC, "driscoll_kraay": covariances.DriscollKraay}
SMALL = {"CR2", "CR3"}


@cache
def panel() -> pd.DataFrame:
    return pd.read_csv(ROOT / "data" / "panel.csv")


@cache
def fitted(model: str):
    asked = dict(MODELS[model]["python"])
    return glm(asked.pop("formula"), panel(), asked.pop("family"), **asked, tolerance=1e-13)


def under(fit, kind: str, arguments):
    """The fit under a covariance of R; what with_covariance does not take goes into the instance."""
    arguments = dict(arguments or {})
    beside = {name: arguments.pop(name) for name in ("adjust", "kernel") if name in arguments}
    return fit.with_covariance(WITH_OPTIONS[kind](**beside) if beside else kind, **arguments)


def label(theirs) -> str:
    return " ".join([theirs["kind"], *(f"{k}={v}" for k, v in dict(theirs["arguments"] or {}).items())])


EACH = [
    pytest.param(model, theirs, id=f"{model} {label(theirs)}")
    for model in MODELS
    for theirs in MODELS[model]["covariances"]
]


@pytest.mark.parametrize("model, theirs", EACH)
def test_equals_r(model, theirs):
    ours = under(fitted(model), theirs["kind"], theirs["arguments"])
    kept = ours.params.notna().to_numpy()
    assert np.flatnonzero(kept).tolist() == MODELS[model]["defined"]
    wanted = np.array(theirs["vcov"])
    size = np.sqrt(np.abs(wanted.diagonal()))
    found = ours.cov_params().to_numpy()[kept][:, kept]
    lost = np.isnan(found.diagonal())  # a variance that came out negative
    assert (wanted.diagonal()[lost] < 0).all()
    np.fill_diagonal(found, np.where(lost, wanted.diagonal(), found.diagonal()))
    np.testing.assert_allclose(found / np.outer(size, size), wanted / np.outer(size, size), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "model, theirs", [each for each in EACH if each.values[1].get("df")], ids=lambda v: v if isinstance(v, str) else ""
)
def test_satterthwaite_equals_r(model, theirs):
    ours = fitted(model).with_covariance(theirs["kind"], **theirs["arguments"], df="satterthwaite")
    np.testing.assert_allclose(ours.record.facts.coefficient_dfs, theirs["df"], rtol=1e-8)


def test_the_tests_of_satterthwaite_refer_to_their_own_t():
    from scipy import stats

    theirs = next(c for c in MODELS["logit"]["covariances"] if c["kind"] == "CR2")
    ours = fitted("logit").with_covariance("CR2", cluster="firm", df="satterthwaite")
    wanted = 2.0 * stats.t.sf(np.abs(ours.tvalues), theirs["df"])
    np.testing.assert_allclose(ours.pvalues, wanted, rtol=1e-7)
    half = stats.t.ppf(0.975, theirs["df"]) * ours.bse
    np.testing.assert_allclose(ours.conf_int()[1], ours.params + half, rtol=1e-7)
    np.testing.assert_allclose(ours.tidy(conf_int=True)["conf.low"], ours.params - half, rtol=1e-7)
    assert "Satterthwaite" in str(ours.summary())


def test_a_large_cluster_needs_no_matrix_of_its_size(monkeypatch):
    from torchglm.inference.covariance import bias_reduced

    monkeypatch.setattr(bias_reduced, "LARGEST_DIRECT", 3)
    for model in ("logit", "poisson_offset", "gamma_log_weights", "gaussian_weights", "poisson_firms"):
        for theirs in MODELS[model]["covariances"]:
            if theirs["kind"] in SMALL:
                test_equals_r(model, theirs)


@pytest.mark.parametrize("most", [100, 1000])
def test_many_clusters_are_summed_a_stretch_at_a_time(monkeypatch, most):
    from torchglm.inference.covariance import bias_reduced, hac, scores

    monkeypatch.setattr(scores, "LARGEST_TABLE", 10)
    monkeypatch.setattr(bias_reduced, "STRETCH", most)
    monkeypatch.setattr(hac, "STRETCH", most)
    for model in ("logit", "poisson_offset", "gaussian_aliased"):
        for theirs in MODELS[model]["covariances"]:
            if theirs["kind"] != "driscoll_kraay":
                test_equals_r(model, theirs)
