"""What every model has: summary, predictions, robust covariances, weights, offsets, files, and blocks of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import Fit, families, load, tweedie
from torchglm.design.design import Design
from torchglm.errors import OptionError

TWEEDIE = "tweedie"


@pytest.fixture(scope="module", params=["ordinal", "nominal and scale", "multinomial", "NB2", "NB1", "zero-inflated",
                                        "zero-inflated NB", "hurdle", "hurdle NB", "truncated", "dispersion",
                                        "gamma dispersion", "beta", "custom", TWEEDIE])  # fmt: skip
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(models, name):
    def fitted(data, formula=None, **more):
        return tweedie("v ~ x + g" if formula is None else formula, data, **more)

    return fitted if name == TWEEDIE else models[name]


@pytest.fixture(scope="module")
def fit(model, data):
    return model(data)


def same(ours, theirs, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=rtol, atol=atol)


def in_se(ours, theirs) -> float:
    """How far two fits are apart, in standard errors."""
    return float(((ours.params - theirs.params) / theirs.bse).abs().max())


def every_prediction(fit, data) -> pd.DataFrame:
    if isinstance(fit, Fit):
        return fit.predict(data, se=True, interval="confidence")
    kinds = [kind for kind in fit.kinds if kind != "class"]
    return pd.concat([pd.DataFrame(fit.predict(data, kind, se=True)) for kind in kinds], axis=1)


def test_summary(fit):
    shown = str(fit.summary())
    assert fit.converged
    assert fit.title.lower() in shown.lower()
    assert all(name in shown for name in fit.params.index)
    # of a Fit theta counts, or phi and the power
    assert fit.aic == pytest.approx(-2.0 * fit.llf + 2.0 * (fit.nobs - fit.df_resid + (len(fit.estimated) > 0) *
                                                            isinstance(fit, Fit) + _counts_phi(fit)))  # fmt: skip
    frame = fit.tidy(conf_int=True)
    same(frame["estimate"], fit.params)
    assert fit.glance().shape[0] == 1


def _counts_phi(fit) -> int:
    return int(isinstance(fit, Fit) and fit.family.name == "tweedie")  # phi and p beside the coefficients


def test_predictions_of_new_rows(fit, data):
    new = data.iloc[[3, 50, 7]].drop(columns=fit.record.facts.response)
    same(every_prediction(fit, new), every_prediction(fit, data).iloc[[3, 50, 7]])
    assert every_prediction(fit, new).index.tolist() == [3, 50, 7]
    holes = new.assign(x=[np.nan, 1.0, 2.0])
    assert every_prediction(fit, holes).isna().all(axis=1).tolist() == [True, False, False]


def row_scores(fit, data) -> np.ndarray:
    """(rows, p) the derivatives of each row's log-likelihood: by autograd through dense matrices, or from mu and V."""
    if isinstance(fit, Fit):
        x, mu = fit.model_matrix().numpy(), torch.tensor(fit.fittedvalues.to_numpy())
        y = data[fit.record.facts.response].to_numpy(float)
        return x * ((y - mu.numpy()) * mu.numpy() / fit.family.variance(mu).numpy() / fit.scale)[:, None]
    module, x = fit.to_module(), fit.model_matrix()
    y = fit.estimate.prepared.design.y.to(torch.float64)

    def nll(theta):
        module_at = dict(module.named_parameters()) | {"coefficients": theta}
        return fit.vector_model.likelihood.nll(y, torch.func.functional_call(_Predictors(module), _named(module_at), x))

    return -torch.autograd.functional.jacobian(nll, module.coefficients.detach()).numpy()


class _Predictors(torch.nn.Module):
    """A module's linear predictors."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *x):
        return self.module.linear_predictor(*x)


def _named(parameters):
    return {f"module.{name}": value for name, value in parameters.items()}


def test_robust_covariances_are_those_of_the_scores(fit, data, name):
    scores, bread = row_scores(fit, data), fit.cov_params().to_numpy()
    n, p = scores.shape
    meat = scores.T @ scores
    assert np.abs(scores.sum(0) * np.sqrt(np.diag(bread))).max() < 1e-5
    scale = np.outer(fit.with_covariance("HC0").bse, fit.with_covariance("HC0").bse)
    same(fit.with_covariance("HC0").cov_params() / scale, bread @ meat @ bread / scale, 1e-7, 1e-7)
    same(fit.with_covariance("HC1").cov_params() / scale, bread @ meat @ bread / scale * n / (n - p), 1e-7, 1e-7)
    summed = pd.DataFrame(scores).groupby(data["site"].to_numpy()).sum().to_numpy()
    clustered = bread @ (summed.T @ summed) @ bread
    same(fit.with_covariance("CR0", cluster="site").cov_params() / scale, clustered / scale, 1e-7, 1e-7)
    asked = fit.summary(covariance="HC0")
    assert "HC0" in str(asked)


def test_a_frequency_is_as_many_rows(model, data):
    written = data.loc[data.index.repeat(data["w"])].reset_index(drop=True)
    weighted, rows = model(data, freq_weights="w"), model(written)
    assert in_se(weighted, rows) < 1e-6
    same(weighted.bse, rows.bse, 1e-6)
    assert (weighted.nobs, weighted.df_resid) == (rows.nobs, rows.df_resid)
    assert (weighted.llf, weighted.llnull) == pytest.approx((rows.llf, rows.llnull), rel=1e-9)
    same(weighted.with_covariance("HC0").bse, rows.with_covariance("HC0").bse, 1e-6)


def test_weights_scale_the_log_likelihood_and_sampling_weights_the_sandwich(model, data, name):
    if "dispersion" in name:
        with pytest.raises(OptionError, match="divide the dispersion"):
            model(data, weights="w")
    else:
        weighted = model(data, weights="w")
        assert weighted.converged
        if name != TWEEDIE:  # whose phi the weights divide
            assert in_se(weighted, model(data, freq_weights="w")) < 1e-6
    sampled = model(data, prob_weights="w")
    assert in_se(sampled, model(data, prob_weights=3.0 * data["w"])) < 1e-5
    same(sampled.bse, model(data, prob_weights=3.0 * data["w"]).bse, 1e-5)
    assert "sampling" in sampled.covariance_note


def test_an_offset_is_one_in_the_formula_too(model, data):
    beside = model(data, offset="o")
    base = beside.formula.split(", ")[0] if "|" not in beside.formula else beside.formula
    inside = model(data, base.replace("~ x", "~ x + offset(o)"))
    assert in_se(inside, beside) < 1e-8
    assert beside.llf == pytest.approx(inside.llf, rel=1e-10)
    assert beside.offset_note == "o"
    same(every_prediction(beside, data.iloc[:9]), every_prediction(inside, data.iloc[:9]), 1e-6, 1e-9)
    assert in_se(model(data, offset=data["o"].to_numpy()), beside) < 1e-10
    moved = model(data.assign(o=0.7), offset="o")
    plain = model(data)
    assert moved.llf == pytest.approx(plain.llf, rel=1e-9)  # the constants take it in
    slope = next(name for name in plain.params.index if name == "x" or name.endswith(("_x", ":x")))
    assert moved.params[slope] == pytest.approx(plain.params[slope], abs=1e-6)


def test_files(fit, data, own, tmp_path, name):
    fit.save(tmp_path / "fit")
    likelihood = {"likelihood": families.custom(own, ("mean", "log_sd"))} if name == "custom" else {}
    again = load(tmp_path / "fit", **likelihood)
    assert str(again.summary()) == str(fit.summary())
    pd.testing.assert_frame_equal(every_prediction(again, data), every_prediction(fit, data))
    assert (
        again.wald_test(f"{fit.params.index[0]} = 0").statistic == fit.wald_test(f"{fit.params.index[0]} = 0").statistic
    )


def test_blocks_of_seven_rows(model, fit, data, name, monkeypatch):
    whole = model(data, freq_weights="w", offset="o")
    monkeypatch.setattr(Design, "block_rows", property(lambda self: 7))
    split = model(data, freq_weights="w", offset="o")
    assert in_se(split, whole) < 1e-7
    same(split.bse, whole.bse, 1e-8)
    assert (split.llf, split.llnull) == pytest.approx((whole.llf, whole.llnull), rel=1e-10)
    for options in ({"covariance": "HC1"}, {"cluster": "site"}):
        same(split.with_covariance(**options).bse, whole.with_covariance(**options).bse, 1e-8)
    same(every_prediction(split, data.iloc[:20]), every_prediction(whole, data.iloc[:20]), 1e-6, 1e-9)
