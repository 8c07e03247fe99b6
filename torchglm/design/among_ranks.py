"""A design over several ranks: all hold the same rows, or each its own; and reading data together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from torchglm.design.design import Design
from torchglm.design.fingerprint import placed_sums
from torchglm.errors import OptionError, RankError
from torchglm.numerics.ranks import SWITCH, Ranks

SAME = 1e-9  # of the sum of sizes: machines of two kinds may round the same sums differently
EVERY_FILE = (
    "Every rank names all files, in one order, and reads row groups of its own: give each sorted(folder.glob(...)), "
    "not a part of them. "
)


@contextmanager
def together(doing: str) -> Iterator[None]:
    """A function or block after which all ranks go on, or all raise the error of the first rank that has one.

    See `Ranks.together`: inside, each may fail by itself.
    """
    with Ranks.current().together(doing):
        yield


def held_by_all(design: Design, call: Mapping[str, str]) -> Design:
    """The design of rows that every rank holds; each adds up its share of them. `call`: what was asked for, by name.

    Raises: RankError where ranks hold other data, or ask for something else.
    """
    ranks = Ranks.current()
    if ranks.world == 1:
        return design
    ranks.agree({"files": "a frame", **call, "rows": str(design.n), "columns": str(sum(design.widths))})
    seen = placed_sums(design).cpu().numpy()
    first, *others = ranks.gather(seen, "comparing their data")
    for rank, other in enumerate(others, 1):
        if not bool((np.abs(other[0] - first[0]) <= SAME * first[1]).all()):
            raise RankError(
                f"Ranks 0 and {rank} hold other values in the columns of {call['formula']!r}, or rows in another "
                "order. All ranks are given the same frame, made from the same file or seed, and share its rows: give "
                f'each the whole of it, sorted alike. For a fit of its own in each process set {SWITCH}="off".'
            )
    return replace(design, ranks=ranks)


def read_by_all(ranks: Ranks, files: str, call: Mapping[str, str]) -> None:
    """Nothing, where all ranks read the same stream for the same call; `files`: what it is read from.

    Raises: RankError.
    """
    if ranks.world > 1:
        ranks.agree({"files": files, **call}, advice=EVERY_FILE)


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
