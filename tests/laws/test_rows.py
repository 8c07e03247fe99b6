"""Row terms of every family with every link: gradient and curvature, observed and expected."""

from __future__ import annotations

import pytest
import torch

from torchglm.errors import OptionError
from torchglm.families import Gamma, InverseGaussian, MeanModel, Poisson
from torchglm.families.fused import Order
from torchglm.families.likelihood import Likelihood
from torchglm.families.mean import chain


def half_deviance(pair, eta: torch.Tensor) -> torch.Tensor:
    return 0.5 * pair.family.unit_deviance(pair.y, pair.family.link.inverse(eta))


def derivatives(pair, eta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient and curvature of half the deviance by autograd, which knows nothing of any closed form."""
    at = eta.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(half_deviance(pair, at).sum(), at, create_graph=True)
    if not gradient.requires_grad:
        return gradient, torch.zeros_like(eta)
    (curvature,) = torch.autograd.grad(gradient.sum(), at, materialize_grads=True)
    return gradient.detach(), curvature


def test_gradient_and_observed_curvature_are_those_of_autograd(pair):
    eta = pair.family.link.link(pair.mu)
    gradient, curvature = derivatives(pair, eta)
    terms = MeanModel(pair.family).expand(pair.y, eta.unsqueeze(1), information="observed")
    scale = 1.0 + gradient.abs().max()
    torch.testing.assert_close(terms.gradient[:, 0], gradient, rtol=1e-9, atol=1e-12 * scale.item())
    scale = 1.0 + curvature.abs().max()
    torch.testing.assert_close(terms.curvature[:, 0, 0], curvature, rtol=1e-9, atol=1e-11 * scale.item())


def test_nll_is_half_the_deviance_up_to_a_function_of_the_response(pair):
    eta = pair.family.link.link(pair.mu)
    model = MeanModel(pair.family)
    rest = (model.nll(pair.y, eta.unsqueeze(1)) - half_deviance(pair, eta)).reshape(3, -1)
    torch.testing.assert_close(rest, rest[:, :1].expand_as(rest), rtol=1e-12, atol=2e-10)


def test_expected_curvature_is_the_expectation_of_the_observed_one(pair):
    # The observed curvature is linear in y, so that its expectation is its value at y = mu.
    z = pair.family.link.link(pair.mu).unsqueeze(1)
    model = MeanModel(pair.family)
    observed = model.expand(pair.mu, z, information="observed").curvature
    expected = model.expand(pair.y, z).curvature
    torch.testing.assert_close(expected, observed, rtol=1e-9, atol=1e-12)
    low, high, middle = (
        model.expand(y, z, information="observed").curvature
        for y in (pair.y, 0.5 * pair.mu, 0.5 * pair.y + 0.25 * pair.mu)
    )
    scale = 1.0 + low.abs().max().item() + high.abs().max().item()
    torch.testing.assert_close(0.5 * (low + high), middle, rtol=1e-9, atol=1e-12 * scale)


def test_expected_curvature_is_slope_squared_over_variance(pair):
    eta = pair.family.link.link(pair.mu)
    expected = MeanModel(pair.family).expand(pair.y, eta.unsqueeze(1)).curvature[:, 0, 0]
    at = eta.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(pair.family.link.inverse(at).sum(), at)
    torch.testing.assert_close(expected, slope**2 / pair.family.variance(pair.mu), rtol=1e-9, atol=0.0)


def test_a_closed_form_is_the_chain_rule(pair):
    eta = pair.family.link.link(pair.mu)
    kernel = pair.family.kernel
    by_chain = chain(kernel, pair.y, eta, Order.OBSERVED)
    terms = MeanModel(pair.family).expand(pair.y, eta.unsqueeze(1), information="observed")
    torch.testing.assert_close(terms.gradient[:, 0], by_chain.gradient, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(terms.curvature[:, 0, 0], by_chain.curvature, rtol=1e-9, atol=1e-11)


def test_slope_and_expand_say_the_same_and_leave_their_input(pair):
    y, z = pair.y.clone(), pair.family.link.link(pair.mu).unsqueeze(1)
    before = z.clone()
    model = MeanModel(pair.family)
    nll, gradient = model.slope(y, z)
    terms = model.expand(y, z)
    assert nll.shape == (len(y),)
    assert gradient.shape == (len(y), 1)
    assert terms.curvature.shape == (len(y), 1, 1)
    assert torch.equal(nll, terms.nll)
    assert torch.equal(gradient, terms.gradient)
    assert torch.equal(z, before)
    assert torch.equal(y, pair.y)
    torch.testing.assert_close(nll, model.nll(y, z), rtol=1e-12, atol=1e-14)


def test_the_deviance_of_the_predictor_is_the_deviance_of_the_mean(pair):
    eta = pair.family.link.link(pair.mu)
    deviance = MeanModel(pair.family).deviance(pair.y, eta.unsqueeze(1))
    torch.testing.assert_close(deviance, pair.family.unit_deviance(pair.y, pair.mu), rtol=1e-11, atol=1e-13)


def test_single_precision_rows_stay_single_and_close(pair):
    z = pair.family.link.link(pair.mu).unsqueeze(1)
    model = MeanModel(pair.family)
    for information in ("expected", "observed"):
        double = model.expand(pair.y, z, information=information)
        single = model.expand(pair.y.float(), z.float(), information=information)
        for ours, wanted in zip(single[1:], double[1:], strict=True):
            assert ours.dtype == torch.float32
            scale = 1.0 + wanted.abs().max().item()
            torch.testing.assert_close(ours.double(), wanted, rtol=2e-4, atol=1e-5 * scale)


BOUNDED = [Poisson("identity"), Poisson("sqrt"), Gamma(), Gamma("identity"), InverseGaussian()]


@pytest.mark.parametrize("bounded", BOUNDED, ids=repr)
def test_a_mean_outside_of_its_domain_has_infinite_nll(bounded):
    y = torch.tensor([1.0, 2.0], dtype=torch.float64)
    z = torch.tensor([[-1.0], [0.0]], dtype=torch.float64)
    for nll in (MeanModel(bounded).nll(y, z), MeanModel(bounded).slope(y, z)[0], MeanModel(bounded).expand(y, z).nll):
        assert nll.tolist() == [float("inf")] * 2


def test_an_unknown_information_is_refused():
    y = torch.ones(2, dtype=torch.float64)
    with pytest.raises(OptionError, match="'expected' or 'observed'"):
        MeanModel(Poisson()).expand(y, y.unsqueeze(1), information="fisher")  # pyright: ignore[reportArgumentType]


class TwoPredictors(Likelihood):
    """A gaussian whose log standard deviation has a predictor of its own."""

    predictors = ("mean", "log_sd")

    def nll(self, y, z):
        return z[:, 1] + 0.5 * (y - z[:, 0]) ** 2 * torch.exp(-2.0 * z[:, 1])

    def mean(self, z):
        return z[:, 0]


def test_the_default_row_terms_of_several_predictors_are_exact():
    y = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    z = torch.tensor([[0.1, 0.2], [-0.5, 0.0], [1.0, -0.3]], dtype=torch.float64)
    rest, precision = y - z[:, 0], torch.exp(-2.0 * z[:, 1])
    gradient = torch.stack([-rest * precision, 1.0 - rest**2 * precision], dim=1)
    cross = 2.0 * rest * precision
    curvature = torch.stack([precision, cross, cross, 2.0 * rest**2 * precision], dim=1).reshape(3, 2, 2)
    terms = TwoPredictors().expand(y, z)
    torch.testing.assert_close(terms.gradient, gradient)
    torch.testing.assert_close(TwoPredictors().slope(y, z)[1], gradient)
    torch.testing.assert_close(terms.curvature, curvature)
    assert not terms.curvature.requires_grad


def test_autograd_of_the_nll_is_the_slope(pair):
    # eta = 0 too: a branch at 0, such as |eta|, would give autograd a wrong derivative there without a word.
    model = MeanModel(pair.family)
    z = pair.family.link.link(pair.mu).unsqueeze(1)
    zero = torch.zeros_like(z[:1])
    if bool(model.nll(pair.y[:1], zero).isfinite().all()):
        z = torch.cat([z, zero])
    y = torch.cat([pair.y, pair.y[:1]])[: len(z)]
    default = Likelihood.expand(model, y, z)
    closed = model.expand(y, z, information="observed")
    scale = 1.0 + closed.curvature.abs().max().item()
    torch.testing.assert_close(default.gradient, closed.gradient, rtol=1e-9, atol=1e-12 * scale)
    torch.testing.assert_close(default.curvature, closed.curvature, rtol=1e-9, atol=1e-11 * scale)


@pytest.mark.parametrize("which", ["binomial", "poisson", "gamma"])
def test_a_step_is_the_expansion_without_its_value(which):
    from torchglm.families.family import resolve_family
    from torchglm.families.mean import MeanModel

    model = MeanModel(resolve_family(which, "logit" if which == "binomial" else "log"))
    z = torch.linspace(-30.0, 30.0, 41, dtype=torch.float64)[:, None]
    for y in (0.0, 1.0):
        rows = torch.full((41,), y, dtype=torch.float64)
        gradient, curvature = model.step(rows, z)
        terms = model.expand(rows, z)
        torch.testing.assert_close(gradient, terms.gradient, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(curvature, terms.curvature, rtol=1e-12, atol=1e-15)
