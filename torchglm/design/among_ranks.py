"""A design over several ranks: all hold the same rows, or each its own; and reading data together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from torchglm.design.design import Design
from torchglm.errors import OptionError, RankError
from torchglm.numerics.ranks import SWITCH, Ranks

SAME = 1e-9  # relative: machines of two kinds may round the same sums differently


@contextmanager
def together(doing: str) -> Iterator[None]:
    """A function or block after which all ranks go on, or all raise the error of the first rank that has one."""
    with Ranks.current().together(doing):
        yield


def held_by_all(design: Design, formula: str) -> Design:
    """The design of rows that every rank holds; each adds up its share of them.

    Raises: RankError where ranks hold other data, or fit another formula.
    """
    ranks = Ranks.current()
    if ranks.world == 1:
        return design
    seen = (formula, design.n, design.widths, design.fingerprint().cpu().numpy())
    for rank, (text, n, widths, sums) in enumerate(ranks.gather(seen, "comparing their data")):
        if text != formula or n != design.n or widths != design.widths:
            raise RankError(
                f"Rank {rank} fits {text!r} to {n} rows and {sum(widths)} columns, rank {ranks.rank} fits {formula!r} "
                f"to {design.n} rows and {sum(design.widths)} columns. All ranks of one fit are given the same call "
                f'and the same data, and share the work. For a fit of its own in each process set {SWITCH}="off".'
            )
        if not np.allclose(sums, seen[3], rtol=SAME, atol=0.0, equal_nan=True):
            raise RankError(
                f"Ranks {rank} and {ranks.rank} hold other values in the columns of {formula!r}. All ranks are given "
                "the same frame, made from the same file or seed, and share its rows: give each the whole of it. "
                f'For a fit of its own in each process set {SWITCH}="off".'
            )
    return replace(design, ranks=ranks)


def held_in_shares(design: Design) -> Design:
    """The design of rows that this rank alone holds, beside those of the others."""
    ranks = Ranks.current()
    if ranks.world == 1:
        return design
    return replace(design, ranks=ranks, shares=tuple(ranks.gather(len(design.y), "counting their rows")))


@contextmanager
def together_in_shares(design: Design, doing: str) -> Iterator[None]:
    """As `together` where no rank holds all rows: what is looked at may be wrong in the rows of one of them only."""
    if design.shares is None:
        yield
        return
    with design.ranks.together(doing):
        yield


def of_all(design: Design, values: Tensor) -> Tensor:
    """One value a row held (rows held, ...) -> one a row of all ranks (n, ...), in order: those of every rank on each.

    What one process would look at whole too: it is as large as the columns that it is made of.
    """
    return values if design.shares is None else torch.cat(design.everywhere([values.cpu()])).to(values.device)


def of_own(design: Design, values: Tensor) -> Tensor:
    """Of one value a row of all ranks (n, ...) those of the rows held; the inverse of `of_all`."""
    if design.shares is None:
        return values
    before = sum(design.shares[: design.ranks.rank])
    return values[before : before + len(design.y)]


def used_by_all(design: Design, rows: np.ndarray | None) -> np.ndarray | None:
    """(rows of the data,) True where a rank uses the row, from the rows that this one uses; None for all."""
    if design.shares is None or rows is None:
        return rows
    packed = np.bitwise_or.reduce(design.everywhere([np.packbits(rows)]))
    return np.unpackbits(packed, count=len(rows)).astype(bool)


def own_seed(design: Design, seed: int) -> int:
    """The seed of random numbers for the rows held: another one on every rank that holds rows of its own."""
    if design.shares is None or design.ranks.rank == 0:
        return seed
    return int(np.random.SeedSequence((seed, design.ranks.rank)).generate_state(1, np.uint64)[0] >> 1)


def require_all_rows(design: Design, what: str) -> None:
    """Nothing, where this process holds all rows.

    Raises: OptionError where each of several processes holds rows of its own.
    """
    if design.shares is not None and design.ranks.world > 1:
        raise OptionError(
            f"{what} looks at rows next to each other or together, and each of the {design.ranks.world} processes "
            "has read rows of its own only. Use one process, or give a frame that each of them holds whole."
        )
