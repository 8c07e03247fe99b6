"""Differences of five nodes against derivatives in closed form, where steps are easily too long or too short."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchglm.inference.effects.stencil import nodes

RNG = np.random.default_rng(0)
CASES = {
    "log over nine powers of ten": (np.logspace(-6, 3, 200), np.log, lambda x: 1.0 / x),
    "log(1 + x) with zeros and a long tail": (
        np.r_[0.0, 0.0, RNG.gamma(0.3, 1e3, 200)],
        np.log1p,
        lambda x: 1 / (1 + x),
    ),
    "a year": (np.arange(1990.0, 2020.0), np.log, lambda x: 1.0 / x),
    "a polynomial at zero": (
        np.r_[0.0, 1e-17, RNG.normal(size=50)],
        lambda x: (x + 3) ** 3,
        lambda x: 3 * (x + 3) ** 2,
    ),
    "a wave": (np.linspace(0.0, 100.0, 300), np.sin, np.cos),
    "a steep logistic": (
        np.linspace(-3.0, 3.0, 50),
        lambda x: 1 / (1 + np.exp(-9 * x)),
        lambda x: 9 / (2 + 2 * np.cosh(9 * x)),
    ),
    "one value": (np.array([2.5, 2.5]), np.exp, np.exp),
}


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    x, function, derivative = CASES[name]
    values = nodes(torch.from_numpy(x), float(x.min()), float(x.max()), float(x.std()))
    with np.errstate(invalid="raise", divide="raise"):  # no node leaves the range of the data
        found = sum(weight.numpy() * function(value.numpy()) for value, weight in values)
    exact = derivative(x)
    np.testing.assert_allclose(found, exact, rtol=5e-7, atol=1e-8 * np.abs(exact).max())


def test_nodes_stay_inside():
    x = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    for value, _ in nodes(x, 0.0, 1.0, 0.4):
        assert bool((value >= 0.0).all() & (value <= 1.0).all())
