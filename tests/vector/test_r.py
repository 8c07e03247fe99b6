"""Residuals, tests of terms and profile intervals of models of several linear predictors against R's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchglm import anova, compare, drop1, hurdle, multinomial, ordinal, zero_inflated
from torchglm.families import Beta, NegativeBinomialSize, PoissonCount


def same_table(ours, theirs, names: dict[str, str]) -> None:
    for row, term in enumerate(theirs["term"]):
        found = ours.loc[names.get(term, term)]
        assert found["df"] == theirs["df"][row]
        assert found["statistic"] == pytest.approx(theirs["statistic"][row], rel=1e-6)
        assert found["p.value"] == pytest.approx(theirs["p"][row], rel=1e-5)


def test_anova_of_polr(housing, r):
    fit = ordinal("Sat ~ Infl * Cont + Type", housing, freq_weights="Freq")
    same_table(anova(fit, type="II").frame, r["polr"]["anova2"], {})
    # car's type III drops the columns of a term as coded, which is what type III is
    same_table(anova(fit, type="III").frame, r["polr"]["anova3"], {})
    with pytest.raises(KeyError):
        anova(fit, type="III", test="Wald").frame.loc["Intercept"]  # the cuts are no effect


def test_drop1_of_polr(housing, r):
    fit = ordinal("Sat ~ Infl * Cont + Type", housing, freq_weights="Freq")
    expected = r["polr"]["drop1"]
    found = drop1(fit, "Chisq").frame.loc[expected["term"]]
    np.testing.assert_allclose(found["aic"], expected["aic"], rtol=1e-9)
    np.testing.assert_allclose(found["statistic"].iloc[1:], expected["statistic"][1:], rtol=1e-6)
    np.testing.assert_allclose(found["p.value"].iloc[1:], expected["p"][1:], rtol=1e-5)
    assert list(drop1(fit, scope="Infl").frame.index) == ["<none>", "Infl"]


def test_profile_intervals_of_polr(housing, r):
    fit = ordinal("Sat ~ Infl + Cont", housing, "probit", freq_weights="Freq")
    ours = fit.conf_int(method="profile").iloc[:3]
    np.testing.assert_allclose(ours, r["polr"]["profile"], atol=2e-6)  # R interpolates


def test_multinom(housing, r):
    fit = multinomial("Sat ~ Infl + Cont + Type", housing, freq_weights="Freq")
    np.testing.assert_allclose(fit.residuals().iloc[:12], r["multinom"]["residuals"], atol=1e-6)
    same_table(anova(fit, type="II").frame, r["multinom"]["anova2"], {})


PSCL = {
    "zip": (zero_inflated, "poisson"),
    "zinb": (zero_inflated, "negative_binomial"),
    "hurdle": (hurdle, "poisson"),
    "hurdle_nb": (hurdle, "negative_binomial"),
}


@pytest.mark.parametrize("which", PSCL)
def test_pscl(articles, r, which):
    make, count = PSCL[which]
    expected = r[which]
    fit = make("art ~ fem + kid5 + ment | fem + ment", articles, count)
    np.testing.assert_allclose(fit.residuals()[:12], expected["pearson"], atol=2e-6)
    np.testing.assert_allclose(fit.resid_response[:12], expected["response"], atol=2e-6)
    if which != "zinb":  # whose weighted fit in R stops 0.1 below the maximum
        weighted = make("art ~ fem + ment | ment", articles, count, weights="w")
        np.testing.assert_allclose(weighted.resid_pearson[:12], expected["weighted"], atol=2e-6)
    frame = drop1(fit, "Chisq", ["count_fem", "zero_fem", "zero_ment"]).frame
    for term in frame.index[1:]:
        assert frame.loc[term, "df"] == expected[term]["df"]
        assert frame.loc[term, "statistic"] == pytest.approx(expected[term]["statistic"], abs=5e-6)
    assert frame.loc["<none>", "aic"] == pytest.approx(expected["aic"], abs=1e-6)
    smaller = fit.update(". ~ . - fem | .")
    assert compare(smaller, fit).frame["statistic"].iloc[1] == pytest.approx(
        expected["count_fem"]["statistic"], abs=1e-6
    )


def test_distribution_functions(r):
    y = torch.tensor(r["cdf"]["y"], dtype=torch.float64)
    eta = torch.full((4, 1), np.log(3.7), dtype=torch.float64)
    np.testing.assert_allclose(PoissonCount().cdf(y, eta), r["cdf"]["pois"], rtol=1e-12)
    size = torch.cat([eta, torch.full_like(eta, np.log(0.6))], dim=1)
    np.testing.assert_allclose(NegativeBinomialSize().cdf(y, size), r["cdf"]["nbinom"], rtol=1e-12)
    mu, phi = 0.37 / 2.57, 2.57
    shape = torch.tensor([[np.log(mu / (1 - mu)), np.log(phi)]], dtype=torch.float64).expand(4, -1)
    at = torch.tensor([1e-8, 0.2, 0.9, 0.999], dtype=torch.float64)
    np.testing.assert_allclose(Beta().cdf(at, shape), r["cdf"]["beta"], rtol=1e-12)
