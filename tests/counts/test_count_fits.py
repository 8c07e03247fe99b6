"""What every fit can do, of the models of counts: weights, offsets, covariances, predictions, files."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from torchglm.counts import hurdle, truncated, zero_inflated
from torchglm.saving import load

FITS = {
    "inflated": (zero_inflated, "art ~ fem + ment | ment", "poisson"),
    "inflated nb": (zero_inflated, "art ~ fem + ment | ment", "negative_binomial"),
    "hurdle": (hurdle, "art ~ fem + ment | phd", "negative_binomial"),
    "truncated": (truncated, "art ~ fem + ment", "negative_binomial"),
}


@pytest.fixture(params=FITS)
def model(request, articles):
    """A fit as a function of its options, and its data."""
    call, formula, count = FITS[request.param]
    rows = articles[articles["art"] > 0] if call is truncated else articles
    return lambda data=None, **given: call(formula, rows if data is None else data, count, **given), rows


def test_a_frequency_weight_writes_rows_out(model):
    fit, rows = model
    weighted = fit(freq_weights="w", covariance="HC1")
    written = fit(rows.loc[rows.index.repeat(rows["w"])].reset_index(drop=True), covariance="HC1")
    for name in ("params", "bse"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(written, name), rtol=1e-7)
    for name in ("llf", "aic", "bic", "nobs", "df_resid"):
        assert getattr(weighted, name) == pytest.approx(getattr(written, name), rel=1e-10), name


def test_precision_weights_multiply_the_log_likelihood(model):
    fit, rows = model
    twice, once = fit(rows.assign(two=2.0), weights="two"), fit()
    np.testing.assert_allclose(twice.params, once.params, rtol=1e-7)
    np.testing.assert_allclose(twice.bse, once.bse / np.sqrt(2.0), rtol=1e-7)
    assert twice.llf == pytest.approx(2.0 * once.llf, rel=1e-12)


def test_rows_of_weight_zero_are_left_out_and_predicted(model):
    fit, rows = model
    w = np.where(np.arange(len(rows)) % 5 == 0, 0.0, 1.0)
    weighted, left = fit(freq_weights=w), fit(rows[w > 0])
    np.testing.assert_allclose(weighted.params, left.params, rtol=1e-7)
    np.testing.assert_allclose(weighted.predict(), left.predict(rows), rtol=1e-7)


def test_an_exposure_is_an_offset_of_the_count(model):
    fit, rows = model
    exposed, offset = fit(exposure="phd"), fit(offset="np.log(phd)")
    np.testing.assert_allclose(exposed.params, offset.params, rtol=1e-8)
    new = rows[:3].assign(phd=rows["phd"][:3] * 2.0)
    for name in ("count", "mean"):
        np.testing.assert_allclose(exposed.predict(new, name), offset.predict(new, name), rtol=1e-8)
    assert float(exposed.predict(new, "count").iloc[0]) == pytest.approx(
        2.0 * float(exposed.predict(rows[:3], "count").iloc[0]), rel=1e-12
    )


def test_files_and_pickles_say_the_same(model, tmp_path):
    fit, rows = model
    fitted = fit()
    fitted.save(tmp_path / "fit")
    for again in (load(tmp_path / "fit"), pickle.loads(pickle.dumps(fitted))):
        pd.testing.assert_series_equal(again.params, fitted.params)
        pd.testing.assert_frame_equal(again.cov_params(), fitted.cov_params())
        for kind in fitted.kinds:
            found, before = again.predict(rows[:4], kind), fitted.predict(rows[:4], kind)
            np.testing.assert_array_equal(found, before)
        np.testing.assert_array_equal(
            again.predict(rows[:4], "probabilities", at=[0, 3], se=True),
            fitted.predict(rows[:4], "probabilities", at=[0, 3], se=True),
        )


def test_probabilities_are_a_distribution(model):
    fit, rows = model
    fitted = fit()
    chances = fitted.predict(kind="probabilities", at=range(400))
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(chances.to_numpy() @ np.arange(400), fitted.predict(kind="mean"), rtol=1e-7)
    assert list(fitted.predict(kind="probabilities").columns) == list(range(int(rows["art"].max()) + 1))


def test_dropped_rows_are_nan(articles):
    holes = articles.assign(
        ment=articles["ment"].where(articles.index != 3), phd=articles["phd"].mask(articles.index == 5)
    )
    fit = hurdle("art ~ ment | phd", holes)
    whole = hurdle("art ~ ment | phd", articles.drop(index=[3, 5]))
    assert fit.record.facts.rows_dropped == 2
    assert np.flatnonzero(fit.predict().isna()).tolist() == [3, 5]
    np.testing.assert_allclose(fit.params, whole.params, rtol=1e-9)


# brute force: a zero-inflated Poisson written out over all coefficients


def _rows(theta: Tensor, y: Tensor, x: Tensor, z: Tensor) -> Tensor:
    eta, zero = x @ theta[: x.shape[1]], z @ theta[x.shape[1] :]
    log_pi, log_rest = torch.nn.functional.logsigmoid(zero), torch.nn.functional.logsigmoid(-zero)
    count = y * eta - eta.exp() - torch.lgamma(y + 1.0)
    return torch.where(y == 0, torch.logaddexp(log_pi, log_rest - eta.exp()), log_rest + count)


@pytest.fixture(scope="module")
def brute(articles):
    """Scores (rows, p) and the inverse information at the fit of "art ~ ment | phd", and that fit."""
    fit = zero_inflated("art ~ ment | phd", articles)
    y, ment, phd = (torch.tensor(articles[c].to_numpy(dtype=float)) for c in ("art", "ment", "phd"))
    one = torch.ones_like(y)
    x, z = torch.stack([one, ment], 1), torch.stack([one, phd], 1)
    theta = torch.tensor(fit.params.to_numpy())
    scores = torch.autograd.functional.jacobian(lambda t: _rows(t, y, x, z), theta)
    information = -torch.autograd.functional.hessian(lambda t: _rows(t, y, x, z).sum(), theta)
    return fit, scores.numpy(), np.linalg.inv(information.numpy())


def test_the_covariance_is_the_inverse_information(brute):
    fit, _, bread = brute
    np.testing.assert_allclose(fit.cov_params(), bread, rtol=1e-7)


def test_sandwiches(brute, articles):
    fit, scores, bread = brute
    n, p = scores.shape
    np.testing.assert_allclose(fit.with_covariance("HC0").cov_params(), bread @ scores.T @ scores @ bread, rtol=1e-6)
    np.testing.assert_allclose(
        fit.with_covariance("HC1").cov_params(), bread @ scores.T @ scores @ bread * n / (n - p), rtol=1e-6
    )
    sums = pd.DataFrame(scores).groupby(articles["kid5"].to_numpy()).sum().to_numpy()
    g = len(sums)
    by = fit.with_covariance("CR0", cluster="kid5").cov_params()
    np.testing.assert_allclose(by, bread @ sums.T @ sums @ bread, rtol=1e-6)
    cluster = fit.with_covariance(cluster="kid5").cov_params()
    np.testing.assert_allclose(cluster, by * g / (g - 1), rtol=1e-12)  # vcovCL's default


def test_sampling_weights_have_a_sandwich(articles):
    weighted = zero_inflated("art ~ ment | 1", articles, prob_weights="w")
    counted = zero_inflated("art ~ ment | 1", articles, freq_weights="w")
    np.testing.assert_allclose(weighted.params, counted.params, rtol=1e-8)
    y, ment, w = (torch.tensor(articles[c].to_numpy(dtype=float)) for c in ("art", "ment", "w"))
    one = torch.ones_like(y)
    x, theta = torch.stack([one, ment], 1), torch.tensor(weighted.params.to_numpy())
    scores = (torch.autograd.functional.jacobian(lambda t: _rows(t, y, x, one[:, None]), theta) * w[:, None]).numpy()
    bread = np.linalg.inv(
        -torch.autograd.functional.hessian(lambda t: (w * _rows(t, y, x, one[:, None])).sum(), theta).numpy()
    )
    n = len(y)
    np.testing.assert_allclose(weighted.cov_params(), bread @ scores.T @ scores @ bread * n / (n - 1), rtol=1e-6)


def test_standard_errors_of_predictions(brute, articles):
    fit, _, bread = brute
    y, ment, phd = (torch.tensor(articles[c].to_numpy(dtype=float)) for c in ("art", "ment", "phd"))
    x, z = torch.stack([torch.ones(5), ment[:5]], 1), torch.stack([torch.ones(5), phd[:5]], 1)
    theta = torch.tensor(fit.params.to_numpy())

    def mean(t: Tensor) -> Tensor:
        return torch.sigmoid(-(z @ t[2:])) * (x @ t[:2]).exp()

    def chance_of_two(t: Tensor) -> Tensor:
        return _rows(t, torch.full_like(y[:5], 2.0), x, z).exp()

    for kind, given, function in (("mean", {}, mean), ("probabilities", {"at": 2}, chance_of_two)):
        slope = torch.autograd.functional.jacobian(function, theta).numpy()
        expected = np.sqrt(np.einsum("ij,jk,ik->i", slope, bread, slope))
        found = fit.predict(articles[:5], kind, se=True, **given)
        np.testing.assert_allclose(found.to_numpy()[:, 1], expected, rtol=1e-6)
        np.testing.assert_allclose(found.to_numpy()[:, 0], function(theta), rtol=1e-12)


def test_a_truncated_mean_solves_its_equation():
    y = [1, 2, 1, 1, 3, 5, 2]
    mu = float(np.exp(truncated("y ~ 1", {"y": y}).params["Intercept"]))
    assert mu / (1.0 - np.exp(-mu)) == pytest.approx(np.mean(y), rel=1e-12)


@pytest.mark.parametrize("solver", ["newton_cg", "lbfgs"])
def test_solvers_agree(solver, articles):
    by_irls = zero_inflated("art ~ fem + ment | ment", articles, "negative_binomial")
    other = zero_inflated("art ~ fem + ment | ment", articles, "negative_binomial", solver=solver)
    assert np.abs((other.params - by_irls.params) / by_irls.bse).max() < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_gives_the_numbers_of_the_cpu(model):
    fit, rows = model
    cpu, gpu = fit(device="cpu"), fit(device="cuda")
    np.testing.assert_allclose(gpu.params, cpu.params, rtol=1e-7)
    np.testing.assert_allclose(gpu.bse, cpu.bse, rtol=1e-7)
    np.testing.assert_allclose(gpu.predict(rows[:9]), cpu.predict(rows[:9]), rtol=1e-7)
