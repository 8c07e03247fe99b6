"""Curvatures in single precision on the way change the way, not where it ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import torchglm.design.columns as columns
from torchglm import IRLS, glm
from torchglm.errors import OptionError

PAIRS = [
    ("gaussian", "identity", "y ~ a + b + c"),
    ("poisson", "log", "count ~ a*b + c + g"),
    ("poisson", "sqrt", "count ~ a + b + c"),
    ("binomial", "logit", "yes ~ a*b + h"),
    ("binomial", "probit", "yes ~ a + b + c"),
    ("gamma", "log", "positive ~ a + b + g"),
    ("inverse_gaussian", "log", "positive ~ a + b"),
]


@pytest.fixture
def products(monkeypatch) -> list[str]:
    """The precisions of the products that are taken."""
    taken: list[str] = []
    product = columns.long_product

    def counted(left, right, precision="float64"):
        taken.append(precision)
        return product(left, right, precision)

    monkeypatch.setattr(columns, "long_product", counted)
    return taken


def agree(found, expected) -> None:
    """Equal to 1e-10 of a standard error, the standard errors too."""
    assert found.converged
    assert ((found.params - expected.params).abs() / expected.bse).max() < 1e-10
    pd.testing.assert_series_equal(found.bse, expected.bse, rtol=1e-10)
    assert found.llf == pytest.approx(expected.llf, rel=1e-13)


@pytest.mark.parametrize("family, link, formula", PAIRS)
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_the_estimates_are_those_of_double_precision(data, products, family, link, formula, precision):
    expected = glm(formula, data, family, link, tolerance=1e-11)
    products.clear()
    found = glm(formula, data, family, link, solver=IRLS(curvature=precision), tolerance=1e-11)
    assert precision in products
    agree(found, expected)


@pytest.mark.parametrize("reuse", [True, False])
def test_many_rows(many, products, reuse):
    expected = glm("count ~ a + b + c", many, "poisson", solver=IRLS(reuse=False), tolerance=1e-11)
    found = glm("count ~ a + b + c", many, "poisson", solver=IRLS(reuse=reuse, curvature="float32"), tolerance=1e-11)
    assert ("float32" in products) == (not reuse)  # with a sample's curvature there is nothing else to save
    agree(found, expected)
    assert found.passes <= expected.passes + 3


def test_on_another_device(second_device, data, products):
    expected = glm("count ~ a*b + c", data, "poisson", device="cpu", tolerance=1e-11)
    agree(
        glm("count ~ a*b + c", data, "poisson", device="cuda", solver=IRLS(curvature="float32"), tolerance=1e-11),
        expected,
    )
    assert "float32" in products


def test_the_last_curvature_is_exact(data, products):
    glm("count ~ a + b", data, "poisson", solver=IRLS(curvature="float32"))
    steps = [precision for precision in products if precision != "float64"]
    assert 1 <= len(steps) < 5
    fit = glm("count ~ a + b", data, "poisson", solver=IRLS(curvature="float32"))
    assert fit.estimate.solution.point.precision == "float64"


def test_columns_that_single_precision_cannot_tell_apart(data):
    close = data.assign(d=data["a"] + 1e-5 * data["b"], e=2.0 * data["c"])
    fits = [
        glm("count ~ a + c + d + e", close, "poisson", solver=IRLS(curvature=precision), tolerance=1e-11)
        for precision in ("float32", "float64")
    ]
    assert list(fits[0].aliased) == list(fits[1].aliased) == ["e"]
    assert np.isfinite(fits[0].params["d"])
    agree(fits[0], fits[1])


def test_squares_beyond_single_precision(data):
    large = data.assign(a=1e25 * data["a"])
    fits = [glm("count ~ a + b", large, "poisson", solver=IRLS(curvature=p)) for p in ("float32", "float64")]
    agree(*fits)


def test_other_precisions_are_refused():
    with pytest.raises(OptionError, match="float16"):
        IRLS(curvature="float16")  # type: ignore[arg-type]
