"""Penalised estimates against exact mathematics and against the adjusted score written out with dense matrices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import brentq, root
from scipy.special import expit

from torchglm import glm
from torchglm.families import Quasi, Tweedie, resolve_family
from torchglm.objective import penalised
from torchglm.penalties import penalised_likelihood_ratio, penalised_profile_interval

RNG = np.random.default_rng(5)
DATA = pd.DataFrame({"x": RNG.normal(size=40), "g": RNG.choice(list("abc"), 40), "w": RNG.uniform(0.5, 3.0, 40)})
DATA["eta"] = 0.5 + 0.4 * DATA["x"] - 0.3 * (DATA["g"] == "b")
DATA["yes"] = (RNG.random(40) < 1.0 / (1.0 + np.exp(-DATA["eta"]))).astype(float)
DATA["count"] = RNG.poisson(np.exp(DATA["eta"])).astype(float)
DATA["amount"] = RNG.gamma(4.0, np.exp(DATA["eta"]) / 4.0)
PAIRS = [
    ("yes", "binomial", "logit"),
    ("yes", "binomial", "probit"),
    ("yes", "binomial", "cloglog"),
    ("yes", "binomial", "loglog"),
    ("yes", "binomial", "cauchit"),
    ("yes", "quasibinomial", "probit"),
    ("count", "poisson", "log"),
    ("count", "poisson", "sqrt"),
    ("count", "quasipoisson", "log"),
    ("count", Tweedie(power=1.5), "log"),
    ("amount", "gaussian", "log"),
    ("amount", "gaussian", "identity"),
    ("amount", "gamma", "log"),
    ("amount", "gamma", "inverse"),
    ("amount", "inverse_gaussian", "log"),
    ("amount", Quasi(variance="mu^2"), "log"),
]


def derivative(function, eta: np.ndarray, order: int) -> np.ndarray:
    at = torch.tensor(eta, requires_grad=True)
    value = function(at) + 0.0 * at**3  # a constant has no graph
    for _ in range(order):
        (value,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    return value.detach().numpy()


def adjusted_score(theta, X, y, w, family, penalty, phi=None):
    """The adjusted score times phi, from the hat matrix written out."""
    eta = X @ theta
    mu, d, bend = (derivative(family.link.inverse, eta, k) for k in (0, 1, 2))
    v = family.variance(torch.tensor(mu)).numpy()
    W = w * d**2 / v
    root_w = np.sqrt(W)[:, None] * X
    h = np.diag(root_w @ np.linalg.solve(root_w.T @ root_w, root_w.T))
    if phi is None:
        phi = np.sum(w * (y - mu) ** 2 / v) / (len(y) - X.shape[1])
    pull = bend / (2.0 * d)
    if penalty == "jeffreys":  # half the derivative of log W
        slope = derivative(lambda e: family.variance(family.link.inverse(e)).log(), eta, 1)
        pull = bend / d - 0.5 * slope
    return X.T @ (w * (y - mu) * d / v + phi * h * pull)


def matrix(data: pd.DataFrame) -> np.ndarray:
    return np.column_stack([np.ones(len(data)), data["x"], data["g"] == "b", data["g"] == "c"]).astype(float)


@pytest.mark.parametrize("penalty", ["firth", "jeffreys"])
@pytest.mark.parametrize("response, family, link", PAIRS, ids=lambda p: p if isinstance(p, str) else p.name)
def test_the_adjusted_score_is_zero(response, family, link, penalty):
    """phi is Pearson's at the solution where the family has one."""
    fit = glm(f"{response} ~ x + g", DATA, family, link, weights="w", penalty=penalty, tolerance=1e-10)
    ours = resolve_family(family, link)
    X, y, w = matrix(DATA), DATA[response].to_numpy(), DATA["w"].to_numpy()
    phi = None if ours.has_dispersion else 1.0
    assert fit.converged
    found = root(adjusted_score, fit.params.to_numpy(), (X, y, w, ours, penalty, phi), tol=1e-13)
    assert np.abs((found.x - fit.params) / fit.bse).max() < 1e-7
    assert np.abs(adjusted_score(fit.params.to_numpy(), X, y, w, ours, penalty, phi) / (X.T @ y)).max() < 1e-8


@pytest.mark.parametrize("penalty", ["firth", "jeffreys"])
def test_saturated_logit_adds_half_to_every_cell(penalty):
    cells = np.array([[3, 0], [2, 7]])
    table = pd.DataFrame({"g": ["a", "b"], "yes": cells[:, 0], "no": cells[:, 1]})
    fit = glm("cbind(yes, no) ~ g", table, "binomial", penalty=penalty, tolerance=1e-12)
    odds = np.log(cells[:, 0] + 0.5) - np.log(cells[:, 1] + 0.5)
    np.testing.assert_allclose(fit.params, [odds[0], odds[1] - odds[0]], rtol=1e-12)
    rows = pd.DataFrame(
        [(g, y) for g, row in zip("ab", cells, strict=True) for y, k in zip((1, 0), row, strict=True) for _ in range(k)]
    )
    single = glm("y ~ g", rows.set_axis(["g", "y"], axis=1), "binomial", penalty=penalty, tolerance=1e-12)
    np.testing.assert_allclose(single.params, fit.params, rtol=1e-12)
    half = 0.5 * np.log(np.prod((cells.sum(1) * fit.fittedvalues * (1 - fit.fittedvalues)).to_numpy()))
    assert single.penalised_llf == pytest.approx(single.llf + half, rel=1e-12)


def test_saturated_poisson_adds_half_to_every_cell():
    counts = np.array([0.0, 3.0, 11.0])
    fit = glm("y ~ g - 1", {"g": list("abc"), "y": counts}, "poisson", penalty="firth")
    np.testing.assert_allclose(fit.params, np.log(counts + 0.5), rtol=1e-12)


@pytest.mark.parametrize("response, family, link", PAIRS[1:9], ids=lambda p: p if isinstance(p, str) else p.name)
def test_a_frequency_weight_stands_for_rows(response, family, link):
    data = DATA.assign(k=np.arange(len(DATA)) % 3)
    rows = data.loc[data.index.repeat(data["k"])]
    short = glm(f"{response} ~ x + g", data, family, link, freq_weights="k", penalty="firth", tolerance=1e-11)
    long = glm(f"{response} ~ x + g", rows, family, link, penalty="firth", tolerance=1e-11)
    assert ((short.params - long.params) / long.bse).abs().max() < 1e-9
    np.testing.assert_allclose(short.bse, long.bse, rtol=1e-9)
    assert short.scale == pytest.approx(long.scale, rel=1e-9)


def test_aliased_columns_change_nothing():
    twice = DATA.assign(x2=2.0 * DATA["x"] + 1.0)
    plain = glm("yes ~ x + g", DATA, "binomial", "probit", penalty="firth")
    aliased = glm("yes ~ x + x2 + g", twice, "binomial", "probit", penalty="firth")
    assert np.isnan(aliased.params["x2"])
    np.testing.assert_allclose(aliased.params.drop("x2"), plain.params, rtol=1e-9)
    assert aliased.deviance == pytest.approx(plain.deviance, rel=1e-10)


def test_identity_link_has_no_bias_to_take_off():
    plain, fit = (glm("amount ~ x + g", DATA, penalty=p) for p in (None, "firth"))
    np.testing.assert_allclose(fit.params, plain.params, rtol=1e-10)


@pytest.mark.parametrize("response, family, link", [PAIRS[1], PAIRS[7], PAIRS[10]], ids=lambda p: str(p))
@pytest.mark.parametrize("penalty", ["firth", "jeffreys"])
def test_newton_step_solves_the_linearised_score(response, family, link, penalty):
    """With phi known, the step is -J^-1 g of the gradient's own central differences."""
    fit = glm(f"{response} ~ x + g", DATA, family, link, penalty=penalty, dispersion=0.7)
    objective, theta = fit.estimate.penalised, fit.estimate.solution.theta
    at = theta + 0.02 * torch.tensor([1.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    point = objective.quadratic(at)
    ahead, behind = (objective.quadratic(at + s * 1e-4 * point.step).gradient for s in (1.0, -1.0))
    torch.testing.assert_close((ahead - behind) / 2e-4, -point.gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("penalty", ["firth", "jeffreys"])
def test_without_newton_the_same_is_found(monkeypatch, penalty):
    with_newton = glm("yes ~ x + g", DATA, "binomial", "cloglog", penalty=penalty, tolerance=1e-10)
    monkeypatch.setattr(penalised, "MOST_NEWTON", 0)
    without = glm("yes ~ x + g", DATA, "binomial", "cloglog", penalty=penalty, tolerance=1e-10)
    assert without.n_steps > with_newton.n_steps
    assert ((without.params - with_newton.params) / with_newton.bse).abs().max() < 1e-8


def test_profile_of_a_proportion():
    """s successes in n: the penalised log-likelihood is (s + 1/2) log p + (n - s + 1/2) log(1 - p)."""
    s, n = 0, 6
    fit = glm("cbind(s, f) ~ 1", {"s": [s], "f": [n - s]}, "binomial", penalty="firth")

    def value(b: float) -> float:
        return (s + 0.5) * b - (n + 1.0) * np.logaddexp(0.0, b)

    best = np.log((s + 0.5) / (n - s + 0.5))
    ends = [
        brentq(lambda b: value(best) - value(b) - 1.920729410347062, *side, xtol=1e-13)
        for side in ((-30, best), (best, 9))
    ]
    lower, upper = penalised_profile_interval(fit.estimate)
    np.testing.assert_allclose([float(lower[0]), float(upper[0])], ends, rtol=1e-9)
    statistic, _ = penalised_likelihood_ratio(fit.estimate, 0, 0.25)
    assert statistic == pytest.approx(2.0 * (value(best) - value(0.25)), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_profile_of_many_rows_solves_the_likelihood_ratio(seed):
    """By Newton's method on log L + log |I| / 2 with autograd, one coefficient held."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(1200), rng.normal(size=(1200, 2))])
    y = (rng.random(1200) < expit(X[:, 1])).astype(float)
    fit = glm("y ~ x + z", {"x": X[:, 1], "z": X[:, 2], "y": y}, "binomial", penalty="firth")
    rows, response = torch.from_numpy(X), torch.from_numpy(y)

    def value(b: torch.Tensor) -> torch.Tensor:
        eta = rows @ b
        p = torch.sigmoid(eta)
        information = rows.T @ (rows * (p * (1.0 - p))[:, None])
        return response @ eta - torch.nn.functional.softplus(eta).sum() + 0.5 * torch.logdet(information)

    def highest(held: dict[int, float]) -> float:
        b = torch.tensor(fit.params.to_numpy())
        free = torch.tensor([k not in held for k in range(3)])
        for k, at in held.items():
            b[k] = at
        for _ in range(8):
            gradient = torch.autograd.functional.jacobian(value, b)[free]
            hessian = torch.autograd.functional.hessian(value, b)[free][:, free]
            b[free] -= torch.linalg.solve(hessian, gradient)
        return float(value(b))

    ends = fit.conf_int(method="profile").to_numpy()
    ratios = [[2.0 * (highest({}) - highest({k: ends[k, side]})) for side in (0, 1)] for k in range(3)]
    np.testing.assert_allclose(ratios, 3.841458820694124, rtol=1e-7)


def test_profile_with_phi_estimated_holds_it():
    """A gaussian with identity link: the profile is the t interval."""
    fit = glm("amount ~ x + g", DATA, penalty="jeffreys")
    lower, upper = penalised_profile_interval(fit.estimate, ["x", "Intercept"])
    ends = fit.conf_int().loc[["x", "Intercept"]]
    np.testing.assert_allclose(lower, ends[0], rtol=1e-8)
    np.testing.assert_allclose(upper, ends[1], rtol=1e-8)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
@pytest.mark.parametrize("seed", range(4))
def test_separated_data_have_finite_estimates(link, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(25, 2))
    data = {"a": X[:, 0], "b": X[:, 1], "y": (X @ [3.0, -1.0] > 0).astype(float)}
    for penalty in ("firth", "jeffreys"):
        fit = glm("y ~ a + b", data, "binomial", link, penalty=penalty)
        assert fit.converged
        assert np.abs(fit.params).max() < 50
        assert fit.infinite == {}
