"""A design over several ranks: all hold the same rows, or each its own; and reading data together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

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


def require_all_rows(design: Design, what: str) -> None:
    """Nothing, where this process holds all rows.

    Raises: OptionError where each of several processes holds rows of its own.
    """
    if design.shares is not None and design.ranks.world > 1:
        raise OptionError(
            f"{what} looks at rows next to each other or together, and each of the {design.ranks.world} processes "
            "has read rows of its own only. Use one process, or give a frame that each of them holds whole."
        )
