"""penalty=: what it refuses, what the separation warning proposes, and that a saved fit remembers it."""

from __future__ import annotations

import math
import re
import warnings

import pytest

from torchglm import glm, load
from torchglm.errors import ConvergenceWarning, OptionError, SeparationWarning, UnknownNameError
from torchglm.penalties import Firth, Jeffreys, penalised_likelihood_ratio, penalised_profile_interval

DATA = {
    "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    "z": [0.2, 1.1, -0.4, 0.3, 1.5, -0.6, 0.8, 0.1],
    "y": [0, 0, 0, 0, 1, 1, 1, 1],
    "overlap": [0, 1, 0, 0, 1, 0, 1, 1],
    "count": [0, 0, 0, 0, 2, 1, 4, 3],
    "amount": [1.0, 2.0, 1.5, 3.0, 2.5, 4.0, 3.5, 6.0],
    "w": [1.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 1.0],
}


@pytest.mark.parametrize("family, response", [("binomial", "y"), ("poisson", "count"), ("quasibinomial", "y")])
def test_the_warning_of_separation_proposes_what_runs(family, response):
    data = {**DATA, "g": list("aaaabbbb")}
    with pytest.warns(SeparationWarning) as caught:
        glm(f"{response} ~ g", data, family)
    call = re.search(r"A penalised fit is finite: (glm\(.*?\))\. Or", str(caught[0].message))[1]
    fit = eval(call, {"glm": glm, "data": data})
    assert fit.penalty_note.startswith("Firth")
    assert fit.converged
    assert fit.params.abs().max() < 10


def test_the_proposal_names_another_link():
    with pytest.warns(
        SeparationWarning, match=re.escape("glm('y ~ x', data, 'binomial', 'probit', penalty=\"firth\")")
    ):
        glm("y ~ x", DATA, "binomial", "probit")


def test_names_classes_and_instances_are_one():
    fits = [glm("y ~ x", DATA, "binomial", penalty=p) for p in ("firth", Firth, Firth(), "jeffreys", Jeffreys())]
    assert all((fit.params == fits[0].params).all() for fit in fits[:3])
    assert ((fits[3].params - fits[0].params) / fits[0].bse).abs().max() < 1e-8
    assert "Firth" in str(fits[0].summary())
    assert "Penalised log-lik." in str(fits[0].summary())


def test_without_a_penalty_nothing_is_said():
    fit = glm("overlap ~ x", DATA, "binomial")
    assert fit.penalty_note is None
    assert math.isnan(fit.penalised_llf)
    assert "enal" not in str(fit.summary())


def test_wrong_name():
    with pytest.raises(UnknownNameError, match=r"penalty 'frith'.*Did you mean 'firth'"):
        glm("y ~ x", DATA, "binomial", penalty="frith")


@pytest.mark.parametrize(
    "family, options, match",
    [
        ("binomial", {"solver": "lbfgs"}, "solved by IRLS"),
        ("binomial", {"prob_weights": "x"}, "prob_weights="),
        ("poisson", {"dispersion": "pearson"}, "quasi family"),
        ("gamma", {"dispersion": "ml"}, 'dispersion="pearson"'),
        ("gamma", {"dispersion": "deviance"}, 'dispersion="pearson"'),
    ],
)
def test_refusals(family, options, match):
    with pytest.raises(OptionError, match=match):
        glm("amount ~ z" if family == "gamma" else "overlap ~ z", DATA, family, penalty="firth", **options)


def test_no_degrees_of_freedom_for_phi():
    with pytest.raises(OptionError, match="no degrees of freedom"):
        glm("amount ~ C(x)", DATA, "gamma", "log", penalty="firth")
    assert glm("amount ~ C(x)", DATA, "gamma", "log", penalty="firth", dispersion=0.1).converged


def test_rows_of_zero_weight_do_not_count():
    kept = {name: [v for v, w in zip(values, DATA["w"], strict=True) if w] for name, values in DATA.items()}
    with_zero, without = (glm("y ~ x + z", d, "binomial", weights="w", penalty="firth") for d in (DATA, kept))
    assert ((with_zero.params - without.params) / without.bse).abs().max() < 1e-9
    assert with_zero.rows_zero_weight == 1


def test_a_start_of_ones_own():
    fit = glm("y ~ x", DATA, "binomial", "probit", penalty="firth")
    again = glm("y ~ x", DATA, "binomial", "probit", penalty="firth", start=fit.params)
    assert again.n_steps <= 1
    assert ((again.params - fit.params) / fit.bse).abs().max() < 1e-7


def test_where_no_penalty_helps_the_fit_says_so():
    """Poisson with identity link and a mean that wants to be zero: the link has no curvature, so no adjustment."""
    with pytest.warns(ConvergenceWarning):
        assert not glm(
            "count ~ x", DATA, "poisson", "identity", penalty="firth", start=[1.0, 0.01], max_steps=20
        ).converged


def test_profiles_refuse_what_is_no_likelihood():
    plain, probit = glm("overlap ~ x", DATA, "binomial"), glm("y ~ x", DATA, "binomial", "probit", penalty="firth")
    with pytest.raises(OptionError, match="no penalty"):
        penalised_profile_interval(plain.estimate)
    with pytest.raises(OptionError, match='penalty="jeffreys"'):
        penalised_profile_interval(probit.estimate)
    with pytest.raises(OptionError, match='penalty="jeffreys"'):
        penalised_likelihood_ratio(probit.estimate, "x")


def test_profiles_refuse_names_and_levels():
    fit = glm("y ~ x", DATA, "binomial", penalty="firth")
    with pytest.raises(UnknownNameError, match="no coefficient 'xx'"):
        penalised_profile_interval(fit.estimate, ["xx"])
    with pytest.raises(OptionError, match="level="):
        penalised_profile_interval(fit.estimate, level=95)


def test_an_aliased_coefficient_has_no_profile():
    fit = glm("y ~ x + I(2 * x)", DATA, "binomial", penalty="firth")
    lower, upper = penalised_profile_interval(fit.estimate)
    assert lower.isnan().tolist() == upper.isnan().tolist() == [False, False, True]


def test_a_saved_fit_remembers(tmp_path):
    fit = glm("y ~ x", DATA, "binomial", penalty="firth")
    fit.save(tmp_path / "fit.glm")
    again = load(tmp_path / "fit.glm")
    assert again.penalty_note == fit.penalty_note
    assert again.penalised_llf == fit.penalised_llf
    assert str(again.summary()) == str(fit.summary())


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = glm("y ~ x + z", DATA, "binomial", penalty="firth")
    assert fit.infinite == {}


def test_intervals_of_a_penalised_fit():
    fit = glm("y ~ x", DATA, "binomial", penalty="firth")
    lower, upper = penalised_profile_interval(fit.estimate, ["x"], 0.9)
    assert fit.conf_int(level=0.9, method="profile", parameters="x").iloc[0].tolist() == [float(lower), float(upper)]
    with pytest.raises(OptionError, match="under a penalty"):
        fit.conf_int(method="score")
    with pytest.raises(OptionError, match="under a penalty"):
        fit.bootstrap(10)
