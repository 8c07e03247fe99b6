"""The likelihood-ratio tests of nested models of several linear predictors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd
import torch

from torchglm.design.among_ranks import together_in_shares
from torchglm.design.weights import Probability
from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.vector_nested import extra_predictors, spans
from torchglm.inference.vector import VectorEstimate
from torchglm.report.term_table import TermTable
from torchglm.vector_fit import VectorFit

NESTED = 1e-6  # a fall of -2 logLik below it is what searches leave


def vector_likelihood_ratio(
    fits: Sequence[VectorFit], test: str | None = None, names: Sequence[str] | None = None
) -> TermTable:
    """Each fit against the one before it: twice the gain in log-likelihood, by chi-square.

    Raises: OptionError for fits of other rows, responses or weights, for models that are not nested, and for a test
    other than "Chisq".
    """
    if test not in (None, "Chisq"):
        raise OptionError(f'Models of several linear predictors are compared by test="Chisq"; got {test!r}.')
    labels = [fit.formula or f"model {k + 1}" for k, fit in enumerate(fits)] if names is None else list(names)
    if len(labels) != len(fits):
        raise OptionError(f"names= has {len(labels)} names for {len(fits)} fits.")
    estimates = [_with_rows(fit) for fit in fits]
    with together_in_shares(estimates[0].objective.design, "comparing the rows of the fits"):
        for label, estimate in zip(labels[1:], estimates[1:], strict=True):
            _refuse_other_rows(estimates[0], estimate, label)
        for pair in pairwise(zip(labels, fits, estimates, strict=True)):
            small, large = sorted(pair, key=lambda one: -one[1].df_resid)
            _refuse_not_nested((small[0], small[2]), (large[0], large[2]))
    rows: list[tuple[float, ...]] = [(fits[0].df_resid, fits[0].llf, fits[0].aic, math.nan, math.nan, math.nan)]
    for before, after, label in zip(fits, fits[1:], labels[1:], strict=False):
        rows.append(_row(before, after, label))
    columns = ["df.residual", "logLik", "aic", "df", "statistic", "p.value"]
    frame = pd.DataFrame(rows, columns=columns, index=pd.Index(labels))
    return TermTable("Likelihood-ratio tests", frame, "LR", ("Each model is tested against the one above it.",))


def _row(before: VectorFit, after: VectorFit, label: str) -> tuple[float, ...]:
    from scipy import special

    df, gain = before.df_resid - after.df_resid, 2.0 * (after.llf - before.llf)
    if df == 0 or gain * df < -NESTED * max(abs(after.llf), 1.0):
        raise OptionError(
            f"{label!r} and the model before it are not nested: {after.record.facts.rank} coefficients and logLik "
            f"{after.llf:.4f} against {before.record.facts.rank} and {before.llf:.4f}. Compare their AIC."
        )
    df, statistic = abs(df), abs(gain)
    return after.df_resid, after.llf, after.aic, df, statistic, float(special.chdtrc(df, statistic))


def _refuse_not_nested(small: tuple[str, VectorEstimate], large: tuple[str, VectorEstimate]) -> None:
    """Nothing, where the larger model can say what the smaller one says.

    Raises: OptionError.
    """
    (one, less), (other, more) = small, large
    laws = less.model.likelihood, more.model.likelihood
    added = extra_predictors(*laws)
    if added is None:
        of_theta = type(laws[0]) is type(laws[1]) and getattr(laws[0], "count", None) != getattr(laws[1], "count", None)
        hint = " theta_test() tests the one against the other." if of_theta else ""
        raise OptionError(
            f"{one!r} and {other!r} are different models ({less.model.title.lower()}, {more.model.title.lower()}, "
            f"or other links), whose likelihoods are no ratio to test. Compare their aic or bic.{hint}"
        )
    if not spans(more, less, added):
        raise OptionError(
            f"The models are not nested: the columns of {one!r} are no combinations of those of {other!r}, so that "
            "their likelihood ratio is not chi-squared. Compare their aic or bic."
        )


def _with_rows(fit: VectorFit) -> VectorEstimate:
    if fit.estimate is None:
        raise OptionError("A likelihood ratio needs the data, and this fit was loaded without its data. Fit it again.")
    if isinstance(fit.estimate.prepared.weights, Probability):
        raise OptionError(
            "A likelihood ratio compares likelihoods, and rows that were sampled with unequal probabilities "
            "(prob_weights=) have none. Use fit.wald_test()."
        )
    assert isinstance(fit.estimate, VectorEstimate)
    fit.estimate.refuse_changed_data()
    return fit.estimate


def _refuse_other_rows(first: Estimate, other: Estimate, label: str) -> None:
    ours, theirs = first.prepared.design, other.prepared.design
    same = ours.n == theirs.n and torch.equal(ours.y, theirs.y) and _same(ours.weight, theirs.weight)
    if not same or first.prepared.response.levels != other.prepared.response.levels:
        raise OptionError(f"{label!r} was fitted to other rows, responses or weights. Fit both to the same subset=.")


def _same(ours: torch.Tensor | None, theirs: torch.Tensor | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return torch.equal(ours, theirs)
