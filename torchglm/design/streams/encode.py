"""The encoding pass over a stream: every piece evaluated once, and its columns written to a spool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.design.categorical import Marked, codes_of
from torchglm.design.columns import Columns
from torchglm.design.environment import DataColumns
from torchglm.design.extras import refuse_bad_weights
from torchglm.design.keys import read_key
from torchglm.design.learn import apply, raw_missing
from torchglm.design.missing import missing_key, missing_values, missing_values_made
from torchglm.design.numbers import missing_rows
from torchglm.design.offsets import log_exposure
from torchglm.design.pages import Pages
from torchglm.design.response import read_columns, read_response
from torchglm.design.schema import Categorical, Values
from torchglm.design.sources import Source
from torchglm.design.streams.learn import Known
from torchglm.design.streams.own_rows import OwnRows
from torchglm.design.streams.packed import Tensors, make_room, no_rows, read_back, written
from torchglm.design.streams.plan import Plan
from torchglm.design.streams.spool import Spool
from torchglm.design.streams.tally import Tally
from torchglm.design.weights import KINDS, given_weights
from torchglm.progress import Count

ADDED = ("offset", "exposure")
NOTHING = torch.zeros(1, 0, dtype=torch.float64)
COPIED = 1 << 16  # rows at once


@dataclass(frozen=True)
class Encoded:
    """The columns of a stream: a Columns a formula, and what else there is, as it lies in the cache.

    `beside` names what there is beside columns and y: "weight", "trials", "offset 0" of the first formula, ...
    """

    parts: tuple[Columns, ...]
    tensors: Tensors
    rows: int
    pages: Pages
    tally: Tally
    beside: frozenset[str]

    @property
    def y(self) -> Tensor:
        """(rows,), or (rows, k) of several columns."""
        y = self.tensors.get("y", NOTHING)
        return y[0] if len(y) == 1 else y.T

    def column(self, name: str) -> Tensor | None:
        """(rows,) what is beside the columns; None where there is none."""
        return self.tensors.get(name, NOTHING)[0] if name in self.beside else None

    def positive(self, directory: Path) -> Encoded:
        """The rows with a positive weight, in a cache of their own.

        Raises: DataError where the disk is full.
        """
        weight = self.column("weight")
        if weight is None:
            return self
        with Spool(directory, int((weight > 0).sum())) as spool:
            make_room(spool, self.tensors)
            for start in range(0, self.rows, COPIED):
                good = weight[start : start + COPIED] > 0
                some = {name: table[:, start : start + COPIED][:, good] for name, table in self.tensors.items()}
                spool.write(some, int(good.sum()))
                self.pages.release()
            tensors, pages = spool.finish()
        parts = tuple(read_back(k, columns, tensors, spool.rows) for k, columns in enumerate(self.parts))
        return replace(self, parts=parts, tensors=tensors, rows=spool.rows, pages=pages).centered(self.centers)

    def divide_weights(self, by: float) -> None:
        """Nothing; the weights in the cache are divided by a number."""
        weight = self.column("weight")
        assert weight is not None
        for start in range(0, self.rows, COPIED):
            weight[start : start + COPIED] /= by
            self.pages.release()

    @property
    def centers(self) -> list[Tensor]:
        """Where the numeric columns of each formula are centred."""
        return [columns.dense.centers for columns in self.parts]

    def centered(self, centers: Sequence[Tensor]) -> Encoded:
        """The same, centred there."""
        parts = (replace(c, dense=replace(c.dense, centers=at)) for c, at in zip(self.parts, centers, strict=True))
        return replace(self, parts=tuple(parts))


def encode(plan: Plan, known: Known, kept: np.ndarray | None, rows: int, own: OwnRows) -> Encoded:
    """The columns of all pieces; `rows` is how many rows there are in all, on all processes.

    Raises: what reading and evaluating a piece raises; DataError where the disk is full.
    """
    tally = Tally(plan.source.rows, plan.ranks.world > 1)
    templates: tuple[Columns, ...] | None = None
    with (
        Spool(plan.stream.room.directory, plan.stream.rows) as spool,
        Count("reading", plan.stream.rows, unit=" rows") as progress,
    ):
        for piece in plan.stream.pieces(plan.names((*plan.factors, *plan.beside)), plan.plain):
            read = _read(plan, known, piece, kept, tally, own)
            if read is not None:
                columns = tuple(
                    schema.columns(values, len(read.y), among=rows)
                    for schema, values in zip(known.schemas, read.values, strict=True)
                )
                tensors = read.beside() | written(columns)
                if templates is None:
                    templates = columns
                    make_room(spool, tensors)
                spool.write(tensors, len(read.y))
            progress(piece.rows)
        own.finish()
        plan.stream.fix_order()
        tensors, pages = spool.finish()
    if templates is None:
        templates = tuple(schema.columns(no_rows(schema), 0, among=rows) for schema in known.schemas)
    parts = tuple(read_back(k, columns, tensors, spool.rows) for k, columns in enumerate(templates))
    beside = {f"offset {k}" for k, extras in enumerate(plan.extras) if any(extra.role in ADDED for extra in extras)}
    beside |= {"weight"} if plan.has_weights or known.has_trials else set()
    beside |= {"trials"} if known.has_trials else set()
    return Encoded(parts, tensors, spool.rows, pages, tally, frozenset(beside))


@dataclass(frozen=True)
class Piece:
    """The rows of a piece that are used: values of the factors of each formula, response, offsets and weight."""

    values: tuple[dict[str, Values], ...]
    y: Tensor
    trials: Tensor | None
    offsets: tuple[Tensor | None, ...]
    weight: Tensor | None

    def beside(self) -> Tensors:
        """What is written beside the columns."""
        out = {"y": self.y.to(torch.float64) if self.y.dim() == 1 else self.y.to(torch.float64).T}
        given = {f"offset {k}": offset for k, offset in enumerate(self.offsets)}
        for name, column in {**given, "weight": self.weight, "trials": self.trials}.items():
            if column is not None:
                out[name] = column.to(torch.float64)
        return out


def _read(plan: Plan, known: Known, piece: Source, kept: np.ndarray | None, tally: Tally, own: OwnRows) -> Piece | None:
    """The rows of a piece that are used; None where there is none."""
    caller = plan.values(piece)
    rows = plan.subset(piece, caller, own.evaluate)
    tally.asked += piece.rows if rows is None else int(rows.sum())
    rows = np.ones(piece.rows, dtype=bool) if rows is None else rows
    rows &= _complete(plan, piece, rows, caller, tally, own)
    if kept is not None:
        rows = rows & plan.cut(kept, piece)
    if not rows.any():
        tally.note(piece, rows)
        return None
    chosen = None if rows.all() else rows
    data, index = DataColumns(piece, chosen), piece.index if chosen is None else piece.index[chosen]
    applied = (apply(replace(schema, caller=caller), piece, chosen, evaluated=own.evaluate) for schema in known.schemas)
    values, lost = zip(*applied, strict=True)
    missing = torch.stack(lost).any(0)
    y, trials = _response(plan, known, own.evaluate(plan.response, data, caller, {}), index)
    named = [(plan.response.text, column) for column in (y.unbind(1) if y.dim() == 2 else (y,))]
    read = [
        [(extra, plan.extra(extra, piece).read(data, caller, own.evaluate)) for extra in extras]
        for extras in plan.extras
    ]
    named += [(f"{extra.role}={extra.label}", column) for one in read for extra, column in one]
    for name, column in named:
        found = missing_rows(name, column, index)
        missing = missing if found is None else missing | found
    if bool(missing.any()) and plan.request.missing == "raise":
        raise missing_values_made(plan.formulas[0].text, int(missing.sum()))
    weight = _weight(read, trials)
    good = ~missing
    if bool(good.any()):
        for schema, one in zip(known.schemas, values, strict=True):
            for name, factor in schema.factors.items():
                if isinstance(factor, Categorical):
                    tally.count(name, one[name][0][good], len(factor.levels))
        if known.response is not None and known.response.levels is not None:
            tally.count("", y[good], len(known.response.levels))
    given, column = _given_weight(read)
    if given is not None and column is not None:
        refuse_bad_weights(given, column.where(good, 0.0), index)
    if weight is not None:
        tally.zero_weight += int((good & (weight == 0)).sum())
        tally.weights += float(given_weights(weight, trials)[good].sum())
    tally.note(piece, _among(rows, good))
    if not bool(good.any()):
        return None
    every = bool(good.all())

    def cut(column: Tensor | None) -> Tensor | None:
        return column if column is None or every else column[good]

    left = index if every else index[good.numpy()]
    offsets = tuple(_offset([(extra, cut(column)) for extra, column in one], left) for one in read)  # type: ignore[misc]
    kept_values = tuple({name: tuple(map(cut, own)) for name, own in one.items()} for one in values)
    return Piece(kept_values, cut(y), cut(trials), offsets, cut(weight))  # type: ignore[arg-type]


def _among(rows: np.ndarray, chosen: Tensor) -> np.ndarray:
    """(rows of a piece,) True for those of its `rows` that are chosen."""
    out = rows.copy()
    out[rows] = chosen.numpy()
    return out


def _complete(
    plan: Plan, piece: Source, rows: np.ndarray, caller: Mapping[str, Any], tally: Tally, own: OwnRows
) -> np.ndarray:
    """(rows of the piece,) True where no column used and no key is missing.

    Raises: DataError where missing="raise".
    """
    found = raw_missing(plan.factors, piece, None)
    found = {name: mask & rows for name, mask in found.items()}
    refuses = plan.request.missing == "raise"
    if refuses and any(mask.any() for mask in found.values()):
        raise missing_values({name: mask for name, mask in found.items() if mask.any()}, piece.index)
    for key in plan.keys:
        given = key if isinstance(key, str) else plan.cut(key, piece)
        label, values = read_key("cluster", given, piece, caller, own.evaluate)
        found[f"cluster={label}"] = missing = values.isna().to_numpy() & rows
        if refuses and missing.any():
            raise missing_key(f"cluster={label}", missing, piece.index)
    for name, mask in found.items():
        tally.lost[name] = tally.lost.get(name, 0) + int(mask.sum())
    return ~np.logical_or.reduce(list(found.values())) if found else np.ones(piece.rows, dtype=bool)


def _response(plan: Plan, known: Known, value: Any, index: Any) -> tuple[Tensor, Tensor | None]:
    """y and the trials of a piece, NaN where missing."""
    name = plan.response.text
    if known.response is not None and known.response.levels is not None:
        inner = value.values if isinstance(value, Marked) else value
        codes = codes_of(name, inner, known.response.levels, "raise")
        return torch.from_numpy(np.where(codes < 0, np.nan, codes.astype(np.float64))), None
    response = (read_columns if plan.request.columns else read_response)(name, value, index)
    return response.y, response.trials


def _given_weight(read: Iterable[list[tuple[Any, Tensor]]]) -> tuple[Any, Tensor | None]:
    for one in read:
        for extra, column in one:
            if extra.role in KINDS:
                return extra, column
    return None, None


def _weight(read: list[list[tuple[Any, Tensor]]], trials: Tensor | None) -> Tensor | None:
    _, given = _given_weight(read)
    return trials if given is None else given if trials is None else given * trials


def _offset(read: list[tuple[Any, Tensor]], index: Any) -> Tensor | None:
    total = None
    for extra, column in read:
        if extra.role == "exposure":
            column = log_exposure(column, extra.label, index)
        elif extra.role != "offset":
            continue
        total = column if total is None else total + column
    return total
