"""The criteria: their values against densities, their derivatives against the solvers' and finite differences."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from torchglm import errors
from torchglm.families import (
    FAMILIES,
    Beta,
    Hurdle,
    MeanModel,
    Multinomial,
    NegativeBinomial,
    NegativeBinomialSize,
    Ordinal,
    Tweedie,
    ZeroInflated,
    resolve_family,
)
from torchglm.nn import GLMLoss, LikelihoodLoss

F64 = torch.float64
NAMES = [n for n in FAMILIES.names() if FAMILIES.get(n).__module__.startswith("torchglm.")]
GIVEN = {"negative_binomial": NegativeBinomial(theta=2.0), "tweedie": Tweedie(power=1.4)}
FAMILY = [GIVEN.get(name) or resolve_family(name) for name in NAMES]
LIKELIHOODS = [
    (Multinomial(3), [0, 1, 2, 1]),
    (Ordinal(4), [0, 1, 2, 3]),
    (ZeroInflated(), [0, 1, 4, 0]),
    (Hurdle(), [0, 1, 4, 0]),
    (NegativeBinomialSize(), [0, 1, 4, 9]),
    (Beta(), [0.1, 0.5, 0.9, 0.3]),
]


def response(family) -> torch.Tensor:
    upper = family.mean_domain.upper
    return torch.tensor([0.0, 1.0, 1.0, 0.0] if upper == 1.0 else [1.0, 3.0, 0.5, 2.0], dtype=F64)


def predictor(family) -> torch.Tensor:
    mu = [0.2, 0.7, 0.9, 0.4] if family.mean_domain.upper == 1.0 else [0.8, 2.0, 1.0, 3.0]
    return family.link.link(torch.tensor(mu, dtype=F64))


@pytest.mark.parametrize("family", FAMILY, ids=lambda family: family.name)
def test_value_and_two_derivatives_are_those_of_the_solvers(family):
    eta, y = predictor(family).requires_grad_(True), response(family)
    weight = torch.tensor([1.0, 2.0, 0.0, 0.5], dtype=F64)
    loss = GLMLoss(family, reduction="sum")(eta, y, weight)
    (gradient,) = torch.autograd.grad(loss, eta, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.sum(), eta)
    terms = MeanModel(family).expand(y, eta.detach()[:, None], information="observed")
    torch.testing.assert_close(loss.detach(), terms.nll.dot(weight), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gradient.detach(), terms.gradient[:, 0] * weight, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(curvature, terms.curvature[:, 0, 0] * weight, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("family", [f for f in FAMILY if f.has_likelihood], ids=lambda family: family.name)
def test_full_is_minus_the_log_density(family):
    eta, y = predictor(family), response(family)
    phi = 1.7 if family.has_dispersion else None
    got = GLMLoss(family, reduction="none", full=True, dispersion=phi)(eta, y)
    wanted = -family.log_prob(y, family.mean(eta), 1.0 if phi is None else phi)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def test_full_against_densities_written_out():
    y, eta = torch.tensor([0.0, 3.0], dtype=F64), torch.tensor([0.5, 1.2], dtype=F64)
    got = GLMLoss("poisson", reduction="sum", full=True)(eta, y)
    assert float(got) == pytest.approx(math.exp(0.5) + math.exp(1.2) - 3 * 1.2 + math.log(6.0), rel=1e-14)
    got = GLMLoss("gaussian", reduction="none", full=True, dispersion=4.0)(eta, y)
    wanted = [0.5 * math.log(8 * math.pi) + (a - b) ** 2 / 8.0 for a, b in zip(y.tolist(), eta.tolist(), strict=True)]
    assert got.tolist() == pytest.approx(wanted, rel=1e-14)


def test_a_dispersion_can_be_learned():
    y = torch.tensor([1.0, 2.0, 4.0], dtype=F64)
    log_phi = torch.zeros((), dtype=F64, requires_grad=True)
    phi = torch.exp(log_phi)
    loss = GLMLoss("gaussian", reduction="sum", full=True, dispersion=phi)(torch.zeros(3, dtype=F64), y)
    (slope,) = torch.autograd.grad(loss, log_phi)
    assert float(slope) == pytest.approx(3 / 2 - float(y.square().sum()) / 2, rel=1e-13)


def test_the_dispersion_of_a_tweedie_family_is_its_own_and_can_be_learned():
    y = torch.tensor([0.0, 1.0, 2.5, 0.3], dtype=F64)
    eta = torch.tensor([0.1, -0.2, 0.4, 0.0], dtype=F64)
    family = Tweedie(power=1.5, phi=2.0)

    def total(phi: float | torch.Tensor | None) -> torch.Tensor:
        return GLMLoss(family, reduction="sum", full=True, dispersion=phi)(eta, y)

    assert float(total(None)) == float(total(2.0)) != float(total(1.0))
    phi = torch.tensor(1.3, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(phi), phi)
    h = 1e-5
    assert float(slope) == pytest.approx(float(total(1.3 + h) - total(1.3 - h)) / (2.0 * h), rel=1e-8)


def test_it_is_torchs_own_loss_where_torch_has_one():
    generator = torch.Generator().manual_seed(1)
    eta = torch.randn(50, generator=generator, dtype=F64)
    ones, counts = (eta > 0.3).to(F64), torch.arange(50, dtype=F64) % 4
    functional = torch.nn.functional
    torch.testing.assert_close(
        GLMLoss("binomial")(eta, ones), functional.binary_cross_entropy_with_logits(eta, ones), rtol=1e-13, atol=0.0
    )
    torch.testing.assert_close(
        GLMLoss("poisson")(eta, counts), functional.poisson_nll_loss(eta, counts), rtol=1e-13, atol=0.0
    )
    z = torch.randn(50, 3, generator=generator, dtype=F64)
    logits = torch.cat([torch.zeros(50, 1, dtype=F64), z], dim=1)
    torch.testing.assert_close(
        LikelihoodLoss(Multinomial(4))(z, counts.long()),
        functional.cross_entropy(logits, counts.long()),
        rtol=1e-13,
        atol=0.0,
    )


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_tails(dtype):
    eta = torch.tensor([1000.0, -1000.0, 80.0], dtype=dtype, requires_grad=True)
    loss = GLMLoss("binomial", reduction="none")(eta, torch.tensor([0, 1, 1]))
    (slope,) = torch.autograd.grad(loss.sum(), eta, create_graph=True)
    assert loss.dtype == slope.dtype == dtype
    assert loss[:2].tolist() == [1000.0, 1000.0]
    assert float(loss[2].detach()) == pytest.approx(math.exp(-80.0), rel=1e-5)  # 1 - mu rounds to 0
    assert slope.detach()[:2].tolist() == [1.0, -1.0]
    assert float(slope[2].detach()) == pytest.approx(-math.exp(-80.0), rel=1e-5)
    (bend,) = torch.autograd.grad(slope.sum(), eta)
    assert bool(torch.isfinite(bend).all())


@pytest.mark.parametrize("family", FAMILY, ids=lambda family: family.name)
def test_float32_follows_float64(family):
    eta, y = predictor(family), response(family)
    exact = GLMLoss(family)(eta, y)
    single = GLMLoss(family)(eta.float(), y.float())
    half = GLMLoss(family)(eta.bfloat16(), y)
    assert single.dtype == half.dtype == torch.float32
    assert float(single) == pytest.approx(float(exact), rel=1e-5, abs=1e-6)
    assert float(half) == pytest.approx(float(exact), rel=0.1, abs=0.1)


@pytest.mark.parametrize("likelihood, y", LIKELIHOODS, ids=lambda one: type(one).__name__)
def test_several_predictors(likelihood, y):
    y = torch.tensor(y)
    q = len(likelihood.predictors)
    z = (torch.randn(4, q, generator=torch.Generator().manual_seed(3), dtype=F64) * 0.3).cumsum(1)
    if isinstance(likelihood, Ordinal):
        z[:, 1:] = torch.tensor([-1.0, 0.2, 1.0], dtype=F64)
    loss = LikelihoodLoss(likelihood, "sum")
    assert torch.autograd.gradcheck(lambda at: loss(at, y), z.clone().requires_grad_(True))
    assert torch.autograd.gradgradcheck(lambda at: loss(at, y), z.clone().requires_grad_(True))
    torch.testing.assert_close(loss(z, y), likelihood.nll(y.to(F64), z).sum(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name, link", [("binomial", "cloglog"), ("gamma", "log"), ("poisson", "sqrt")])
def test_gradients_by_differences(name, link):
    family = resolve_family(name, link)
    y = response(family)
    loss = GLMLoss(family, reduction="none")
    eta = predictor(family).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda at: loss(at, y), eta)
    assert torch.autograd.gradgradcheck(lambda at: loss(at, y), eta)


def test_reductions():
    eta, y = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=F64), torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=F64)
    weight = torch.tensor([[1.0, 2.0], [0.0, 3.0]], dtype=F64)
    rows = torch.exp(eta) - y * eta
    none, total, mean = (GLMLoss("poisson", reduction=r) for r in ("none", "sum", "mean"))
    torch.testing.assert_close(none(eta, y), rows)
    torch.testing.assert_close(none(eta, y, weight), rows * weight)
    torch.testing.assert_close(total(eta, y), rows.sum())
    torch.testing.assert_close(mean(eta, y), rows.mean())
    torch.testing.assert_close(mean(eta, y, weight), (rows * weight).sum() / weight.sum())


def test_a_third_derivative_is_refused():
    eta = torch.tensor([0.3], dtype=F64, requires_grad=True)
    slope = torch.autograd.grad(GLMLoss("poisson")(eta, torch.ones(1)), eta, create_graph=True)[0]
    bend = torch.autograd.grad(slope, eta, create_graph=True)[0]
    with pytest.raises(errors.OptionError, match="second order"):
        torch.autograd.grad(bend, eta)


def test_wrong_calls():
    with pytest.raises(errors.OptionError, match="Did you mean 'mean'"):
        GLMLoss("poisson", reduction="meen")
    with pytest.raises(errors.UnknownNameError, match="poisson"):
        GLMLoss("poison")
    with pytest.raises(errors.OptionError, match="density"):
        GLMLoss("quasipoisson", full=True)
    with pytest.raises(errors.OptionError, match="full=True"):
        GLMLoss("gaussian", dispersion=2.0)
    with pytest.raises(errors.OptionError, match="positive"):
        GLMLoss("gaussian", full=True, dispersion=-1.0)
    with pytest.raises(errors.OptionError, match=r"Multinomial\(3\)"):
        LikelihoodLoss("multinomial")


def test_wrong_shapes_and_values():
    loss, eta = GLMLoss("poisson"), torch.zeros(3)
    with pytest.raises(errors.DataError, match=r"squeeze\(-1\)"):  # (3, 1) and (3,) would broadcast to (3, 3)
        loss(eta[:, None], torch.ones(3))
    with pytest.raises(errors.DataError, match=r"\(2,\)"):
        loss(eta, torch.ones(2))
    with pytest.raises(errors.DataError, match="int64"):
        loss(eta.long(), torch.ones(3))
    with pytest.raises(errors.DataError, match=r"y is a torch tensor; got list\. Say torch\.as_tensor\(y\)"):
        loss(eta, [1.0, 1.0, 1.0])
    with pytest.raises(errors.WeightError, match="one weight a response"):
        loss(eta, torch.ones(3), torch.ones(2))
    with pytest.raises(errors.WeightError, match="negative"):
        loss(eta, torch.ones(3), torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(errors.ResponseError, match=r"row 1 has -1\.0"):
        loss(eta, torch.tensor([1.0, -1.0, 1.0]))
    with pytest.raises(errors.ResponseError, match="nan"):
        loss(eta, torch.tensor([1.0, 1.0, math.nan]))
    with pytest.raises(errors.WeightError, match="All weights are zero"):
        loss(eta, torch.ones(3), torch.zeros(3))
    assert math.isfinite(float(GLMLoss("poisson", check=False)(eta, torch.tensor([1.0, -1.0, 1.0]))))
    classes = LikelihoodLoss(Multinomial(3))
    with pytest.raises(errors.DataError, match=r"\(rows, 2\)"):
        classes(torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(errors.ResponseError, match="row 3 has 3"):
        classes(torch.zeros(4, 2), torch.arange(4))


@pytest.mark.parametrize("full", [False, True])
def test_a_predictor_without_a_mean_costs_infinitely_much(full):
    loss = GLMLoss("gamma", "inverse", "none", full=full)(torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 1.0]))
    assert loss.tolist() == [math.inf, 1.0]


def test_gradients_row_by_row_under_vmap():
    loss = GLMLoss("poisson", reduction="sum", check=False)
    x, y = torch.tensor([[1.0, 2.0], [1.0, -1.0]], dtype=F64), torch.tensor([3.0, 0.0], dtype=F64)
    beta = torch.tensor([0.1, 0.2], dtype=F64)

    def of_row(b, row, count):
        return loss((row * b).sum()[None], count[None])

    each = torch.func.vmap(torch.func.grad(of_row), in_dims=(None, 0, 0))(beta, x, y)
    torch.testing.assert_close(each, x * (torch.exp(x @ beta) - y)[:, None])
    bend = torch.func.jacrev(torch.func.grad(of_row))(beta, x[0], y[0])
    torch.testing.assert_close(bend, torch.exp(x[0] @ beta) * torch.outer(x[0], x[0]))


def test_it_can_be_pickled_and_shows_what_it_is():
    loss = pickle.loads(pickle.dumps(GLMLoss("binomial", "probit", "sum")))
    assert "Probit" in repr(loss)
    assert "sum" in repr(loss)
    assert float(loss(torch.zeros(2), torch.tensor([0.0, 1.0]))) == pytest.approx(2 * math.log(2.0), rel=1e-6)
