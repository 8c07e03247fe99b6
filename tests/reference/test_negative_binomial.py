"""negative_binomial() against R's MASS::glm.nb."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import statsmodels.formula.api as smf
import torch
from formulaic import model_matrix

from torchglm import glm, likelihood_ratio, load, negative_binomial, poisson_test
from torchglm.errors import OptionError
from torchglm.families import NegativeBinomial

CASES = ["nb_estimated_quine", "nb_estimated_recreation", "nb_estimated_sqrt"]


@pytest.fixture(params=CASES)
def known(reference, request):
    return reference.cases[request.param]


@cache
def fit_of(formula: str, link: str, read, data: str, information: str = "expected"):
    return negative_binomial(formula, read(data), link, information=information)  # type: ignore[arg-type]


@pytest.fixture
def nb(known, reference):
    model = known["python"]
    return fit_of(model["formula"], model["link"], reference.read, known["data"])


def model_matrices(formula: str, data) -> tuple[torch.Tensor, torch.Tensor]:
    sides = model_matrix(formula, data)
    y, X = (torch.tensor(side.to_numpy(dtype=float)) for side in (sides.lhs, sides.rhs))
    return y[:, 0], X


def test_theta(nb, known, close):
    expected = known["expected"]["negbin"]
    theta, alpha = nb.estimated.loc["theta"], nb.estimated.loc["alpha"]
    close(theta, [expected["theta"], expected["SE_theta"]], 1e-8)
    close(alpha, [1 / expected["theta"], expected["SE_theta"] / expected["theta"] ** 2], 1e-8)
    assert 2 * nb.llf == pytest.approx(expected["twologlik"], rel=1e-11)


def test_coefficients(nb, known, close):
    expected = known["expected"]
    names, se = expected["coef_names_formulaic"], np.array(expected["se"])
    assert np.abs((nb.params[names] - expected["coef"]) / se).max() < 1e-8
    close(nb.bse[names], se, 1e-8)
    scale = np.outer(se, se)
    np.testing.assert_allclose(nb.cov_params().loc[names, names] / scale, expected["vcov"] / scale, rtol=0, atol=1e-8)
    close(nb.tvalues[names], expected["stat"], 1e-8)
    assert not nb.use_t


def test_totals(nb, known):
    expected = known["expected"]
    for ours, theirs in {
        "deviance": "deviance",
        "null_deviance": "null_deviance",
        "pearson_chi2": "pearson_chi2",
        "aic": "aic",
        "bic": "bic",
        "df_resid": "df_residual",
    }.items():
        assert getattr(nb, ours) == pytest.approx(expected[theirs], rel=1e-8), ours


def test_rows(nb, known, close):
    expected = known["expected"]
    close(nb.fittedvalues[:10], expected["fitted_first10"], 1e-8)
    for kind, totals in expected["residuals"].items():
        close(nb.residuals(kind)[:10], totals["first10"], 1e-7)


def test_joint_information(nb, known, reference, close):
    """The Hessian by autograd of the density as it is written in textbooks."""
    model, data = known["python"], reference.read(known["data"])
    joint = fit_of(model["formula"], model["link"], reference.read, known["data"], "joint")
    y, X = model_matrices(model["formula"], data)

    def nll(b: torch.Tensor) -> torch.Tensor:
        eta, r = X @ b[:-1], torch.exp(b[-1])
        mu = torch.exp(eta) if model["link"] == "log" else eta**2
        gammas = torch.lgamma(y + r) - torch.lgamma(r) - torch.lgamma(y + 1)
        return -(gammas + r * torch.log(r / (mu + r)) + y * torch.log(mu / (mu + r))).sum()

    at = torch.tensor([*joint.params, np.log(joint.estimated.loc["theta", "estimate"])], dtype=torch.float64)
    inverse = torch.linalg.inv(torch.autograd.functional.hessian(nll, at))
    close(joint.bse, inverse.diagonal().sqrt()[:-1].numpy(), 1e-9)
    assert (joint.params == nb.params).all()
    assert "theta" in joint.covariance_note
    if known["data"] == "quine":  # numDeriv, 1e-3 off on badly scaled columns
        close(
            joint.bse[known["expected"]["coef_names_formulaic"]],
            known["expected"]["negbin"]["se_observed_joint"][:-1],
            1e-8,
        )


def test_robust(nb, known, close):
    """A sandwich takes theta as given, as sandwich::vcovHC of a glm.nb fit."""
    expected = known["expected"]
    names = expected["coef_names_formulaic"]
    for kind in ("HC0", "HC1", "HC3"):
        close(nb.with_covariance(kind).bse[names], np.sqrt(np.diag(expected["robust"][kind]["vcov"])), 1e-7)


def test_profile_intervals(nb, known):
    expected = known["expected"]
    if "confint_profile" not in expected:
        pytest.skip("R gives none for this case")
    table = expected["confint_profile"]["exact"]
    ours = nb.conf_int(level=0.95, method="profile").loc[expected["coef_names_formulaic"]]
    for column, end in ((0, "lo"), (1, "hi")):
        assert np.abs((ours[column] - table[end]) / nb.bse[ours.index]).max() < 1e-6


def test_saved(nb, tmp_path):
    nb.save(tmp_path / "nb.fit")
    loaded = load(tmp_path / "nb.fit")
    assert loaded.estimated.equals(nb.estimated)
    assert (loaded.aic, loaded.llf) == (nb.aic, nb.llf)
    assert str(loaded.summary()) == str(nb.summary())
    assert "theta:" in str(nb.summary())
    assert "alpha:" in str(nb.summary())


def test_poisson_test(nb):
    plain = poisson_test(nb)
    assert plain.llf == nb.llf
    assert plain.statistic == pytest.approx(2 * (nb.llf - plain.llf_null), rel=1e-12)
    assert 0.0 <= plain.pvalue < 1e-100


def test_nested_fits_with_a_theta_each(reference):
    """anova(glm.nb(Days ~ Eth), glm.nb(Days ~ Eth + Age)) of MASS, converged to 1e-14."""
    small, large = (negative_binomial(f"Days ~ {right}", reference.read("quine")) for right in ("Eth", "Eth + Age"))
    row = likelihood_ratio(small, large).frame.iloc[1]  # type: ignore[arg-type]
    assert row["statistic"] == pytest.approx(10.832602188297, rel=1e-10)
    assert row["p.value"] == pytest.approx(0.01266636822637, rel=1e-9)
    assert row["df"] == 3.0
    assert small.estimated.loc["theta", "estimate"] == pytest.approx(1.1571654358819, rel=1e-10)
    fixed = glm("Days ~ Eth", reference.read("quine"), NegativeBinomial(theta=1.0))
    with pytest.raises(OptionError, match="different models"):
        likelihood_ratio(fixed, large)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["NB2", "NB1"])
def test_statsmodels(reference, kind):
    """Its alpha is 1 / theta, and its standard errors are those of the joint observed information."""
    formula, data = "Days ~ Eth + Age", reference.read("quine")
    theirs = smf.negativebinomial(formula, data, loglike_method=kind.lower()).fit(
        disp=0, method="bfgs", maxiter=5000, gtol=1e-8
    )
    ours = negative_binomial(formula, data, kind=kind, information="joint")
    assert ours.llf == pytest.approx(theirs.llf, rel=1e-11)
    assert ours.estimated.loc["alpha", "estimate"] == pytest.approx(theirs.params["alpha"], rel=1e-6)
    names = list(theirs.params.index[:-1])
    np.testing.assert_allclose(ours.params[names], theirs.params[names], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.bse[names], theirs.bse[names], rtol=1e-6)
