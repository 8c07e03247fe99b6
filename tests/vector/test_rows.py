"""Residuals and simulated responses of models of several linear predictors: exact mathematics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from torchglm import custom, errors, load, multinomial, ordinal, zero_inflated
from torchglm.errors import OptionError, UnknownNameError


def test_probability_scale_residuals_of_proportional_odds_sum_to_zero(data):
    # with the logit link they are twice the scores of the constant, -F(cut_k) - F(cut_(k-1)) + 1
    fit = ordinal("rating ~ x + g", data, weights="w")
    residual = fit.residuals("probability_scale")
    assert float((residual * data["w"]).sum()) == pytest.approx(0.0, abs=1e-7)
    assert float((residual * data["w"] * data["x"]).sum()) == pytest.approx(0.0, abs=1e-7)
    chances = fit.predict().to_numpy()
    codes = data["rating"].cat.codes.to_numpy()
    below = np.array([row[:k].sum() for row, k in zip(chances, codes, strict=True)])
    above = np.array([row[k + 1 :].sum() for row, k in zip(chances, codes, strict=True)])
    np.testing.assert_allclose(residual, below - above, atol=1e-14)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_surrogate_residuals_lie_between_the_cuts(data, link):
    fit = ordinal("rating ~ x", data, link, scale="~ z")
    residual, z = fit.surrogate_residuals(seed=4), fit.predict(kind="link")
    cuts = np.column_stack([np.full(len(data), -np.inf), z[["l|m", "m|n", "n|h"]], np.full(len(data), np.inf)])
    latent = z["eta"] + np.exp(z["log(scale)"]) * residual
    codes = data["rating"].cat.codes.to_numpy()
    rows = np.arange(len(data))
    assert ((cuts[rows, codes] < latent) & (latent < cuts[rows, codes + 1])).all()
    # the same draws on the normal scale
    np.testing.assert_array_equal(residual, fit.surrogate_residuals(seed=4))
    if link == "probit":
        np.testing.assert_allclose(residual, fit.quantile_residuals(seed=4), rtol=1e-9)
    if link == "logit":
        np.testing.assert_allclose(special.expit(residual), special.ndtr(fit.quantile_residuals(seed=4)), rtol=1e-9)


def test_quantile_residuals_of_true_models_are_standard_normal(data, models, name):
    if name in ("multinomial", "custom"):
        with pytest.raises(OptionError):
            models[name](data).quantile_residuals()
        return
    many = pd.concat([data] * 8, ignore_index=True)
    fit = models[name](many)
    truth = many.assign(**{fit.record.facts.response: fit.simulate(seed=8)["sim_1"]})
    assert stats.kstest(models[name](truth).quantile_residuals(seed=2), "norm").pvalue > 1e-3


def test_residuals_follow_from_what_is_predicted(data, models, name):
    fit = models[name](data)
    if name == "custom":
        with pytest.raises(OptionError, match="give mean="):
            fit.residuals("response")
        return
    y = data[fit.record.facts.response]
    if name in ("ordinal", "nominal and scale", "multinomial"):
        expected = pd.get_dummies(y)[list(fit.classes)].to_numpy(float) - fit.predict().to_numpy()
        np.testing.assert_allclose(fit.resid_response, expected, atol=1e-14)
        assert list(fit.residuals().columns) == list(fit.classes)
    else:
        mean = fit.fittedvalues
        np.testing.assert_allclose(fit.resid_response, y - mean, atol=1e-13)


VARIED = ["zero-inflated NB", "hurdle", "beta", "gamma dispersion", "NB1", "truncated"]


@pytest.mark.parametrize("which", VARIED)
def test_variances_are_those_of_many_simulated_responses(data, models, which):
    fit = models[which](data)
    drawn = fit.simulate(3000, seed=1).to_numpy()
    y = data[fit.record.facts.response]
    variance = ((y - fit.predict(kind="mean")) / fit.resid_pearson) ** 2
    np.testing.assert_allclose(drawn.mean(1).mean(), fit.predict(kind="mean").mean(), rtol=0.02)
    np.testing.assert_allclose(np.log(drawn.var(1)).mean(), np.log(variance).mean(), atol=0.05)


def test_simulated_classes_have_the_probabilities(data, models):
    for fit in (models["ordinal"](data), models["multinomial"](data)):
        drawn = fit.simulate(400, seed=2)
        assert list(drawn.columns[:2]) == ["sim_1", "sim_2"]
        assert drawn["sim_1"].cat.categories.tolist() == list(fit.classes)
        assert drawn["sim_1"].cat.ordered == fit.vector_model.ordered
        for label in fit.classes:
            share = (drawn == label).to_numpy().mean()
            assert share == pytest.approx(fit.predict()[label].mean(), abs=0.01)


def test_rows_that_were_dropped_are_missing(data):
    holes = data.assign(x=data["x"].mask(data.index == 5), v=np.where(data.index < 3, 0.0, 1.0))
    fit = zero_inflated("c ~ x | z", holes, weights="v")
    for values in (fit.residuals(), fit.quantile_residuals(), fit.simulate()["sim_1"]):
        assert values.index.equals(data.index)
        assert np.flatnonzero(values.isna()).tolist() == [5]
    classes = multinomial("choice ~ x + z", holes)
    assert np.flatnonzero(classes.simulate()["sim_1"].isna()).tolist() == [5]
    assert np.flatnonzero(classes.residuals().isna().any(axis=1)).tolist() == [5]


def test_seeds(data, models):
    fit = models["hurdle"](data)
    assert fit.simulate(2, seed=3).equals(fit.simulate(2, seed=3))
    assert not fit.simulate(seed=3).equals(fit.simulate(seed=4))
    assert not fit.quantile_residuals(3).equals(fit.quantile_residuals(4))


def test_what_there_is_none_of(data, models, own, tmp_path):
    fit = custom("y ~ x", data, own, ("eta", "log_sd"), mean=lambda eta, log_sd: eta)
    np.testing.assert_allclose(fit.resid_response, data["y"] - fit.predict(), atol=1e-14)
    for ask in (lambda: fit.simulate(), lambda: fit.resid_pearson, lambda: fit.quantile_residuals()):
        with pytest.raises(OptionError, match="Custom"):
            ask()
    counts = models["zero-inflated"](data)
    with pytest.raises(UnknownNameError, match="'pearson'"):
        counts.residuals("pearsn")
    with pytest.raises(OptionError, match="one linear predictor"):
        counts.residuals("deviance")
    for wrong in (0, True, 1.5):
        with pytest.raises(OptionError, match="positive whole number"):
            counts.simulate(wrong)
    counts.save(tmp_path / "fit")
    with pytest.raises(errors.OptionError, match="without its data"):
        load(tmp_path / "fit").residuals()
