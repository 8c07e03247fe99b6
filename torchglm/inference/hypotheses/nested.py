"""Likelihood ratios of nested fits: which fits can be compared, and their analysis of deviance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import together_in_shares
from torchglm.design.block import Block
from torchglm.design.learn import raw_missing
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.families.tweedie import Tweedie
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.score import linear_predictor, score
from torchglm.inference.hypotheses.term_tests import TESTS, Tabled, p_value, resolve_test, statistic
from torchglm.inference.record import Record
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import factor
from torchglm.objective.objective import Objective, gradient_sums

IN_SPAN = 1e-6  # what a projection may leave of a vector that lies in the span, relative to its length
PROBES = 2  # random combinations of columns: each lies outside of the span if any column does, almost surely


@dataclass(frozen=True)
class Labelled:
    """A fit that takes part in a comparison, and how its row is labelled."""

    label: str
    record: Record
    estimate: Estimate


def likelihood_ratio(fits: Sequence[Labelled], test: object) -> Tabled:
    """The analysis of deviance of nested fits, each against the one before it.

    Raises: OptionError for fits that cannot be compared; UnknownNameError.
    """
    first = fits[0]
    with together_in_shares(first.estimate.objective.design, "comparing the rows of the fits"):
        for other in fits[1:]:
            refuse_different(first, other)
    largest = max(fits, key=lambda fit: fit.record.facts.rank)
    chosen = resolve_test(largest.record, test, ("F", "Chisq", "Rao"))
    rows = [_row(first)]
    for before, fit in pairwise(fits):
        small, large = sorted((before, fit), key=lambda one: one.record.facts.rank)
        refuse_not_nested(small, large)
        df = fit.record.facts.rank - before.record.facts.rank
        drop = _drop(small.record, large.record)
        value = statistic(largest.record, chosen, drop, abs(df), lambda a=large, b=small: _rao(a, b))
        p = p_value(chosen, value, abs(df), largest.record.df_resid)
        change = {"df": float(df), "deviance": math.copysign(1.0, df) * drop}
        rows.append(_row(fit) | change | {"statistic": value, "p.value": p})
    frame = pd.DataFrame(rows, index=pd.Index([fit.label for fit in fits], name="model"))
    frame = frame.reindex(columns=["df.residual", "residual.deviance", "df", "deviance", "statistic", "p.value"])
    phi = f"phi = {largest.record.numbers.phi:.4g} ({largest.record.facts.dispersion_kind}) of the largest model"
    note = f"{TESTS[chosen]}; {phi}"
    return Tabled("Analysis of deviance of nested models", frame, "chi2" if chosen == "Chisq" else chosen, (note,))


def _drop(small: Record, large: Record) -> float:
    """The likelihood ratio at phi = 1: of deviances, or of likelihoods where theta differs from fit to fit."""
    if _law(small.family) != _law(large.family):
        return 2.0 * (large.log_likelihood - small.log_likelihood)
    return small.numbers.totals.deviance - large.numbers.totals.deviance


def _row(fit: Labelled) -> dict[str, float]:
    return {"df.residual": fit.record.df_resid, "residual.deviance": fit.record.numbers.totals.deviance}


def _rao(large: Labelled, small: Labelled) -> float:
    eta = linear_predictor(small.estimate.objective, small.estimate.solution.theta)
    return score(large.estimate.objective, eta).value


def refuse_different(a: Labelled, b: Labelled) -> None:
    """Nothing, where two fits have the same family, rows, response and weights.

    Raises: OptionError.
    """
    laws = _law(a.record.family), _law(b.record.family)
    if laws[0] != laws[1] and all(isinstance(law, Tweedie) for law in laws) and laws[0].link == laws[1].link:
        raise OptionError(
            f"{a.label!r} and {b.label!r} have different powers of the variance, so that their deviances are no "
            "ratio to test. Fit both with one power=, as tweedie(..., power=1.5), or compare their aic or bic."
        )
    if laws[0] != laws[1] and not _differ_by_estimates(a.record, b.record):
        raise OptionError(
            f"Likelihoods of different models are no ratio to test: {a.label!r} is {_family(a)}, {b.label!r} is "
            f"{_family(b)}. Compare their aic or bic."
        )
    one, other = a.estimate.prepared, b.estimate.prepared
    masks = [np.ones(len(p.source.index), bool) if p.rows is None else p.rows for p in (one, other)]
    used = [int(mask.sum()) for mask in masks]
    if used[0] != used[1] or (len(masks[0]) == len(masks[1]) and not (masks[0] == masks[1]).all()):
        raise OptionError(
            f"The fits use different rows: {a.label!r} {used[0]}, {b.label!r} {used[1]}.{_missing(a)}{_missing(b)} "
            "Fit both to the rows that are complete in every column, as data.dropna(subset=[...])."
        )
    if one.design.n != other.design.n or not torch.equal(one.design.y.cpu(), other.design.y.cpu()):
        raise OptionError(f"The fits have different responses: {one.response_name!r} and {other.response_name!r}.")
    kinds = [type(p.weights) for p in (one, other)]
    weights = [p.design.weight for p in (one, other)]
    same = all(w is None for w in weights) or (
        all(w is not None for w in weights) and torch.equal(weights[0].cpu(), weights[1].cpu())  # type: ignore[union-attr]
    )
    if kinds[0] is not kinds[1] or not same:
        raise OptionError(f"The fits {a.label!r} and {b.label!r} have different weights.")


def _differ_by_estimates(a: Record, b: Record) -> bool:
    """Whether two families differ only by a parameter that each fit has estimated, as theta of negative_binomial()."""
    same = type(a.family) is type(b.family) and a.family.link == b.family.link
    known = a.facts.estimated.keys() == b.facts.estimated.keys() != set()
    return same and known and not a.family.has_dispersion


def _law(family: Family) -> Family:
    """The family without the dispersion of its density, which is another matter than phi of the tests."""
    return replace(family, phi=None) if isinstance(family, Tweedie) else family


def _family(fit: Labelled) -> str:
    family = fit.record.family
    return f"{family.name} with link {family.link.name}"


def _missing(fit: Labelled) -> str:
    """Which columns of a fit have missing values, as a sentence."""
    prepared = fit.estimate.prepared
    if not prepared.missing:
        return ""
    found = raw_missing(list(prepared.parsed.factors), prepared.source, None)
    shown = ", ".join(f"{name!r} ({int(mask.sum())})" for name, mask in found.items())
    return f" {fit.label!r} drops rows with missing values{f' in {shown}' if shown else ''}."


def refuse_not_nested(small: Labelled, large: Labelled) -> None:
    """Nothing, where the columns and the offset of the smaller fit lie in the span of those of the larger one.

    Raises: OptionError.
    """
    if not in_span(large.estimate.objective, _probes(small.estimate, large.estimate)):
        raise OptionError(
            f"The models are not nested: the columns of {small.label!r} are no combinations of those of "
            f"{large.label!r}, so that their likelihood ratio is not chi-squared. Compare their aic or bic."
        )


def _probes(small: Estimate, large: Estimate) -> list[Tensor]:
    """Vectors (rows,) that lie in the span of the larger model's columns if the models are nested."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.where(small.curvature.lengths > 0, small.curvature.lengths, 1.0)
    bare = small.objective.on(replace(small.objective.design, offsets=(None,)))
    mixes = torch.randn(PROBES, len(lengths), dtype=torch.float64, generator=generator).to(lengths.device) / lengths
    probes = [linear_predictor(bare, mix) for mix in mixes]
    offsets = [e.objective.design.offsets[0] for e in (small, large)]
    first, second = (torch.zeros(len(probes[0]), dtype=torch.float64) if o is None else o.cpu() for o in offsets)
    differs = small.objective.design.total(float(not torch.equal(first, second)))
    return [*probes, first - second] if differs else probes


def in_span(objective: Objective, vectors: Sequence[Tensor]) -> bool:
    """Whether vectors (rows,) are combinations of the columns: unweighted least squares, refined once."""
    bare = objective.on(replace(objective.design, offsets=(None,), weight=None))

    def gram(block: Block) -> Sums:
        ones = torch.ones_like(block.y)
        return Sums({"total": ones.sum(), **block.columns[0].gram(ones, block.scratch[0])})

    sums = bare.sum(gram)
    curvature = factor(bare.layout, sums, sums["total"])

    def projection(vector: Tensor) -> Tensor:
        def row_sums(block: Block) -> Sums:
            return Sums(gradient_sums(block, vector[block.start : block.start + block.rows, None]))

        return linear_predictor(bare, curvature.solve(bare.collapse_gradient(bare.sum(row_sums))))

    for vector in vectors:
        rest = vector.to(bare.design.device)
        for _ in range(2):
            rest = rest - projection(rest)
        left, whole = (bare.design.total(float(v.square().sum())) for v in (rest, vector))
        if left > IN_SPAN**2 * whole:
            return False
    return True
