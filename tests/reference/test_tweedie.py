"""The Tweedie density against sums in 60 digits, and tweedie() against the same likelihood maximised by scipy."""

from __future__ import annotations

import importlib
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize

from torchglm import glm, likelihood_ratio, load, tweedie, update
from torchglm.errors import BoundaryWarning, OptionError, ResponseError
from torchglm.families import Tweedie

FORMULA = "trips ~ quality + income + costC"


@pytest.fixture(scope="module")
def trips(reference) -> pd.DataFrame:
    return reference.read("RecreationDemand")


@pytest.fixture(scope="module")
def fit(trips):
    return tweedie(FORMULA, trips)


def log_density(y, mu, phi, power) -> torch.Tensor:
    """The log density by the fixed number of 400 terms, each written out."""
    j = torch.arange(1.0, 401.0, dtype=torch.float64)
    shape, scale = (2 - power) / (power - 1), phi * (power - 1) * mu ** (power - 1)
    rate = mu ** (2 - power) / (phi * (2 - power))
    some = y > 0
    safe = torch.where(some, y, 1.0)
    counts = j * torch.log(rate)[:, None] - torch.lgamma(j + 1)
    sizes = (j * shape - 1) * torch.log(safe)[:, None] - torch.lgamma(j * shape) - j * shape * torch.log(scale)[:, None]
    return torch.where(some, torch.logsumexp(counts + sizes, 1) - safe / scale, 0.0) - rate


def test_density(reference):
    rows = json.loads((reference.root / "tweedie_density.json").read_text())
    assert len(rows) > 100
    for y, mu, phi, power, expected in rows:
        found = Tweedie(power=power).log_prob(*(torch.tensor([v], dtype=torch.float64) for v in (y, mu, phi)))
        assert float(found) == pytest.approx(expected, rel=1e-12, abs=1e-11), (y, mu, phi, power)


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9])
def test_density_integrates_to_one(power):
    mu, phi = 1.7, 0.8
    t = torch.linspace(-60.0, 5.0, 20_001, dtype=torch.float64)  # of log y: near zero the density may be infinite
    y = torch.exp(t)
    family = Tweedie(power=power)
    inside = torch.trapezoid(torch.exp(family.log_prob(y, torch.full_like(y, mu), phi)) * y, t)
    zero = torch.exp(family.log_prob(torch.zeros(1, dtype=torch.float64), torch.tensor([mu]).double(), phi))
    assert float(inside + zero) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("power", [1.05, 1.5, 1.95])
def test_density_of_very_many_amounts_is_the_saddlepoint(power):
    y, phi = torch.tensor([3.0]).double(), 1e-13  # about 1e13 amounts: the saddlepoint is off by one in as many
    found = Tweedie(power=power).log_prob(y, y, phi)
    assert float(found) == pytest.approx(-0.5 * math.log(2 * math.pi * phi * 3.0**power), abs=1e-11)


def test_a_weight_divides_phi():
    y, mu, w = torch.tensor([0.0, 2.5]).double(), torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, 0.5]).double()
    family = Tweedie(power=1.4)
    assert torch.equal(family.log_prob(y, mu, 2.0, w), family.log_prob(y, mu, 2.0 / w))


def test_likelihood_is_that_of_the_density(fit, trips):
    power, phi = fit.estimated["estimate"]
    y, mu = (torch.tensor(np.asarray(v, dtype=float)) for v in (trips["trips"], fit.fittedvalues))
    assert fit.llf == pytest.approx(float(log_density(y, mu, phi, power).sum()), rel=1e-11)
    assert fit.aic == pytest.approx(-2 * fit.llf + 2 * (4 + 2), rel=1e-14)
    assert fit.bic == pytest.approx(-2 * fit.llf + math.log(659) * 6, rel=1e-14)


def test_maximum_and_standard_errors(fit, trips):
    """Every parameter at once, by autograd of the written-out density and Newton's method."""
    y = torch.tensor(trips["trips"].to_numpy(dtype=float))
    X = torch.tensor(np.column_stack([np.ones(659), trips["quality"], trips["income"], trips["costC"]]).astype(float))

    def nll(b: torch.Tensor) -> torch.Tensor:
        return -log_density(y, torch.exp(X @ b[:4]), torch.exp(b[4]), 1 + torch.sigmoid(b[5])).sum()

    power, phi = fit.estimated["estimate"]
    b = torch.tensor([*fit.params, math.log(phi), math.log((power - 1) / (2 - power))], dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(nll, b)
    hessian = torch.autograd.functional.hessian(nll, b)
    step = torch.linalg.solve(hessian, gradient)
    errors = torch.linalg.inv(hessian).diagonal().sqrt()
    assert float((step / errors).abs().max()) < 1e-6
    slope = (power - 1) * (2 - power)
    expected = [float(errors[5]) * slope, float(errors[4]) * phi]
    np.testing.assert_allclose(fit.estimated["std.error"], expected, rtol=1e-5)


def test_a_known_power(trips):
    fit = tweedie(FORMULA, trips, power=1.5)
    plain = glm(FORMULA, trips, Tweedie("log", power=1.5))
    assert np.abs((fit.params - plain.params) / plain.bse).max() < 1e-7
    np.testing.assert_allclose(fit.bse, plain.bse, rtol=1e-7)
    assert math.isnan(plain.llf)
    assert math.isfinite(fit.llf)
    y, mu = (torch.tensor(np.asarray(v, dtype=float)) for v in (trips["trips"], fit.fittedvalues))
    best = minimize(lambda s: -float(log_density(y, mu, math.exp(s[0]), 1.5).sum()), [1.0], tol=1e-12)
    assert fit.estimated.loc["phi", "estimate"] == pytest.approx(math.exp(best.x[0]), rel=1e-6)
    assert fit.llf == pytest.approx(-best.fun, rel=1e-11)
    assert list(fit.estimated.index) == ["phi"]
    assert fit.aic == pytest.approx(-2 * fit.llf + 2 * 5, rel=1e-14)


@pytest.fixture(scope="module")
def rain() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    y = Tweedie(power=1.6).sample(torch.tensor(np.exp(0.5 + 0.4 * x)), 1.5, torch.Generator().manual_seed(2)).numpy()
    return pd.DataFrame({"x": x, "y": y, "w": rng.integers(1, 4, 400), "t": rng.uniform(0.5, 2.0, 400)})


def test_frequencies_are_rows_written_out(rain):
    short = tweedie("y ~ x", rain, freq_weights="w", exposure="t")
    long = tweedie("y ~ x", rain.loc[rain.index.repeat(rain["w"])], exposure="t")
    np.testing.assert_allclose(short.estimated, long.estimated, rtol=1e-6)
    assert short.llf == pytest.approx(long.llf, rel=1e-11)


def test_precision_weights_divide_phi(rain):
    fit = tweedie("y ~ x", rain, power=1.5, weights="w")
    phi = fit.estimated.loc["phi", "estimate"]
    y, mu, w = (torch.tensor(np.asarray(v, dtype=float)) for v in (rain["y"], fit.fittedvalues, rain["w"]))
    assert fit.llf == pytest.approx(float(log_density(y, mu, phi / w, 1.5).sum()), rel=1e-11)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units(rain, unit):
    """In other units phi is multiplied by unit^(2 - p), and densities divided by the unit."""
    one, other = tweedie("y ~ x", rain), tweedie("y ~ x", rain.assign(y=unit * rain["y"]))
    p, phi = one.estimated["estimate"]
    assert other.estimated.loc["power", "estimate"] == pytest.approx(p, rel=1e-9)
    assert other.estimated.loc["phi", "estimate"] == pytest.approx(phi * unit ** (2 - p), rel=1e-8)
    assert other.estimated.loc["power", "std.error"] == pytest.approx(one.estimated.loc["power", "std.error"], rel=1e-5)
    positive = int((rain["y"] > 0).sum())
    assert other.llf == pytest.approx(one.llf - positive * math.log(unit), rel=1e-10)


def test_poisson_counts_end_at_the_other_side():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    with pytest.warns(BoundaryWarning, match=r"1\.05.*poisson"):
        fit = tweedie("y ~ x", {"x": x, "y": rng.poisson(np.exp(0.5 + 0.3 * x))})
    assert fit.estimated.loc["phi", "estimate"] == pytest.approx(1.0, abs=0.1)
    assert fit.estimated.loc["power", "estimate"] == 1.05


def test_saved_and_updated(fit, trips, tmp_path):
    fit.save(tmp_path / "one.fit")
    loaded = load(tmp_path / "one.fit")
    assert (loaded.llf, loaded.aic) == (fit.llf, fit.aic)
    assert loaded.estimated.equals(fit.estimated)
    smaller = fit.update(". ~ . - costC")
    again = tweedie("trips ~ quality + income", trips)
    np.testing.assert_allclose(smaller.estimated, again.estimated, rtol=1e-6)
    assert update(fit, family="poisson").estimated.empty
    with pytest.raises(OptionError, match="different powers of the variance"):
        likelihood_ratio(smaller, fit)


def test_summary_names_what_was_estimated(fit):
    text = str(fit.summary())
    assert "power:" in text
    assert "phi:" in text
    assert "AIC:" in text


def test_responses_without_zeros_end_at_a_gamma():
    rng = np.random.default_rng(0)
    data = {"y": rng.gamma(2.0, 1.0, 300), "x": rng.normal(size=300)}
    with pytest.warns(BoundaryWarning, match=r"1\.99.*gamma") as caught:
        fit = tweedie("y ~ x", data)
    assert caught[0].filename == __file__
    assert fit.estimated.loc["power", "estimate"] == 1.99
    assert math.isnan(fit.estimated.loc["power", "std.error"])
    known = tweedie("y ~ x", data, 1.99)
    assert fit.estimated.loc["phi"].tolist() == pytest.approx(known.estimated.loc["phi"].tolist(), rel=1e-9)


def test_bad_input():
    data = {"y": [0.0, 0.0, 0.0], "x": [1.0, 2.0, 3.0]}
    with pytest.raises(ResponseError, match="is 0"):
        tweedie("y ~ x", data)
    with pytest.raises(ResponseError, match="non-negative"):
        tweedie("y ~ x", data | {"y": [1.0, -1.0, 2.0]})
    for power in (1.0, 2.0, 3.0):
        with pytest.raises(OptionError, match="between 1 and 2"):
            tweedie("y ~ x", data, power)
    for powers in ((1.5, 1.2), (1.5,), 1.5, ("1.2", "1.5"), (True, 1.5), (1.2, 2.0)):
        with pytest.raises(OptionError, match="powers= are two numbers between 1 and 2"):
            tweedie("y ~ x", data, powers=powers)
    for power in ("1.5", True):
        with pytest.raises(OptionError, match="power= is between 1 and 2"):
            tweedie("y ~ x", data, power)
    with pytest.raises(OptionError, match="positive number"):
        Tweedie(power=1.5, phi=-1.0)
    with pytest.raises(OptionError, match="power between 1 and 2"):
        Tweedie(power=2.5, phi=1.0)


@pytest.mark.parametrize("power", [None, 1.5])
@pytest.mark.parametrize("y", [[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]])
def test_an_exact_fit_has_no_highest_likelihood(y, power):
    with pytest.raises(ResponseError, match="The fit is exact"):
        tweedie("y ~ x", {"x": [1.0, 2.0, 3.0], "y": y}, power)


def test_two_fits_of_one_power_have_a_ratio(trips):
    small, large = (tweedie(f"trips ~ {terms}", trips, power=1.5) for terms in ("quality", "quality + costC"))
    plain = [glm(f"trips ~ {terms}", trips, Tweedie(power=1.5)) for terms in ("quality", "quality + costC")]
    ours, theirs = likelihood_ratio(small, large), likelihood_ratio(*plain)
    np.testing.assert_allclose(ours.frame.to_numpy(float), theirs.frame.to_numpy(float), rtol=1e-7)


def test_means_at_the_edge_of_their_domain():
    """Where x is 0 so is the mean: with an identity link the maximum lies at the edge of where means are positive."""
    x = np.repeat([0.001, 1.0, 2.0, 3.0], 25)
    y = Tweedie(power=1.5).sample(torch.tensor(x), 0.5, torch.Generator().manual_seed(1)).numpy()
    fit = tweedie("y ~ x - 1", {"x": x, "y": y}, link="identity")
    assert fit.converged
    assert fit.params["x"] == pytest.approx(1.0, abs=0.2)
    assert 1.05 < fit.estimated.loc["power", "estimate"] < 1.99


def test_a_sample_tells_where_to_look_among_many_rows(monkeypatch):
    rng = np.random.default_rng(5)
    x = rng.normal(size=6_000)
    mean = torch.tensor(np.exp(0.5 + 0.4 * x))
    data = {"x": x, "y": Tweedie(power=1.4).sample(mean, 1.5, torch.Generator().manual_seed(2)).numpy()}
    whole = tweedie("y ~ x", data)
    home = importlib.import_module("torchglm.tweedie")
    monkeypatch.setattr(home, "MANY_ROWS", 3_000)
    monkeypatch.setattr(home, "SAMPLE_ROWS", 2_000)
    sampled = tweedie("y ~ x", data)
    np.testing.assert_allclose(sampled.estimated, whole.estimated, rtol=1e-7)
    assert sampled.record.facts.passes < whole.record.facts.passes  # those over all rows
    monkeypatch.setattr(home, "ERRORS_AROUND", 1e-3)  # where the sample misleads, all powers are tried
    np.testing.assert_allclose(tweedie("y ~ x", data).estimated, whole.estimated, rtol=1e-7)
