"""matvec, rmatvec, squares and gram of Columns against the dense matrix: every part, centred, in blocks of any size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from torchglm.design import columns as columns_module
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble

FORMULAS = [
    "y ~ x + z",
    "y ~ 0 + x + w + i",
    "y ~ g",
    "y ~ 0 + g + s",
    "y ~ g*h*s",
    "y ~ x*g + z:s + h",
    "y ~ C(g, contr.sum)*x + C(s, contr.poly)",
    "y ~ C(g, contr.sum)*C(o, contr.poly)",
    "y ~ x:z + I(x**2):g + 2:z",
    "y ~ 1",
    "y ~ bs(x, df=4):h + g",
    "y ~ C(g, contr.sum):C(h, contr.helmert) + C(o, contr.poly):x",
]
OFFSETS = {"as it is": 0.0, "centred": 1e4}
BLOCKS = [1, 5, 36, 37, 1000]


@pytest.fixture(params=OFFSETS)
def columns(request, frame, design, formula):
    moved = frame.assign(x=frame["x"] + OFFSETS[request.param])
    columns = design(formula, moved).columns
    if request.param == "as it is":
        return replace(columns, dense=replace(columns.dense, centers=torch.zeros_like(columns.dense.centers)))
    return columns


def blocks(columns, rows: int, n: int):
    """(stretch, RowColumns) of each block."""
    scratch = torch.empty(columns.dense.width, rows, dtype=torch.float64)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        yield slice(start, stop), columns.rows(start, stop, scratch)


@pytest.fixture
def vectors(frame) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    n = len(frame)
    return torch.randn(n, dtype=torch.float64, generator=generator), torch.rand(
        n, dtype=torch.float64, generator=generator
    )


def inner(columns, n: int) -> torch.Tensor:
    """The matrix with coefficients in the inner order."""
    return columns.to_dense(n)[:, columns.positions]


def near(ours: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12 * float(wanted.abs().max().clamp(min=1.0)))


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("rows", BLOCKS)
def test_products(columns, vectors, rows):
    v, w = vectors
    n = len(v)
    x = inner(columns, n)
    beta = torch.randn(columns.width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    raw = columns.expand(beta)
    near(torch.cat([part.matvec(raw) for _, part in blocks(columns, rows, n)]), x @ beta)
    sums = sum(part.rmatvec(v[at]) for at, part in blocks(columns, rows, n))
    near(columns.collapse(sums), x.T @ v)
    squares = sum(part.squares(w[at]) for at, part in blocks(columns, rows, n))
    near(columns.collapse_squares(squares), x.square().T @ w)
    gram = Sums.total(Sums(part.gram(w[at])) for at, part in blocks(columns, rows, n))
    near(assemble(columns, gram), x.T @ (w[:, None] * x))


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("entries", [1 << 17, 64])
def test_many_weights_at_once(columns, frame, entries, monkeypatch):
    monkeypatch.setattr(columns_module, "CACHED_ENTRIES", entries)
    n = len(frame)
    w = torch.randn(5, n, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x = inner(columns, n)
    scratch = torch.empty(columns.dense.width, n, dtype=torch.float64)
    rows = columns.rows(0, n, scratch)
    grams = rows.grams(w, torch.empty_like(scratch))
    sums = rows.rmatmul(w)
    for at, one in enumerate(w):
        near(assemble(columns, Sums({name: value[at] for name, value in grams.items()})), x.T @ (one[:, None] * x))
        near(columns.collapse(sums[at]), x.T @ one)
    beta = torch.randn(columns.width, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    near(rows.matmul(columns.expand(beta)), x @ beta)


@pytest.mark.parametrize("formula", ["y ~ x + z", "y ~ g*x", "y ~ 1"])
@pytest.mark.parametrize("other", ["y ~ 0 + w + z", "y ~ s + x", "y ~ 1"])
@pytest.mark.parametrize("entries", [1 << 17, 64])
def test_products_of_two_predictors(columns, other, frame, design, entries, monkeypatch):
    monkeypatch.setattr(columns_module, "CACHED_ENTRIES", entries)
    n, theirs = len(frame), design(other, frame).columns
    w = torch.randn(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    each = [c.rows(0, n, torch.empty(c.dense.width, n, dtype=torch.float64)) for c in (columns, theirs)]
    x, z = inner(columns, n), inner(theirs, n)
    for raw, one in zip(each[0].crosses(each[1], w), w, strict=True):
        near(columns.collapse(theirs.collapse(raw.T).T), x.T @ (one[:, None] * z))


@pytest.mark.parametrize("formula", ["y ~ x + z", "y ~ x*g"])
def test_far_columns_are_centred(frame, design, formula):
    moved = frame.assign(x=frame["x"] + 1e4)
    assert design(formula, moved).columns.dense.centers.abs().max() > 1e3
    assert design(formula, frame).columns.dense.centers.abs().max() == 0.0


def test_columns_of_a_frame_are_not_copied(frame, design):
    columns = design("y ~ x + z", frame).columns
    memory = {product[0].data_ptr() for product in columns.dense.products}
    assert memory == {frame[name].to_numpy().__array_interface__["data"][0] for name in ("x", "z")}
