"""Where R says converged and means infinity, or gives up: separation, boundaries, difficult starts."""

from __future__ import annotations

import numpy as np
import pytest

from torchglm import glm
from torchglm.errors import ConvergenceWarning, SeparationWarning


def separated(reference, name: str):
    with pytest.warns(SeparationWarning) as caught:
        fit = reference.fit_of(reference.cases[name])
    return fit, str(caught[0].message)


def test_complete_separation_is_reported(reference):
    fit, message = separated(reference, "sep_complete_logit")
    assert set(fit.infinite) == {"Intercept", "x", "z"}
    assert "x -> +inf" in message
    assert fit.deviance == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["sep_quasi_logit", "poisson_zero_level"])
def test_quasi_complete_separation_names_the_infinite_term(reference, name):
    expected = reference.cases[name]["expected"]
    theirs = dict(zip(expected["r_tight"]["coef_names"], expected["coef_names_formulaic"], strict=True))
    fit, message = separated(reference, name)
    signs = {theirs[term]: sign[0] for term, sign in expected["infinite_terms"].items()}
    assert fit.infinite == signs
    assert all(f"{term} -> {sign}inf" in message for term, sign in signs.items())


@pytest.mark.parametrize("name", ["sep_quasi_logit", "poisson_zero_level"])
def test_what_is_finite_tends_to_its_limit(reference, name):
    expected = reference.cases[name]["expected"]
    theirs = dict(zip(expected["r_tight"]["coef_names"], expected["coef_names_formulaic"], strict=True))
    fit, _ = separated(reference, name)
    limit = expected["limit_coef"]
    finite = [theirs[term] for term in limit["names"]]
    assert np.abs((fit.params[finite] - limit["coef"]) / limit["se"]).max() < 1e-7
    np.testing.assert_allclose(fit.bse[finite], limit["se"], rtol=1e-7)
    assert fit.deviance == pytest.approx(expected["limit_deviance"], rel=1e-8)


def test_a_start_that_r_does_not_find(reference):
    """R stops; the maximum is that of the case with starting values."""
    fit = reference.fit_of(reference.cases["logbinomial_failure"])
    expected = reference.cases["logbinomial_birthwt_start"]["expected"]
    assert fit.converged
    assert np.abs((fit.params[expected["coef_names_formulaic"]] - expected["coef"]) / expected["se"]).max() < 1e-7


def test_a_log_link_with_negative_responses(reference):
    fit = reference.fit_of(reference.cases["gaussian_log_negative_y"])
    expected = reference.cases["gaussian_log_negative_y_start"]["expected"]
    assert fit.converged
    assert np.abs((fit.params[expected["coef_names_formulaic"]] - expected["coef"]) / expected["se"]).max() < 1e-7


def test_a_maximum_on_the_boundary_is_not_called_converged(reference):
    case = reference.cases["logbinomial_boundary"]
    with pytest.warns(ConvergenceWarning):
        fit = reference.fit_of(case)
    boundary = case["expected"]["boundary_mle"]
    assert not fit.converged
    assert fit.deviance == pytest.approx(boundary["deviance"], rel=1e-5)
    assert fit.params.to_numpy() == pytest.approx(boundary["coef"], rel=1e-3)


@pytest.mark.parametrize("name", ["logbinomial_birthwt_start", "poisson_identity_start", "gamma_inverse_hard"])
def test_a_start_of_the_users_own_leads_to_the_same_maximum(reference, name):
    case = reference.cases[name]
    model, expected = case["python"], case["expected"]
    data, family = reference.read(case["data"]), reference.family_of(model)
    fit = glm(model["formula"], data, family, weights=model["weights"], start=model["start"])
    assert np.abs((fit.params - expected["coef"]) / expected["se"]).max() < 1e-7
