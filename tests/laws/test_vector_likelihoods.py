"""Likelihoods of several predictors: closed row terms, what they sum to, and where they start."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from torchglm.errors import OptionError, UnknownNameError
from torchglm.families import (
    Beta,
    Gamma,
    Gaussian,
    Hurdle,
    InverseGaussian,
    Likelihood,
    MeanDispersion,
    Multinomial,
    NegativeBinomialSize,
    Ordinal,
    Poisson,
    PoissonCount,
    Truncated,
    ZeroInflated,
)

NB1 = NegativeBinomialSize(kind="NB1")
LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit")
COUNTS = torch.arange(0.0, 400.0, dtype=torch.float64)


class Case(NamedTuple):
    """A likelihood, all of its responses that have a probability at these predictors, or some of a continuous one."""

    likelihood: Likelihood
    y: Tensor
    z: list[list[float]]
    is_discrete: bool = True

    @property
    def name(self) -> str:
        return repr(self.likelihood)


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def levels(k: int) -> Tensor:
    return torch.arange(k, dtype=torch.float64)


def ordinal(link: str) -> list[Case]:
    cuts = [[0.3, -1.0, 0.2, 1.4], [-1.5, -0.9, -0.8, 2.0]]
    return [
        Case(Ordinal(4, link), levels(4), cuts),
        Case(Ordinal(4, link, scale=True), levels(4), [[*cuts[0], 0.4], [*cuts[1], -0.7]]),
        Case(Ordinal(2, link), levels(2), [[0.5, -0.2]]),
    ]


def counted(likelihood, y: Tensor, one: list[list[float]], two: list[list[float]]) -> list[Case]:
    return [
        Case(likelihood("poisson"), y, one),
        Case(likelihood(PoissonCount("sqrt")), y, [[abs(row[0]) + 0.5, *row[1:]] for row in one]),
        Case(likelihood("negative_binomial"), y, two),
        Case(likelihood(NB1), y, two),
    ]


DISCRETE = [
    Case(Multinomial(4), levels(4), [[0.3, -1.0, 2.0], [0.0, 0.0, 0.0], [5.0, -3.0, 5.0]]),
    Case(Multinomial(2), levels(2), [[0.7], [-3.0]]),
    *itertools.chain.from_iterable(ordinal(link) for link in LINKS),
    *counted(lambda c: c if isinstance(c, Likelihood) else PoissonCount() if c == "poisson" else NegativeBinomialSize(),
             COUNTS, [[-1.0], [0.0], [1.3]], [[-1.0, 0.3], [0.7, 1.0], [1.3, 4.0]]),
    Case(NegativeBinomialSize("sqrt"), COUNTS, [[0.8, 0.3], [1.5, 2.0]]),
    *counted(Truncated, COUNTS[1:], [[-1.0], [0.0], [1.3]], [[-1.0, 0.3], [0.7, 1.0], [1.3, 4.0]]),
    *counted(ZeroInflated, COUNTS, [[-1.0, 0.4], [1.3, -2.0]], [[-1.0, 0.4, 0.3], [1.3, -2.0, 1.5]]),
    Case(ZeroInflated(zero_link="cloglog"), COUNTS, [[-1.0, 0.4], [1.3, -2.0]]),
    *counted(Hurdle, COUNTS, [[-1.0, 0.4], [1.3, -2.0]], [[-1.0, 0.4, 0.3], [1.3, -2.0, 1.5]]),
    Case(Hurdle(zero_link="probit"), COUNTS, [[-1.0, 0.4], [1.3, -2.0]]),
]  # fmt: skip
PARTS = tensor([0.03, 0.3, 0.55, 0.96])
SIZES = tensor([0.2, 0.9, 2.0, 7.0])
CONTINUOUS = [
    *(Case(Beta(link), PARTS, [[0.4, 2.0], [-0.7, 3.0], [0.1, 1.6]], False) for link in LINKS),
    *(Case(MeanDispersion(f), SIZES, [[0.4, 0.3], [0.9, -1.0]], False) for f in (Gamma("log"), Gamma(), Gaussian())),
    Case(MeanDispersion(InverseGaussian("log")), SIZES, [[0.4, 0.3], [0.9, -1.0]], False),
]
CASES = DISCRETE + CONTINUOUS


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request) -> Case:
    return request.param


@pytest.fixture(params=DISCRETE, ids=lambda case: case.name)
def discrete(request) -> Case:
    return request.param


@pytest.fixture(params=CONTINUOUS, ids=lambda case: case.name)
def continuous(request) -> Case:
    return request.param


def grid(case: Case, rows: int = 12) -> tuple[Tensor, Tensor]:
    """Some responses at each of the case's predictors."""
    y = case.y[:rows]
    return y.repeat(len(case.z)), tensor(case.z).repeat_interleave(len(y), 0)


def test_closed_row_terms_are_those_of_autograd(case):
    y, z = grid(case)
    closed, default = (
        f(case.likelihood, y, z, information="observed") for f in (type(case.likelihood).expand, Likelihood.expand)
    )
    slope = case.likelihood.slope(y, z)
    torch.testing.assert_close(closed.nll, case.likelihood.nll(y, z), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(slope[0], closed.nll, rtol=1e-13, atol=1e-14)
    for gradient in (closed.gradient, slope[1]):
        torch.testing.assert_close(gradient, default.gradient, rtol=1e-10, atol=1e-12)
    # torch's trigamma, which autograd uses for log gammas, is right to 5e-10.
    torch.testing.assert_close(closed.curvature, default.curvature, rtol=1e-8, atol=1e-8)


def test_shapes_names_and_untouched_input(case):
    y, z = grid(case)
    before, likelihood = (y.clone(), z.clone()), case.likelihood
    q, n = len(likelihood.predictors), len(y)
    for information in ("expected", "observed"):
        terms = likelihood.expand(y, z, information=information)
        assert [t.shape for t in terms] == [(n,), (n, q), (n, q, q)]
        assert torch.equal(terms.curvature, terms.curvature.mT)
        assert torch.equal(terms.nll, likelihood.slope(y, z)[0])
    assert torch.equal(y, before[0])
    assert torch.equal(z, before[1])
    assert not likelihood.has_dispersion
    assert bool(likelihood.check_response(y).all())
    assert len(set(likelihood.predictors)) == q == z.shape[1]
    assert {len(values) for values in likelihood.predictions(z).values()} == {n}
    assert pickle.loads(pickle.dumps(likelihood)) == likelihood
    assert hash(likelihood) == hash(pickle.loads(pickle.dumps(likelihood)))


def far(case: Case) -> tuple[Tensor, Tensor]:
    """Every combination of predictors at -700, 0 and 700."""
    q = len(case.likelihood.predictors)
    corners = torch.cartesian_prod(*[tensor([-700.0, 0.0, 700.0])] * q).reshape(-1, q)
    y = case.y[:4]
    return y.repeat(len(corners)), corners.repeat_interleave(len(y), 0)


def test_far_away_a_row_is_a_number_or_impossible(case):
    y, z = far(case)
    terms = case.likelihood.expand(y, z, information="observed")
    assert not bool(terms.nll.isnan().any())
    assert not bool((terms.nll == -math.inf).any())
    possible = terms.nll < 1e307  # exp(710) is the largest float, or infinity
    ours, alone = (nll.clamp(max=1e307) for nll in (terms.nll, case.likelihood.nll(y, z)))
    torch.testing.assert_close(ours, alone, rtol=1e-12, atol=1e-12)
    if case.is_discrete:
        assert float(terms.nll.min()) >= -1e-12
        outside = z[:, 0] <= 0.0 if "Sqrt" in case.name else torch.zeros_like(possible)
        assert bool((possible | outside).all()) or isinstance(case.likelihood, Ordinal)
        assert bool(terms.gradient[possible].isfinite().all())
        assert not bool(terms.curvature[possible].isnan().any())


def chances(case: Case, at: list[float]) -> tuple[Tensor, Tensor]:
    z = tensor([at]).expand(len(case.y), -1)
    return z, torch.exp(-case.likelihood.nll(case.y, z))


def test_probabilities_sum_to_one(discrete):
    for at in discrete.z:
        assert float(chances(discrete, at)[1].sum()) == pytest.approx(1.0, rel=1e-12)


def test_the_score_has_mean_zero_and_the_curvature_as_variance(discrete):
    for at in discrete.z:
        z, p = chances(discrete, at)
        terms = discrete.likelihood.expand(discrete.y, z, information="observed")
        torch.testing.assert_close(p @ terms.gradient, torch.zeros_like(z[0]), rtol=0.0, atol=1e-12)
        variance = torch.einsum("i,ik,il->kl", p, terms.gradient, terms.gradient)
        torch.testing.assert_close(torch.einsum("i,ikl->kl", p, terms.curvature), variance, rtol=1e-10, atol=1e-12)
        expected = discrete.likelihood.expand(discrete.y, z, information="expected")
        torch.testing.assert_close(torch.einsum("i,ikl->kl", p, expected.curvature), variance, rtol=1e-10, atol=1e-12)
        if discrete.likelihood.is_canonical:
            torch.testing.assert_close(expected.curvature, terms.curvature, rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(terms.curvature, variance.expand_as(terms.curvature), rtol=1e-9, atol=1e-12)


def test_convex_is_convex(case):
    y, z = grid(case)
    smallest = torch.linalg.eigvalsh(case.likelihood.expand(y, z).curvature)[:, 0]
    if case.likelihood.is_convex:
        assert float(smallest.min()) > -1e-12
    elif "NB" not in case.name and not (isinstance(case.likelihood, Hurdle | Truncated | Ordinal)):
        assert float(smallest.min()) < 0.0


def test_what_is_predicted_follows_from_the_probabilities(discrete):
    likelihood = discrete.likelihood
    for at in discrete.z:
        _, p = chances(discrete, at)
        found = likelihood.predictions(tensor([at]))
        if isinstance(likelihood, Multinomial | Ordinal):
            torch.testing.assert_close(found["probabilities"][0], p, rtol=1e-12, atol=1e-15)
            torch.testing.assert_close(likelihood.mean(tensor([at])), found["probabilities"])
            assert int(found["class"][0]) == int(p.argmax())
        else:
            assert float(found["mean"][0]) == pytest.approx(float(p @ discrete.y), rel=1e-10)
            assert float(likelihood.mean(tensor([at]))[0]) == pytest.approx(float(p @ discrete.y), rel=1e-10)
        if "zero" in found:
            assert float(found["zero"][0]) == pytest.approx(float(p[0]), rel=1e-12)
        if "cumulative" in found:
            torch.testing.assert_close(found["cumulative"][0], p.cumsum(0)[:-1], rtol=1e-12, atol=1e-14)


def test_parts_of_a_mixture():
    z = tensor([[0.7, -0.4, 0.5]])
    inflated, hurdle = (m("negative_binomial").predictions(z) for m in (ZeroInflated, Hurdle))
    count = NegativeBinomialSize().predictions(z[:, [0, 2]])
    for name, value in count.items():
        torch.testing.assert_close(inflated["count" if name == "mean" else name], value)
        torch.testing.assert_close(hurdle["count" if name == "mean" else name], value)
    torch.testing.assert_close(inflated["structural_zero"], torch.sigmoid(z[:, 1]))
    torch.testing.assert_close(hurdle["positive"], torch.sigmoid(z[:, 1]))
    torch.testing.assert_close(hurdle["positive_mean"] * hurdle["positive"], hurdle["mean"])


def whole_line(case: Case, at: list[float], of) -> Tensor:
    """The integral of `of`(terms) times the density, by the trapezoidal rule in the logit or log of y."""
    t = torch.linspace(-40.0, 40.0, 8001, dtype=torch.float64)
    if isinstance(case.likelihood, Beta):
        y, jacobian = torch.sigmoid(t), torch.sigmoid(t) * torch.sigmoid(-t)
    elif "Gaussian(" in case.name and "Inverse" not in case.name:
        y, jacobian = t, torch.ones_like(t)
    else:
        y, jacobian = torch.exp(t), torch.exp(t)
    keep = (y > 0.0) & (y < 1.0) if isinstance(case.likelihood, Beta) else torch.ones_like(y, dtype=torch.bool)
    y, jacobian = y[keep], jacobian[keep]
    z = tensor([at]).expand(len(y), -1)
    terms = case.likelihood.expand(y, z, information="observed")
    density = torch.exp(-terms.nll) * jacobian * 0.01
    values = of(terms, y, z)
    return torch.einsum(
        "i,i...->...", density, torch.where(density.reshape(-1, *[1] * (values.dim() - 1)) > 0, values, 0.0)
    )


def test_densities_integrate_to_one_and_scores_to_zero(continuous):
    likelihood = continuous.likelihood
    for at in continuous.z:
        total = whole_line(continuous, at, lambda terms, y, z: torch.ones_like(y))
        assert float(total) == pytest.approx(1.0, rel=1e-9)
        score = whole_line(continuous, at, lambda terms, y, z: terms.gradient)
        torch.testing.assert_close(score, torch.zeros_like(score), rtol=0.0, atol=1e-8)
        variance = whole_line(
            continuous, at, lambda terms, y, z: terms.gradient[:, :, None] * terms.gradient[:, None, :]
        )
        curvature = whole_line(continuous, at, lambda terms, y, z: terms.curvature)
        torch.testing.assert_close(curvature, variance, rtol=1e-8, atol=1e-8)
        expected = likelihood.expand(continuous.y[:1], tensor([at])).curvature[0]
        torch.testing.assert_close(expected, variance, rtol=1e-8, atol=1e-8)
        mean = whole_line(continuous, at, lambda terms, y, z: y)
        found = likelihood.predictions(tensor([at]))
        assert float(found["mean"][0]) == pytest.approx(float(mean), rel=1e-8)
        square = whole_line(continuous, at, lambda terms, y, z: y * y)
        assert float(found["variance"][0]) == pytest.approx(float(square - mean**2), rel=1e-8)


def test_single_precision_stays_single_and_close(case):
    y, z = grid(case, 4)
    double, single = case.likelihood.expand(y, z), case.likelihood.expand(y.float(), z.float())
    for ours, wanted in zip(single, double, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), wanted, rtol=1e-3, atol=1e-4 * (1.0 + wanted.abs().max().item()))


@pytest.mark.parametrize("case", DISCRETE + CONTINUOUS, ids=lambda case: case.name)
def test_samples_have_the_mean_and_the_start_is_near_where_they_come_from(case):
    likelihood, n = case.likelihood, 4000
    z = tensor([case.z[0]]).expand(n, -1)
    y = likelihood.sample(z, torch.Generator().manual_seed(1))
    assert bool(likelihood.check_response(y).all())
    if not isinstance(likelihood, Multinomial | Ordinal):
        assert abs(float(y.mean() - likelihood.mean(z[:1]))) < 5.0 * float(y.std()) / n**0.5
    w = torch.ones_like(y)
    theta = likelihood.start(y, w)
    assert theta.shape == (z.shape[1],)
    assert theta.dtype == torch.float64
    found, steps = newton(likelihood, y, w, theta)
    assert steps <= 12
    # At the maximum the true predictors are a likelihood ratio of about q / 2 away.
    assert 0.0 <= float(likelihood.nll(y, z).sum() - total(likelihood, y, w, found)) < 12.0


def total(likelihood: Likelihood, y: Tensor, w: Tensor, theta: Tensor) -> float:
    return float(likelihood.nll(y, theta.expand(len(y), -1)) @ w)


def newton(likelihood: Likelihood, y: Tensor, w: Tensor, theta: Tensor) -> tuple[Tensor, int]:
    """The maximum where all predictors are constants, by Newton's method with halving; eta of an ordinal stays 0."""
    free = (
        slice(1, -1 if "scale=True" in repr(likelihood) else None) if isinstance(likelihood, Ordinal) else slice(None)
    )
    for step in range(40):
        terms = likelihood.expand(y, theta.expand(len(y), -1), information="observed")
        gradient, curvature = (w @ terms.gradient)[free], torch.einsum("i,ikl->kl", w, terms.curvature)[free, free]
        values, vectors = torch.linalg.eigh(curvature)
        direction = -vectors @ ((vectors.T @ gradient) / values.abs())
        if float(-(gradient @ direction)) < 1e-16:
            return theta, step
        size, before = 1.0, total(likelihood, y, w, theta)
        while size > 1e-6:
            new = theta.clone()
            new[free] += size * direction
            if total(likelihood, y, w, new) < before + 1e-9:
                break
            size /= 2.0
        theta = new
    return theta, 40


HARD = [
    (Multinomial(3), [0.0, 0.0, 2.0]),
    (Ordinal(3), [0.0, 0.0, 2.0]),
    (PoissonCount(), [0.0, 0.0]),
    (NegativeBinomialSize(), [0.0, 0.0]),
    (NegativeBinomialSize(), [3.0, 3.0]),
    (NegativeBinomialSize(kind="NB1"), [0.0, 1.0]),
    (ZeroInflated(), [0.0, 0.0]),
    (ZeroInflated("negative_binomial"), [1.0, 2.0]),
    (ZeroInflated("negative_binomial"), [0.0, 1.0]),
    (Hurdle("negative_binomial"), [1.0, 1.0]),
    (Hurdle(), [0.0, 0.0]),
    (Truncated("negative_binomial"), [1.0, 1.0]),
    (Beta(), [0.5, 0.5]),
    (MeanDispersion(Gamma("log")), [2.0, 2.0]),
]


@pytest.mark.parametrize("likelihood, y", HARD, ids=repr)
def test_the_start_is_finite_on_responses_without_any_information(likelihood, y):
    y = tensor(y)
    theta = likelihood.start(y, torch.ones_like(y))
    assert bool(theta.isfinite().all())
    assert math.isfinite(total(likelihood, y, torch.ones_like(y), theta))


def test_weights_are_repetitions_at_the_start(case):
    y, w = case.y[:4], tensor([1.0, 3.0, 2.0, 1.0])[: len(case.y[:4])]
    once = case.likelihood.start(y, w)
    torch.testing.assert_close(
        once, case.likelihood.start(y.repeat_interleave(w.long()), torch.ones(int(w.sum())).double())
    )


def test_responses_outside_of_the_support_are_found():
    y = tensor([-1.0, 0.0, 0.5, 1.0, 2.0, math.inf, math.nan])
    whole = [False, True, False, True, True, False, False]
    for likelihood in (PoissonCount(), NegativeBinomialSize(), ZeroInflated(), Hurdle()):
        assert likelihood.check_response(y).tolist() == whole
    assert Truncated().check_response(y).tolist() == [False, False, False, True, True, False, False]
    for likelihood in (Multinomial(2), Ordinal(2)):
        assert likelihood.check_response(y).tolist() == [False, True, False, True, False, False, False]
    assert Beta().check_response(y).tolist() == [False, False, True, False, False, False, False]
    assert MeanDispersion(Gamma()).check_response(y).tolist() == [False, False, True, True, True, False, False]


def test_what_cannot_be_built_says_why():
    with pytest.raises(OptionError, match="two levels"):
        Ordinal(1)
    with pytest.raises(OptionError, match="two classes"):
        Multinomial(1)
    with pytest.raises(OptionError, match=r"onto \(0, 1\).*'log'"):
        Ordinal(3, "log")
    with pytest.raises(OptionError, match="'NB1'"):
        NegativeBinomialSize(kind="NB3")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError, match=r"count distribution 'poison'.*'poisson'"):
        ZeroInflated("poison")
    with pytest.raises(OptionError, match="gaussian, inverse_gaussian, gamma"):
        MeanDispersion(Poisson())
