"""A link or a family of one's own is one class: what it leaves out comes from autograd and quadrature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families import Binomial, Family, Link, MeanModel, Poisson, UnitLink, resolve_family, resolve_link
from torchglm.families.link import UNIT
from torchglm.families.links import CLogLog, Log, Logit
from torchglm.numerics.special import log1mexp, softplus


class Softplus(Link, name="softplus_of_a_test"):
    """mu = log(1 + exp(eta))."""

    domain = Log.domain

    def link(self, mu: Tensor) -> Tensor:
        return mu + torch.log(-torch.expm1(-mu))

    def inverse(self, eta: Tensor) -> Tensor:
        return softplus(eta)


class OwnLogit(UnitLink):
    """The logit with nothing but its two logs."""

    def link(self, mu: Tensor) -> Tensor:
        return torch.logit(mu)

    def log_inverse(self, eta: Tensor) -> Tensor:
        return -softplus(-eta)

    def log_complement(self, eta: Tensor) -> Tensor:
        return -softplus(eta)


class OwnCLogLog(UnitLink):
    """The complementary log-log link by the functions of the package."""

    def link(self, mu: Tensor) -> Tensor:
        return torch.log(-torch.log1p(-mu))

    def log_inverse(self, eta: Tensor) -> Tensor:
        return log1mexp(torch.exp(eta))

    def log_complement(self, eta: Tensor) -> Tensor:
        return -torch.exp(eta)


class Square(Family, name="linear_plus_square_of_a_test"):
    """V(mu) = mu + mu^2: a negative binomial with theta = 1 that knows nothing but its variance."""

    default_link = Log

    def variance(self, mu: Tensor) -> Tensor:
        return mu + mu * mu


class Wedderburn(Family):
    """V(mu) = mu^2 (1 - mu)^2."""

    default_link = Logit

    def variance(self, mu: Tensor) -> Tensor:
        return (mu * (1.0 - mu)) ** 2


@dataclass(frozen=True)
class PowerVariance(Family):
    """V(mu) = mu^k, with a number of its own."""

    default_link = Log
    k: float = 1.0

    def variance(self, mu: Tensor) -> Tensor:
        return mu**self.k


Y = torch.tensor([0.0, 1.0, 4.0, 30.0], dtype=torch.float64)
Z = torch.tensor([[0.3], [-2.0], [1.7], [0.0]], dtype=torch.float64)


def test_an_own_link_works_by_name_class_and_instance():
    assert resolve_link("softplus_of_a_test") == resolve_link(Softplus) == Softplus()
    assert Poisson("softplus_of_a_test") == Poisson(Softplus)
    eta = Z[:, 0]
    torch.testing.assert_close(Softplus().derivative(eta), torch.sigmoid(eta))
    torch.testing.assert_close(Softplus().second_derivative(eta), torch.sigmoid(eta) * torch.sigmoid(-eta))


def test_an_own_link_gives_exact_row_terms():
    mu, step = softplus(Z[:, 0]), torch.sigmoid(Z[:, 0])
    terms = MeanModel(Poisson(Softplus())).expand(Y, Z)
    torch.testing.assert_close(terms.gradient[:, 0], (mu - Y) / mu * step, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(terms.curvature[:, 0, 0], step**2 / mu, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("own, known", [(OwnLogit(), Logit()), (OwnCLogLog(), CLogLog())], ids=repr)
@pytest.mark.parametrize("information", ["expected", "observed"])
def test_an_own_unit_link_equals_the_one_it_imitates(own, known, information):
    assert own.domain == UNIT
    y = torch.tensor([0.0, 1.0, 0.25, 1.0, 0.0], dtype=torch.float64)
    z = torch.tensor([[-30.0], [-3.0], [0.0], [0.7], [5.0]], dtype=torch.float64)
    ours = MeanModel(Binomial(own)).expand(y, z, information=information)
    theirs = MeanModel(Binomial(known)).expand(y, z, information=information)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)


def test_an_own_family_has_everything_that_follows_from_its_variance():
    own, known = Square(), resolve_family_with_theta_one()
    assert own.link == Log()
    assert own.mean_domain == Log.domain
    assert own.has_dispersion
    assert not own.has_likelihood
    assert resolve_family("linear_plus_square_of_a_test") == own
    mu = torch.exp(Z[:, 0])
    torch.testing.assert_close(own.unit_deviance(Y, mu), known.unit_deviance(Y, mu), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(own.variance_derivative(mu), 1.0 + 2.0 * mu)
    for information in ("expected", "observed"):
        ours = MeanModel(own).expand(Y, Z, information=information)
        theirs = MeanModel(known).expand(Y, Z, information=information)
        torch.testing.assert_close(ours.gradient, theirs.gradient, rtol=1e-12, atol=0.0)
        torch.testing.assert_close(ours.curvature, theirs.curvature, rtol=1e-12, atol=0.0)
    with pytest.raises(OptionError, match="linear_plus_square_of_a_test"):
        own.sample(mu)


def resolve_family_with_theta_one() -> Family:
    from torchglm.families import NegativeBinomial

    return NegativeBinomial(theta=1.0)


def test_the_deviance_of_an_own_family_by_its_closed_form():
    # Source: McCullagh & Nelder (1989), section 9.2.4: Q = (2y - 1) log(mu/(1-mu)) - y/mu - (1-y)/(1-mu).
    y = torch.tensor([0.01, 0.3, 0.8, 0.999], dtype=torch.float64)
    mu = torch.tensor([0.2, 0.9, 0.05, 0.5], dtype=torch.float64)

    def quasi(m):
        return (2 * y - 1) * torch.logit(m) - y / m - (1 - y) / (1 - m)

    torch.testing.assert_close(Wedderburn().unit_deviance(y, mu), 2 * (quasi(y) - quasi(mu)), rtol=1e-11, atol=0.0)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_a_deviance_that_diverges_is_infinite(y):
    mu = torch.tensor([0.1, 0.5], dtype=torch.float64)
    assert Wedderburn().unit_deviance(torch.full_like(mu, y), mu).tolist() == [math.inf] * 2


def test_a_number_of_the_family_is_a_field():
    mu = torch.exp(Z[:, 0])
    assert PowerVariance(k=2.0) != PowerVariance(k=1.0)
    assert PowerVariance("sqrt", k=2.0).with_link("log") == PowerVariance(k=2.0)
    torch.testing.assert_close(PowerVariance().unit_deviance(Y, mu), Poisson().unit_deviance(Y, mu), rtol=1e-12, atol=0)


def test_a_changed_family_does_not_inherit_a_closed_form():
    class Doubled(Poisson):
        def variance(self, mu):
            return 2.0 * mu

    terms = MeanModel(Doubled()).expand(Y, Z)
    torch.testing.assert_close(terms.curvature[:, 0, 0], torch.exp(Z[:, 0]) / 2.0)
