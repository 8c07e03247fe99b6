"""Columns of a piece as they are written to a spool, and of all rows as they are read back."""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.design.columns import Columns
from torchglm.design.parts import Coded, Dense, rows_product
from torchglm.design.schema import Categorical, Schema, Values, choose_centers
from torchglm.design.streams.spool import Spool

Tensors = dict[str, Tensor]


def no_rows(schema: Schema) -> dict[str, Values]:
    """No row of any factor."""
    return {
        name: (torch.zeros(0, dtype=torch.int64),)
        if isinstance(factor, Categorical)
        else tuple(torch.zeros(0, dtype=torch.float64) for _ in factor.names)
        for name, factor in schema.factors.items()
    }


def written(parts: tuple[Columns, ...]) -> Tensors:
    """The columns of a piece as they are written: a table of the dense ones, and every factor's codes and values."""
    out: Tensors = {}
    for k, columns in enumerate(parts):
        if columns.dense.width:
            out[f"dense {k}"] = torch.stack([rows_product(product) for product in columns.dense.products])
        for name, part in zip(_names(k, columns), columns.coded, strict=True):
            out[name] = part.codes.to(torch.int16 if part.coding.cells <= 1 << 15 else torch.int32)
        for i, part in enumerate(columns.coded):
            if part.values:
                out[f"values {k} {i}"] = rows_product(part.values)
    return out


def _names(k: int, columns: Columns) -> list[str]:
    """The section of each factor's codes: one for all factors that share them."""
    first: dict[int, int] = {}
    return [f"codes {k} {first.setdefault(id(part.codes), i)}" for i, part in enumerate(columns.coded)]


def make_room(spool: Spool, tensors: Tensors) -> None:
    """Nothing; the spool then has room for columns such as these.

    Raises: DataError where the disk has not.
    """
    for name, tensor in tensors.items():
        spool.add(name, tensor.dtype, 1 if tensor.dim() == 1 else len(tensor))
    spool.refuse_too_large()


def read_back(k: int, columns: Columns, tensors: Tensors, rows: int) -> Columns:
    """The columns of all rows, from those of the first piece."""
    dense = columns.dense
    if dense.width:
        table = tensors.get(f"dense {k}", torch.zeros(dense.width, 0, dtype=torch.float64))
        products = tuple((column,) for column in table)
        dense = Dense(products, choose_centers(products, table, rows, columns.constant), table)
    codes = {name: tensors[name][0] for name in set(_names(k, columns)) if name in tensors}
    coded = tuple(
        Coded(
            codes.get(name, part.codes),
            part.coding,
            (tensors[f"values {k} {i}"][0],) if part.values and f"values {k} {i}" in tensors else part.values,
        )
        for i, (name, part) in enumerate(zip(_names(k, columns), columns.coded, strict=True))
    )
    return Columns(columns.constant, dense, coded, columns.positions)
