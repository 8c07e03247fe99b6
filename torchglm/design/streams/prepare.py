"""From formulas and a stream to Designs over mapped memory: learn, encode, and again where fewer rows were used."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from torch import Tensor

from torchglm.design.among_ranks import held_in_shares, read_by_all
from torchglm.design.design import Design
from torchglm.design.environment import caller_values
from torchglm.design.extras import Extra, read_extras
from torchglm.design.missing import nothing_complete, nothing_left
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request
from torchglm.design.response import Response
from torchglm.design.streams.encode import Encoded, encode
from torchglm.design.streams.learn import Known, learn_stream, no_row_wanted
from torchglm.design.streams.own_rows import OwnRows
from torchglm.design.streams.plan import Plan
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.streams.tally import Tally
from torchglm.design.terms import Parsed
from torchglm.design.weights import KINDS, Weights, all_zero, frequency_of_trials, no_trials
from torchglm.errors import DataError
from torchglm.numerics.machine import is_in_memory
from torchglm.numerics.ranks import Ranks

LOG = logging.getLogger("torchglm")


def prepare_stream(
    formulas: Sequence[Parsed], source: StreamedSource, request: Request, caller: Mapping[str, Any]
) -> tuple[Prepared, ...]:
    """One Prepared a formula, all over the same rows. The first has the offset= and exposure= of the call.

    Raises: what `prepare` raises; DataError for a stream that changes, and where the disk is full.
    """
    if source.rows == 0:
        raise DataError("The data have no rows.")
    plain = replace(request, offset=None, exposure=None, weights=None, freq_weights=None, prob_weights=None)
    extras = tuple(
        tuple(read_extras(parsed, source, request if k == 0 else plain)) for k, parsed in enumerate(formulas)
    )
    ranks = Ranks.current()
    with ranks.together("reading the data"):
        plan = Plan(tuple(formulas), source, source.stream.share(ranks), request, caller, extras, ranks)
        plan = replace(plan, caller=caller_values([*plan.factors, *plan.beside], source, caller))
        read_by_all(ranks, source.stream.identity, request.described(formulas, plan.caller))
        kept: np.ndarray | None = None
        while True:
            own = OwnRows(plan.values)
            known = learn_stream(plan, kept, own)
            encoded = _over_ranks(plan, encode(plan, known, kept, source.rows, own))
            if encoded.tally.used == 0 or _learned_on_what_is_used(known, encoded):
                break
            kept = _joined(plan, encoded.tally.rows)
        _refuse_nothing(plan, encoded)
        if request.prob_weights is not None:  # as `Probability.normal`
            encoded.divide_weights(encoded.tally.weights / (encoded.tally.used - encoded.tally.zero_weight))
        _tell(plan, encoded)
        positive = encoded.positive(plan.stream.room.directory) if encoded.tally.zero_weight else encoded
        return tuple(_assembled(plan, known, encoded, positive, k) for k in range(len(formulas)))


def _tell(plan: Plan, encoded: Encoded) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in encoded.tensors.values())
    directory = plan.stream.room.directory
    place = f"{directory}, which is memory: name another directory, cache=" if is_in_memory(directory) else directory
    LOG.info("%s rows encoded: %.3g GB in %s", f"{len(encoded.y):,}", size / 1e9, place)


def _over_ranks(plan: Plan, encoded: Encoded) -> Encoded:
    """The same with the counts of all ranks, and columns centred at the same values on all."""
    if plan.ranks.world == 1:
        return encoded
    own = encoded.tally
    every = plan.ranks.gather(replace(own, rows=None), "counting rows and levels")
    tally = reduce(Tally.plus, every)
    first = plan.ranks.gather(encoded.centers, "agreeing on centers")[0]
    return replace(encoded.centered(first), tally=replace(tally, rows=own.rows))


def _joined(plan: Plan, rows: np.ndarray | None) -> np.ndarray | None:
    """(rows of the data,) True where a row is used, on whichever rank it is."""
    if plan.ranks.world == 1:
        return rows
    own = np.zeros(plan.source.rows, dtype=bool) if rows is None else rows
    packed = plan.ranks.gather(np.packbits(own), "telling which rows are used")
    return np.unpackbits(np.bitwise_or.reduce(packed), count=len(own)).astype(bool)


def _learned_on_what_is_used(known: Known, encoded: Encoded) -> bool:
    """Whether every level occurs among the rows used, and every transform saw just these."""
    tally = encoded.tally
    return all(bool((counts > 0).all()) for counts in tally.levels.values()) and known.stateful <= {tally.used}


def _refuse_nothing(plan: Plan, encoded: Encoded) -> None:
    tally = encoded.tally
    if tally.asked == 0:
        raise no_row_wanted(plan)
    if tally.used == 0:
        lost = {name: count for name, count in tally.lost.items() if count}
        raise nothing_complete(lost) if lost else nothing_left(plan.formulas[0].text)
    if tally.used == tally.zero_weight:
        given = next((extra for extra in plan.extras[0] if extra.role in KINDS), None)
        raise no_trials() if given is None else all_zero(given.role, given.label)


def _design(encoded: Encoded, k: int) -> Design:
    offset, weight = encoded.column(f"offset {k}"), encoded.column("weight")
    return held_in_shares(Design(encoded.y, (encoded.parts[k],), (offset,), weight, pages=encoded.pages))


def _assembled(plan: Plan, known: Known, encoded: Encoded, positive: Encoded, k: int) -> Prepared:
    extras, tally, learned = plan.extras[k], encoded.tally, known.response
    whole = _design(encoded, k)
    response = Response(encoded.y, encoded.column("trials")) if learned is None else replace(learned, y=encoded.y)
    return Prepared(
        whole if positive is encoded else _design(positive, k),
        whole,
        known.schemas[k],
        response,
        plan.response.text,
        _weights(extras, positive.column("weight"), positive.column("trials")),
        tuple(extra for extra in extras if extra.role == "offset"),
        next((extra for extra in extras if extra.role == "exposure"), None),
        plan.source.index,
        tally.rows,
        tally.asked - tally.used,
        tally.zero_weight,
        plan.formulas[k],
        plan.request,
        plan.source,
        plan.caller,
    )


def _weights(extras: Sequence[Extra], weight: Tensor | None, trials: Tensor | None) -> Weights | None:
    given = next((extra for extra in extras if extra.role in KINDS), None)
    if weight is None:
        return None
    if given is None:
        return KINDS["weights"](weight, "trials of cbind")
    if trials is not None and given.role == "freq_weights":
        raise frequency_of_trials(given.label)
    return KINDS[given.role](weight, given.label, trials)
