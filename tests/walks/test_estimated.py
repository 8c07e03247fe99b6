"""What is estimated beside the coefficients does not depend on how the rows are cut into blocks, nor on the solver."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import beta_regression, glm, negative_binomial, tweedie
from torchglm.design import design as design_module


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=900), rng.choice(list("abc"), 900)
    mu = np.exp(0.3 + 0.4 * x)
    amounts = [rng.gamma(0.7, 1.3, n).sum() for n in rng.poisson(mu)]
    counts = rng.poisson(mu * rng.gamma(1.2, 1 / 1.2, 900))
    return pd.DataFrame({"x": x, "g": g, "amount": amounts, "count": counts, "share": rng.beta(2 * mu, 2.0)})


FITS = {
    "NB2": lambda data, solver: negative_binomial("count ~ x + C(g)", data, solver=solver),
    "NB1": lambda data, solver: negative_binomial("count ~ x + C(g)", data, kind="NB1", solver=solver),
    "tweedie": lambda data, solver: tweedie("amount ~ x + C(g)", data, solver=solver),
    "double": lambda data, solver: glm("amount ~ x + C(g)", data, dispersion="~ x", solver=solver),
    "beta": lambda data, solver: beta_regression("share ~ x + C(g) | x", data, solver=solver),
}


@pytest.mark.parametrize("model", FITS)
def test_blocks(frame, model, monkeypatch):
    whole = FITS[model](frame, "auto")
    monkeypatch.setattr(design_module, "SMALLEST_BLOCK", 128)
    monkeypatch.setattr(design_module, "LARGEST_BLOCK", 128)
    cut = FITS[model](frame, "auto")
    np.testing.assert_allclose(cut.params, whole.params, rtol=1e-7)
    np.testing.assert_allclose(cut.bse, whole.bse, rtol=1e-7)
    np.testing.assert_allclose(cut.estimated, whole.estimated, rtol=1e-6)
    assert cut.llf == pytest.approx(whole.llf, rel=1e-12)


@pytest.mark.parametrize("model", ["NB2", "NB1", "double", "beta"])
@pytest.mark.parametrize("solver", ["lbfgs", "newton_cg"])
def test_solvers(frame, model, solver):
    one, other = (FITS[model](frame, name) for name in ("irls", solver))
    assert np.abs((one.params - other.params) / one.bse).max() < 1e-6
    np.testing.assert_allclose(one.estimated, other.estimated, rtol=1e-6)
