"""x' A x, part by part, against the model matrix written out; and designs restricted to some of their columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import glm
from torchglm.inference.leverage import leverage
from torchglm.inference.submodel import submodel

FORMULAS = [
    "y ~ x + z + g * h + g:z",
    "y ~ far + z",
    "y ~ g:z + C(h, contr.sum) + g - 1",
    "y ~ 0 + z",
    "y ~ C(g, contr.helmert) * C(h, contr.sum) + poly(x, 2)",
]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame({"x": rng.normal(size=n), "far": rng.normal(size=n) + 1000.0, "z": rng.normal(size=n)})
    frame["g"] = rng.choice(list("abcd"), n)
    frame["h"] = rng.choice(list("uvw"), n)
    frame["w"] = rng.integers(1, 4, n)
    frame["y"] = rng.poisson(np.exp(0.3 + 0.1 * frame["z"]))
    return frame


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("kind", ["weights", "freq_weights"])
def test_leverage_is_the_diagonal_of_the_hat_matrix(frame, formula, kind):
    fit = glm(formula, frame, "poisson", **{kind: "w"})
    x = fit.estimate.prepared.design.columns[0].to_dense(len(frame))
    w = torch.tensor(frame["w"].to_numpy() * fit.fittedvalues.to_numpy())
    hat = torch.linalg.qr(x * w.sqrt()[:, None])[0].square().sum(1)
    if kind == "freq_weights":
        hat = hat / torch.tensor(frame["w"].to_numpy())
    torch.testing.assert_close(leverage(fit.estimate), hat, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_restricted_design_has_the_columns_kept(frame, formula):
    columns = glm(formula, frame, "poisson").estimate.prepared.design.columns[0]
    whole = columns.to_dense(len(frame))
    centers = torch.zeros(columns.width, dtype=torch.float64)
    centers[int(columns.constant) : int(columns.constant) + columns.dense.width] = columns.dense.centers
    for kept in (torch.arange(columns.width) % 2 == 0, torch.arange(columns.width) % 2 == 1):
        expected = whole[:, kept]
        if columns.constant and not bool(kept[columns.positions][0]):
            expected = (whole[:, columns.positions] + centers)[:, columns.positions.argsort()][:, kept]
        torch.testing.assert_close(columns.restricted(kept[columns.positions]).to_dense(len(frame)), expected)


@pytest.mark.parametrize("term, smaller", [("z", "y ~ far + g"), ("g", "y ~ far + z"), ("far", "y ~ z + g")])
def test_a_submodel_is_the_fit_of_the_smaller_formula(frame, term, smaller):
    fit = glm("y ~ far + z + g", frame, "poisson", weights="w")
    dropped = fit.record.schema.term_names[term]
    found = submodel(fit.estimate, torch.tensor([name not in dropped for name in fit.params.index]))
    other = glm(smaller, frame, "poisson", weights="w")
    assert found.rank == len(other.params)
    assert found.totals.deviance == pytest.approx(other.deviance, rel=1e-12)
    assert found.totals.pearson == pytest.approx(other.pearson_chi2, rel=1e-9)
