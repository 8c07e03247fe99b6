"""A small frame with a column of every kind, and the design matrix that torchglm makes of a formula."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm.design.prepare import Request, prepare
from torchglm.design.sources import open_source
from torchglm.design.terms import parse

ROWS = 37


def small_frame() -> pd.DataFrame:
    rng = np.random.default_rng(20240229)
    return pd.DataFrame(
        {
            "y": rng.normal(size=ROWS),
            "x": rng.gamma(2.0, size=ROWS) + 0.1,
            "z": rng.normal(size=ROWS),
            "w": rng.uniform(-1.0, 1.0, size=ROWS).astype(np.float32),
            "i": rng.integers(0, 5, size=ROWS),
            "b": rng.random(ROWS) < 0.5,
            "s": rng.permutation(np.resize(["red", "green", "blue"], ROWS)),
            "g": pd.Categorical(rng.permutation(np.resize(["low", "mid", "high"], ROWS)), ["low", "mid", "high"]),
            "o": pd.Categorical(rng.permutation(np.resize([1, 2, 3, 4], ROWS)), [1, 2, 3, 4], ordered=True),
            "h": pd.Categorical(rng.permutation(np.resize(["n", "m"], ROWS)), ["n", "m"]),
            "odd name": rng.normal(size=ROWS),
            "odd group": rng.permutation(np.resize(["p", "q"], ROWS)),
        }
    )


def design_of(formula: str, data, caller=None) -> SimpleNamespace:
    """names, the matrix (rows, columns) of a formula, and the Columns behind it."""
    source = open_source(data)
    prepared = prepare(parse(formula, source.names), source, Request(), caller or {})
    columns = prepared.whole.columns[0]
    matrix = columns.to_dense(prepared.whole.n)
    start = int(columns.constant)
    matrix[:, columns.positions[start : start + columns.dense.width]] += columns.dense.centers
    return SimpleNamespace(names=list(prepared.schema.names), matrix=matrix, columns=columns, prepared=prepared)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return small_frame()


@pytest.fixture(scope="session")
def design():
    return design_of


@pytest.fixture(scope="session")
def same_as_formulaic():
    """Asserts that names and values of the columns are those of formulaic's model_matrix."""
    from formulaic import model_matrix

    def check(formula: str, data: pd.DataFrame, theirs: pd.DataFrame | None = None) -> None:
        ours = design_of(formula, data)
        matrix = model_matrix(formula, theirs if theirs is not None else data).rhs
        assert ours.names == list(matrix.columns), formula
        wanted = torch.tensor(matrix.to_numpy(dtype=np.float64))
        torch.testing.assert_close(ours.matrix, wanted, rtol=1e-12, atol=1e-12, msg=lambda text: f"{formula}: {text}")

    return check
