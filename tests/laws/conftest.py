"""The laws run over all that is registered: a test that asks for `family`, `link` or `pair` gets each in turn."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from torchglm.families import FAMILIES, LINKS, Family, NegativeBinomial, Quasi, Tweedie, resolve_family, resolve_link
from torchglm.families.links import Link, Power

POWERS = (-1.5, 0.5, 2.0)
FURTHER = (
    Tweedie(power=1.01),
    Tweedie(power=2.0),
    Tweedie(power=3.7),
    NegativeBinomial(theta=0.3),
    *(Quasi(variance=v) for v in ("mu", "mu(1-mu)", "mu^2", "mu^3")),
)
RESPONSES = {
    "gaussian": (-2.0, 0.5, 3.0),
    "binomial": (0.0, 0.3, 1.0),
    "poisson": (0.0, 1.0, 7.0),
    "negative_binomial": (0.0, 1.0, 7.0),
    "gamma": (0.1, 1.0, 9.0),
    "inverse_gaussian": (0.1, 1.0, 9.0),
    "tweedie": (0.1, 1.0, 7.0),
}


class Pair(NamedTuple):
    """A family with one of the links, responses that it can have, and means that both of them know."""

    family: Family
    y: torch.Tensor
    mu: torch.Tensor


def one_of_each(registry, needs, resolve) -> list:
    names = (name for name in registry.names() if registry.get(name).__module__.startswith("torchglm."))
    return [instance for name in names for instance in needs.get(name) or (resolve(name),)]


def links() -> list[Link]:
    return one_of_each(LINKS, {"power": [Power(p) for p in POWERS]}, resolve_link)


def families() -> list[Family]:
    known = one_of_each(FAMILIES, {"negative_binomial": [NegativeBinomial(theta=2.0)]}, resolve_family)
    return [*known, *FURTHER]


def means(family: Family, link: Link) -> torch.Tensor:
    domains = (family.mean_domain, link.domain)
    if any(domain.upper == 1.0 for domain in domains):
        return torch.tensor([0.03, 0.2, 0.5, 0.83, 0.97], dtype=torch.float64)
    if any(domain.lower == 0.0 for domain in domains):
        return torch.tensor([0.05, 0.4, 1.0, 3.0, 20.0], dtype=torch.float64)
    return torch.tensor([-3.0, -0.5, 0.4, 1.0, 4.0], dtype=torch.float64)


def pair_of(family: Family, link: Link) -> Pair:
    y = torch.tensor(RESPONSES[family.kernel.name], dtype=torch.float64)
    grid = torch.cartesian_prod(y, means(family, link))
    return Pair(family.with_link(link), grid[:, 0].contiguous(), grid[:, 1].contiguous())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "link" in metafunc.fixturenames:
        metafunc.parametrize("link", links(), ids=repr)
    if "family" in metafunc.fixturenames:
        metafunc.parametrize("family", families(), ids=repr)
    if "pair" in metafunc.fixturenames:
        pairs = [pair_of(family, link) for family in families() for link in links()]
        metafunc.parametrize("pair", pairs, ids=lambda pair: repr(pair.family))
