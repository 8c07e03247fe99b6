"""Schema: what a formula learned from its data, once, and how frames become columns under it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from torchglm.design.categorical import Coded as Contrast
from torchglm.design.columns import Columns
from torchglm.design.parts import Coded, Coding, Dense, Product, jointly, rows_product
from torchglm.design.terms import Parsed, Piece, Term, pieces

CENTER_WHEN = 10.0  # a column whose mean is this many standard deviations from zero loses digits in X'WX
MANY_ROWS, JOINT_CELLS = 50_000, 600  # from here, and up to here, factors are summed over jointly
STRETCH, STRETCHES = 64, 8  # rows looked at for that


@dataclass(frozen=True)
class Numeric:
    """A factor of one or more numeric columns. `dropped` is the column left out where the constant is spanned."""

    names: tuple[str, ...]
    spans_intercept: bool = False
    dropped: int | None = None

    def kept(self, reduced: bool) -> tuple[int, ...]:
        """The columns in use."""
        return tuple(k for k in range(len(self.names)) if not (reduced and k == self.dropped))


@dataclass(frozen=True)
class Categorical:
    """A factor of levels, with its full and its reduced coding."""

    levels: tuple[Any, ...]
    full: Contrast
    reduced: Contrast
    spans_intercept: bool = True

    def contrast(self, reduced: bool) -> Contrast:
        """The coding in use."""
        return self.reduced if reduced else self.full


Learned = Numeric | Categorical
Values = tuple[Tensor, ...]  # a factor's columns: numeric ones, or one of integer codes


@dataclass(frozen=True)
class Schema:
    """The right-hand side of a formula as learned: factors, their coding, the state of their transforms."""

    parsed: Parsed
    factors: Mapping[str, Learned]
    state: Mapping[str, Any]  # of stateful transforms, by their code
    caller: Mapping[str, Any]  # the caller's variables that the formula uses

    @cached_property
    def pieces(self) -> list[tuple[Piece, ...]]:
        """What each term adds: R's rank rule."""
        return pieces(self.parsed.terms, {name: f.spans_intercept for name, f in self.factors.items()})

    @cached_property
    def term_names(self) -> dict[str, tuple[str, ...]]:
        """Each term's label -> the names of its columns, as formulaic prints them."""
        return {
            term.label: tuple(itertools.chain(*(self._names(piece) for piece in parts)))
            for term, parts in zip(self.parsed.terms, self.pieces, strict=True)
        }

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in the formula's order."""
        return tuple(itertools.chain(*self.term_names.values()))

    @property
    def has_intercept(self) -> bool:
        """Whether the formula has a constant of its own."""
        return any(() in parts for parts in self.pieces)

    def _fields(self, name: str, reduced: bool) -> tuple[str, ...]:
        learned = self.factors[name]
        if isinstance(learned, Categorical):
            return learned.contrast(reduced).names
        return tuple(learned.names[k] for k in learned.kept(reduced))

    def _names(self, piece: Piece) -> list[str]:
        if not piece:
            return ["Intercept"]
        fields = [self._fields(name, reduced) for name, reduced in reversed(piece)]
        return [":".join(reversed(choice)) for choice in itertools.product(*fields)]

    def columns(
        self, values: Mapping[str, Values], rows: int, *, center: bool = False, among: int | None = None
    ) -> Columns:
        """The columns of the rows whose factors have these values; `center` chooses centres by looking at them.

        `among` says how many rows there are in all, where these are a piece of them.
        """
        return _Builder(self, values, rows, rows if among is None else among).build(center)


def scale_of(term: Term) -> float:
    """The product of a term's numbers, as 2 in `2:x`."""
    scale = 1.0
    for factor in term.factors:
        if factor.kind == "literal":
            scale *= float(factor.text)
    return scale


class _Builder:
    """Gathers the parts of a schema's columns, term by term."""

    def __init__(self, schema: Schema, values: Mapping[str, Values], rows: int, among: int):
        self.schema, self.values, self.rows, self.among = schema, values, rows, among
        self.constant: int | None = None
        self.products: list[tuple[Product, int]] = []
        self.coded: list[tuple[Coded, Tensor]] = []
        self.codes: dict[tuple[str, ...], Tensor] = {}
        self.next = 0

    def build(self, center: bool) -> Columns:
        """The columns, factors in the order that serves elimination: the largest plain one last."""
        for term, parts in zip(self.schema.parsed.terms, self.schema.pieces, strict=True):
            for piece in parts:
                self._add(piece, scale_of(term))
        self.coded.sort(key=lambda c: c[0].coding.width if c[0].coding.index is not None else -1)
        if self.among >= MANY_ROWS:
            self._join_small_factors()
        places = [] if self.constant is None else [torch.tensor([self.constant])]
        places.append(torch.tensor([place for _, place in self.products], dtype=torch.int64))
        places.extend(place for _, place in self.coded)
        products = tuple(product for product, _ in self.products)
        table = even_table(products)
        centers = choose_centers(products, table, self.rows, center and self.constant is not None)
        dense = Dense(products, centers, table)
        return Columns(self.constant is not None, dense, tuple(part for part, _ in self.coded), torch.cat(places))

    def _join_small_factors(self) -> None:
        """Main effects of few levels become one factor of their combinations: one sum over the rows for all."""
        plain = sorted((c for c in self.coded if not c[0].values), key=lambda c: c[0].coding.cells)
        joint: list[tuple[Coded, Tensor]] = []
        for part, places in plain:
            if joint and joint[-1][0].coding.cells * part.coding.cells <= JOINT_CELLS:
                whole, before = joint.pop()
                joint.append((jointly(whole, part), torch.cat([before, places])))
            else:
                joint.append((part, places))
        others = [c for c in self.coded if c[0].values]
        self.coded = others + joint

    def _add(self, piece: Piece, scale: float) -> None:
        if not piece and scale == 1.0:
            self.constant = self.next
            self.next += 1
            return
        numeric: list[tuple[str, tuple[int, ...]]] = []
        categorical: list[tuple[str, Contrast]] = []
        for name, reduced in piece:
            learned = self.schema.factors[name]
            if isinstance(learned, Numeric):
                numeric.append((name, learned.kept(reduced)))
            else:
                categorical.append((name, learned.contrast(reduced)))
        strides, width = self._strides(piece)
        scaling = () if scale == 1.0 else (torch.full((1,), scale, dtype=torch.float64).expand(self.rows),)
        coding = _crossed([contrast.coding for _, contrast in categorical])
        cells = _places(
            [contrast.coding.width for _, contrast in categorical], [strides[name] for name, _ in categorical]
        )
        for choice in itertools.product(*(enumerate(kept) for _, kept in reversed(numeric))):
            picked = list(reversed(choice))
            columns = tuple(self.values[name][k] for (name, _), (_, k) in zip(numeric, picked, strict=True))
            place = self.next + sum(strides[n] * at for (n, _), (at, _) in zip(numeric, picked, strict=True))
            if not categorical:
                self.products.append((scaling + columns, place))
            elif coding.width:
                codes = self._crossed_codes([name for name, _ in categorical])
                self.coded.append((Coded(codes, coding, scaling + columns), cells + place))
        self.next += width

    def _strides(self, piece: Piece) -> tuple[dict[str, int], int]:
        """How far apart a factor's neighbouring columns stand: earlier factors vary faster."""
        strides, width = {}, 1
        for name, reduced in piece:
            strides[name] = width
            width *= len(self.schema._fields(name, reduced))
        return strides, width

    def _crossed_codes(self, names: list[str]) -> Tensor:
        """One code a row for the combination of levels; the first factor varies fastest."""
        key = tuple(names)
        if key not in self.codes:
            codes, stride = self.values[names[0]][0], 1
            for before, name in itertools.pairwise(names):
                learned = self.schema.factors[before]
                assert isinstance(learned, Categorical)
                stride *= len(learned.levels)
                codes = codes.to(torch.int64) + stride * self.values[name][0].to(torch.int64)  # int8 would wrap
            self.codes[key] = codes
        return self.codes[key]


def _crossed(codings: list[Coding]) -> Coding:
    crossed = codings[0] if codings else Coding(1, index=torch.zeros(1, dtype=torch.int64))
    for coding in codings[1:]:
        crossed = crossed.times(coding)
    return crossed


def _places(widths: list[int], strides: list[int]) -> Tensor:
    """The place of every column of crossed codings, the first varying fastest, given each one's stride."""
    places = torch.zeros(1, dtype=torch.int64)
    for width, stride in zip(widths, strides, strict=True):
        places = (places[None, :] + stride * torch.arange(width)[:, None]).reshape(-1)
    return places


def choose_centers(products: tuple[Product, ...], table: Tensor | None, rows: int, wanted: bool) -> Tensor:
    """(width,) what to subtract: the mean of a few stretches of rows where it is far from zero, else nothing."""
    if not wanted or not rows or not products:
        return torch.zeros(len(products), dtype=torch.float64)
    starts = sorted({int(k * max(rows - STRETCH, 0) / (STRETCHES - 1)) for k in range(STRETCHES)})
    if table is not None:
        seen = torch.cat([table[:, start : start + STRETCH] for start in starts], dim=1).to(torch.float64)
    else:
        seen = torch.stack(
            [torch.cat([rows_product([c[s : s + STRETCH] for c in product]) for s in starts]) for product in products]
        )
    mean, spread = seen.mean(1), seen.std(1, correction=0)
    return torch.where(mean.abs() > CENTER_WHEN * spread, mean, 0.0)


def even_table(products: tuple[Product, ...]) -> Tensor | None:
    """All columns as one (width, rows) view, where they lie evenly spaced in memory, as in a frame's block."""
    if not products or any(len(product) != 1 for product in products):
        return None
    columns = [product[0] for product in products]
    first = columns[0]
    if any(c.dtype != first.dtype or c.stride() != (1,) or c.device != first.device for c in columns):
        return None
    if len(columns) == 1:
        return first[None, :]
    size = first.element_size()
    gap = columns[1].data_ptr() - first.data_ptr()
    owner = first.untyped_storage().data_ptr()
    even = all(c.data_ptr() - first.data_ptr() == k * gap for k, c in enumerate(columns))
    if not even or gap % size or gap < len(first) * size:
        return None
    return _strided(columns, owner, gap // size)


def _strided(columns: list[Tensor], owner: int, gap: int) -> Tensor | None:
    first = columns[0]
    shared = first.untyped_storage()
    needed = ((len(columns) - 1) * gap + len(first)) * first.element_size() + (first.data_ptr() - owner)
    if shared.nbytes() >= needed and all(c.untyped_storage().data_ptr() == owner for c in columns):
        return first.as_strided((len(columns), len(first)), (gap, 1), first.storage_offset())
    return None
