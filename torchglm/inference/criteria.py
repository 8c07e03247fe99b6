"""Criteria of a fit: AIC, BIC, and the pseudo R2s."""

from __future__ import annotations

import math

from torchglm.errors import UnknownNameError, did_you_mean
from torchglm.inference.record import Record


def aic(record: Record) -> float:
    """-2 logLik + 2 p; p counts the dispersion of gaussian, gamma and inverse gaussian, as R."""
    return -2.0 * record.log_likelihood + 2.0 * record.counted_parameters


def bic(record: Record) -> float:
    """-2 logLik + log(n) p, n the rows of positive weight, as R's nobs."""
    return -2.0 * record.log_likelihood + math.log(record.facts.n) * record.counted_parameters


def mcfadden(record: Record) -> float:
    """1 - logLik / logLik of the null model (McFadden 1974); densities above one can take it out of [0, 1]."""
    return 1.0 - record.log_likelihood / record.log_likelihood_null


def cox_snell(record: Record) -> float:
    """1 - exp(2 (null - logLik) / n) (Cox & Snell 1989)."""
    return -math.expm1(2.0 * (record.log_likelihood_null - record.log_likelihood) / record.facts.n)


def nagelkerke(record: Record) -> float:
    """Cox and Snell's divided by its largest value 1 - exp(2 null / n) (Nagelkerke 1991)."""
    return cox_snell(record) / -math.expm1(2.0 * record.log_likelihood_null / record.facts.n)


def d2(record: Record) -> float:
    """The share of the null deviance that is explained."""
    return 1.0 - record.numbers.totals.deviance / record.numbers.null.deviance


PSEUDO_R2 = {"mcfadden": mcfadden, "cox_snell": cox_snell, "nagelkerke": nagelkerke, "d2": d2}


def pseudo_r2(record: Record, kind: str) -> float:
    """One of them, by name; NaN where the family has no likelihood.

    Raises: UnknownNameError.
    """
    if kind not in PSEUDO_R2:
        raise UnknownNameError(f"There is no pseudo R2 {kind!r}. {did_you_mean(kind, PSEUDO_R2)}")
    try:
        return PSEUDO_R2[kind](record)
    except (ZeroDivisionError, OverflowError):
        return math.nan
