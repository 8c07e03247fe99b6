"""A likelihood of one's own is one function; its trial says what is wrong with it."""

from __future__ import annotations

import math

import pytest
import torch

from torchglm.errors import LikelihoodError, OptionError, TorchGLMError
from torchglm.families import (
    Beta,
    Gaussian,
    Likelihood,
    MeanDispersion,
    Multinomial,
    NegativeBinomialSize,
    Ordinal,
    ZeroInflated,
    checked,
    custom,
)

NOISE = torch.Generator().manual_seed(0)
Y = torch.linspace(0.2, 3.0, 40, dtype=torch.float64)


def student(y, mean, log_scale):
    """Student's t with 4 degrees of freedom."""
    rest = (y - mean) * torch.exp(-log_scale)
    constant = math.lgamma(2.0) - math.lgamma(2.5) + 0.5 * math.log(4.0 * math.pi)
    return constant + log_scale + 2.5 * torch.log1p(rest * rest / 4.0)


def normal(y, z):
    """The same parameters in one matrix."""
    return 0.5 * ((y - z[:, 0]) * torch.exp(-z[:, 1])) ** 2 + z[:, 1] + 0.5 * math.log(2.0 * math.pi)


NAMES = ("mean", "log_scale")


def test_a_function_is_a_likelihood_that_passes_its_trial():
    likelihood = custom(student, NAMES, mean=lambda mean, log_scale: mean, start=[1.5, 0.0])
    assert checked(likelihood, Y) is likelihood
    z = likelihood.start(Y, torch.ones_like(Y)).expand(len(Y), 2)
    wanted = torch.distributions.StudentT(4.0, 1.5, 1.0).log_prob(Y)
    torch.testing.assert_close(-likelihood.nll(Y, z), wanted)
    assert torch.equal(likelihood.mean(z), z[:, 0])
    assert list(likelihood.predictions(z)) == ["mean", "log_scale"]


def test_one_matrix_or_one_vector_a_predictor():
    z = torch.stack([0.3 * Y, -0.1 * Y], 1)
    by_matrix, by_vector = custom(normal, NAMES), custom(lambda y, *z: normal(y, torch.stack(z, 1)), NAMES)
    known = MeanDispersion(Gaussian())
    for likelihood in (by_matrix, by_vector):
        terms = checked(likelihood, Y).expand(Y, z)
        # log phi is 2 log sd, so that its derivatives are a half and a quarter.
        wanted = known.expand(Y, z * torch.tensor([1.0, 2.0], dtype=torch.float64), information="observed")
        twice = torch.tensor([1.0, 2.0], dtype=torch.float64)
        torch.testing.assert_close(terms.nll, wanted.nll)
        torch.testing.assert_close(terms.gradient, wanted.gradient * twice)
        torch.testing.assert_close(terms.curvature, wanted.curvature * twice[:, None] * twice)
    one = custom(lambda y, eta: torch.exp(eta) - y * eta, ("log_mean",), mean=torch.exp)
    assert checked(one, Y).nll(Y, Y[:, None]).shape == (40,)
    torch.testing.assert_close(one.mean(Y[:, None]), Y.exp())


def test_the_likelihoods_of_the_package_pass_the_trial():
    counts = torch.tensor([0.0, 0.0, 1.0, 5.0, 2.0, 0.0, 3.0, 9.0], dtype=torch.float64)
    classes = counts.clamp(max=2.0)
    for likelihood, y in (
        (NegativeBinomialSize(), counts),
        (NegativeBinomialSize(kind="NB1"), counts),
        (ZeroInflated("negative_binomial"), counts),
        (Multinomial(3), classes),
        (Ordinal(3), classes),
        (Ordinal(3, "cauchit", scale=True), classes),
        (Beta(), Y / 4.0),
    ):
        assert checked(likelihood, y) is likelihood


@pytest.mark.parametrize("scale", [1e-6, 6e5, 1e9, 1e13])
def test_the_trial_knows_how_many_digits_large_responses_leave(scale):
    for likelihood in (custom(normal, NAMES), custom(lambda y, mean: 0.5 * (y - mean) ** 2)):
        assert checked(likelihood, scale * Y) is likelihood
    wrong = custom(lambda y, mean: 0.5 * ((y - mean) ** 2 + (y + 1.0 - mean.detach()) ** 2))
    with pytest.raises(LikelihoodError, match="The gradient of nll in 'mean'"):
        checked(wrong, min(scale, 1e10) * Y)


def summed(y, mean, log_scale):
    return student(y, mean, log_scale).sum()


def column(y, mean, log_scale):
    return student(y, mean, log_scale)[:, None]


def single(y, mean, log_scale):
    return student(y, mean, log_scale).float()


def array(y, mean, log_scale):
    return student(y, mean, log_scale).detach().numpy()


def centred(y, mean, log_scale):
    return student(y, mean - mean.mean(), log_scale)


def detached(y, mean, log_scale):
    return student(y, mean.detach(), log_scale.detach())


def half_detached(y, mean, log_scale):
    return student(y, mean, log_scale) + mean.detach() ** 2


def unused(y, mean, log_scale):
    return (y - mean) ** 2


def logged(y, mean, log_scale):
    return student(y, mean, log_scale) - torch.log(mean - 1.0)


def kinked(y, mean, log_scale):
    return torch.where(y > 0, (y - mean) ** 2 + log_scale**2, torch.sqrt(-y) * mean)


def changing(y, mean, log_scale):
    mean -= 1.0
    return student(y, mean, log_scale)


def raising(y, mean, log_scale):
    raise KeyError("df")


def absolute(y, mean, log_scale):
    return (y - mean).abs() + log_scale**2


def linear(y, mean, log_scale):
    return -(y * mean + log_scale)


class Once(torch.autograd.Function):
    """A square whose backward says nothing of its own derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, *grads):
        return grads[0].detach() * 2.0 * ctx.saved_tensors[0].detach()


def once(y, mean, log_scale):
    return Once.apply(y - mean) + Once.apply(log_scale)


def noisy(y, mean, log_scale):
    return student(y, mean, log_scale) * (1.0 + 1e-5 * torch.rand(len(y), generator=NOISE, dtype=torch.float64))


@pytest.mark.parametrize(
    "function, message",
    [
        (summed, r"returned \(\)\. Return one value a row, not their sum"),
        (column, r"must return the shape \(40,\) for 40 rows; it returned \(40, 1\)"),
        (single, r"must return torch.float64; it returned torch.float32"),
        (array, "must return a torch tensor; it returned a ndarray"),
        (centred, "row 0 of the trial changed when only the predictors of other rows did"),
        (detached, "does not depend on its predictors as far as autograd can see"),
        (half_detached, "The gradient of nll in 'mean' is .* in row 0"),
        (unused, "The predictor 'log_scale' does not change nll"),
        (logged, "nll is not finite in 40 of 40 rows, first for y = 0.2 at mean = "),
        (kinked, "gradient of nll is not finite|second derivative of nll is not finite"),
        (changing, "nll changed the tensors that it was given"),
        (raising, "nll raised KeyError on a trial of 40 rows and the predictors 'mean', 'log_scale': 'df'"),
        (absolute, "nll has no curvature in 'mean' in any row .* such as absolute errors, smooth it"),
        (linear, "nll has no curvature in 'mean', 'log_scale' in any row of the trial"),
        (once, "The second derivatives of nll cannot be taken: .* It must be twice differentiable by autograd"),
        (noisy, "changed when only the predictors of other rows did|is a part detached, rounded, or random"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_is_said(function, message):
    with pytest.raises(LikelihoodError, match=message):
        checked(custom(function, NAMES), Y)


class WrongByHand(Likelihood):
    """A closed gradient with the wrong sign."""

    predictors = ("mean",)

    def nll(self, y, z):
        return 0.5 * (y - z[:, 0]) ** 2

    def mean(self, z):
        return z[:, 0]

    def slope(self, y, z):
        return self.nll(y, z), y[:, None] - z


def test_a_wrong_closed_form_is_found():
    with pytest.raises(LikelihoodError, match="The gradient of nll in 'mean'"):
        checked(WrongByHand(), Y)


def test_what_is_asked_wrongly_is_refused():
    with pytest.raises(
        LikelihoodError, match=r"nll takes 5 argument\(s\); it is called as nll\(y, a, b, c\), or as nll\(y, z\)"
    ) as told:
        custom(lambda y, a, b, c, d: y, ("a", "b", "c"))
    assert isinstance(told.value, TorchGLMError)
    with pytest.raises(OptionError, match="one different name"):
        custom(normal, ("a", "a"))
    with pytest.raises(OptionError, match="start= has 1 values for the 2 predictors 'a', 'b'"):
        custom(normal, ("a", "b"), start=[1.0])
    with pytest.raises(OptionError, match="no mean: give mean="):
        custom(normal, NAMES).mean(Y[:, None])
    assert set(custom(normal, NAMES).predictions(torch.stack([Y, Y], 1))) == set(NAMES)
