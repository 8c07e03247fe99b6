"""step(): terms dropped and added one at a time while a criterion falls."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from torchglm.coefficients import require_fits
from torchglm.design.rewrite import term_key, with_terms, without_terms
from torchglm.design.terms import Term
from torchglm.errors import DataError, OptionError
from torchglm.fit import Fit
from torchglm.inference.hypotheses.drop_add import NONE, extract_aic
from torchglm.inference.hypotheses.term_tests import Refits, refuse_without_likelihood
from torchglm.inference.hypotheses.terms import droppable, model_terms
from torchglm.report.term_table import TermTable
from torchglm.term_tests import Scope, add_table, caller_of, drop_table, scope_terms
from torchglm.update import refit

DIRECTIONS = ("both", "backward", "forward")
WORSE = 1e-7  # what dropping a term without a degree of freedom may add to the criterion by rounding


@dataclass(frozen=True, eq=False)
class Selection:
    """Where step() came to: the last `fit`, and the `path` to it, a row a step."""

    fit: Fit
    path: TermTable

    def __str__(self) -> str:
        return f"{self.path}\n\nFinal model: {self.fit.formula}"

    def __repr__(self) -> str:
        return str(self)


def step(
    fit: Fit,
    scope: Scope | tuple[Scope, Scope] = None,
    direction: str | None = None,
    criterion: str | float = "aic",
    *,
    max_steps: int = 1000,
    trace: Callable[[str], object] | None = None,
) -> Selection:
    """The model that a search by single terms ends at, no interaction without its main effects.

    scope      the largest model, as a formula "~ x * z", or terms "x + z" that may join; (smallest, largest) too.
               None: terms of the fit only
    direction  "both", "backward" or "forward"; None: "both" with a scope, else "backward"
    criterion  "aic", "bic", or what a parameter costs
    trace      called with the table of every step, as trace=print

    The criterion is R's extractAIC, its change by a term that of drop1() and add1(). All fits have the same rows.
    Raises: OptionError for a family without likelihood; DataError where a term has missing values in rows of the fit.
    Source: stats::step.
    """
    require_fits("step()", fit)
    fit.record.refuse_several("step()")
    estimate = refuse_without_likelihood(fit.record, fit.estimate, "step()")
    estimate.refuse_changed_data()
    k = _cost(criterion, fit)
    direction = ("backward" if scope is None else "both") if direction is None else direction
    if direction not in DIRECTIONS:
        raise OptionError(f'direction= is "both", "backward" or "forward"; got {direction!r}.')
    if math.isnan(extract_aic(fit.record, k)):
        raise OptionError(
            f"The {fit.family.name} family has no likelihood, and so no AIC to search by. Use drop1(fit, test='F')."
        )
    search = _Search(*_bounds(fit, scope), direction, k, caller_of(sys._getframe(1)), trace)
    fits, changes = [fit], [""]
    for _ in range(max_steps):
        change = search.change(fits[-1])
        if change is None:
            break
        label, parsed = change
        following = _on_same_rows(fits[-1], refit(fits[-1], parsed, None, search.caller), label)
        if extract_aic(following.record, k) >= extract_aic(fits[-1].record, k) + WORSE:
            break
        fits.append(following)
        changes.append(label)
    return Selection(fits[-1], _path(fits, changes, k, criterion))


@dataclass(frozen=True)
class _Search:
    lower: frozenset[frozenset[str]]
    upper: tuple[Term, ...]
    direction: str
    k: float
    caller: Mapping[str, Any]
    trace: Callable[[str], object] | None

    def change(self, fit: Fit) -> tuple[str, str] | None:
        """The best change, "- x" or "+ z", and the formula it leads to; None where the fit is best."""
        assert fit.estimate is not None
        old = fit.estimate.prepared.parsed
        terms = model_terms(fit.record.schema)
        frames, formulas = [], {}
        if self.direction != "forward":
            drop = [t for t in droppable(terms) if t.key not in self.lower]
            frame = drop_table(fit, Refits(fit.estimate, terms), drop, None, self.k).frame
            formulas |= {f"- {t.label}": without_terms(old, [t.key]).text for t in drop}
            frame.index = pd.Index([frame.index[0], *(f"- {t.label}" for t in drop)])
            empty = frame.index[(frame["df"] == 0).to_numpy()]
            if len(empty):
                return empty[-1], formulas[empty[-1]]
            frames.append(frame)
        if self.direction != "backward" and (new := self._new(fit)):
            frame = add_table(fit, new, self.caller, None, self.k).frame
            by_label = {t.label: t for t in with_terms(old, new).terms}
            added = {label: f"+ {label}" for label in frame.index[1:]}
            formulas |= {text: with_terms(old, [by_label[label]]).text for label, text in added.items()}
            frame = frame.rename(index=added)
            frames.append(
                frame[(frame["df"] != 0).to_numpy()] if not frames else frame.iloc[1:][frame["df"].iloc[1:] != 0]
            )
        return self._best(fit, pd.concat(frames), formulas) if frames else None

    def _new(self, fit: Fit) -> list[Term]:
        assert fit.estimate is not None
        have = {term_key(t) for t in fit.estimate.prepared.parsed.terms}
        return [t for t in self.upper if term_key(t) not in have]

    def _best(self, fit: Fit, frame: pd.DataFrame, formulas: dict[str, str]) -> tuple[str, str] | None:
        frame = frame.sort_values("aic", kind="stable")
        if self.trace is not None:
            self.trace(f"{TermTable(str(fit.formula), frame)}\n")
        best = str(frame.index[0])
        return None if best == NONE else (best, formulas[best])


def _cost(criterion: str | float, fit: Fit) -> float:
    if criterion == "aic":
        return 2.0
    if criterion == "bic":
        return math.log(fit.nobs)
    if isinstance(criterion, (int, float)) and not isinstance(criterion, bool) and math.isfinite(criterion):
        return float(criterion)
    raise OptionError(f'criterion= is "aic", "bic" or what a parameter costs; got {criterion!r}.')


def _bounds(fit: Fit, scope: Any) -> tuple[frozenset[frozenset[str]], tuple[Term, ...]]:
    """The keys of the terms that stay, and the terms that may be there."""
    assert fit.estimate is not None
    lower, upper = scope if isinstance(scope, tuple) else (None, scope)
    have = fit.estimate.prepared.parsed.terms
    most = tuple(scope_terms(fit, upper)) if upper is not None else ()
    least = scope_terms(fit, lower) if lower is not None and lower not in ("1", "~ 1", "~1") else []
    return frozenset(term_key(t) for t in least), (*(t for t in have if t.factors), *most)


def _on_same_rows(before: Fit, after: Fit, label: str) -> Fit:
    assert before.estimate is not None
    assert after.estimate is not None
    one, other = before.estimate.prepared, after.estimate.prepared
    if len(one.whole.y) != len(other.whole.y):
        raise DataError(
            f"After the step {label!r} the fit would use {len(other.whole.y)} rows instead of {len(one.whole.y)}: a "
            "column has missing values. Search on the rows complete in every column, as data.dropna(subset=[...])."
        )
    return after


def _path(fits: Sequence[Fit], changes: Sequence[str], k: float, criterion: str | float) -> TermTable:
    deviance = np.array([fit.deviance for fit in fits])
    residual = np.array([fit.df_resid for fit in fits])
    frame = pd.DataFrame(
        {
            "df": np.abs(np.diff(residual, prepend=np.nan)),
            "deviance": np.diff(deviance, prepend=np.nan),
            "df.residual": residual,
            "residual.deviance": deviance,
            "aic": [extract_aic(fit.record, k) for fit in fits],
        },
        index=pd.Index([change or "<start>" for change in changes], name="step"),
    )
    what = str(criterion).upper() if isinstance(criterion, str) else f"{k:g} a parameter"
    return TermTable(f"Stepwise search by {what} from {fits[0].formula}", frame)
