"""Wald tests of terms, adjusted for other terms or not: what analysis of deviance is, from one covariance.

A hypothesis L theta = 0 says that the mean lies in the span of fewer columns. Restrictions L1 are among those of L2;
the test of L2 beyond L1 is that of the combinations of L2 uncorrelated with L1:

    chi2 = chi2(L2) - chi2(L1)

Source: car::Anova with test.statistic = "Wald" (its conjugate complement), for any covariance.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.aliasing import combinations
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.linear import squared_length
from torchglm.inference.hypotheses.terms import ModelTerm, kept_columns
from torchglm.inference.record import Record

NEGLIGIBLE = 1e-8  # of the largest singular value: a direction that is not there


class TermWald:
    """Wald tests of the terms of one fit."""

    def __init__(self, record: Record, estimate: Estimate | None):
        if estimate is None and record.facts.aliased:
            raise OptionError(
                "This fit was loaded without its data, and some of its coefficients are aliased: which hypotheses of a "
                "term can be tested follows from the columns. Leave the aliased terms out, or fit again."
            )
        self.theta = record.numbers.theta
        self.defined = ~torch.isnan(self.theta)
        covariance = record.defined_covariance
        errors = covariance.diagonal().clamp(min=0.0).sqrt()
        self.errors = torch.where(errors > 0, errors, 1.0)
        self.correlation = covariance / self.errors[:, None] / self.errors[None, :]
        self.aliased = None if estimate is None or not record.facts.aliased else combinations(estimate)

    def test(self, larger: Iterable[ModelTerm], smaller: Iterable[ModelTerm], shown: str) -> tuple[float, int]:
        """chi2 and df of the hypothesis that the terms of `larger` that `smaller` lacks add nothing to it.

        Raises: OptionError where the covariance is singular, or there is none.
        """
        if not bool(torch.isfinite(self.correlation).all()):
            raise OptionError(f"The term {shown!r} cannot be tested: the coefficients have no standard errors here.")
        outer, inner = self.restrictions(smaller), self.restrictions(larger)
        left = complement(outer @ self.correlation @ inner.T) @ outer
        if not len(left):
            return 0.0, 0
        gap = left @ (self.theta.nan_to_num(nan=0.0) / self.errors)
        return squared_length(gap, left @ self.correlation @ left.T, shown), len(left)

    def restrictions(self, kept: Iterable[ModelTerm]) -> Tensor:
        """L (m, p), of theta in standard errors: that the mean lies in the span of the columns of these terms."""
        p = len(self.theta)
        inside = kept_columns(kept, p)
        out = torch.nonzero(~inside & self.defined).flatten()
        rows = torch.eye(p, dtype=torch.float64)[out]
        if self.aliased is None:
            return rows
        # An aliased column that stays is a combination of columns that go: along it theta is free.
        places, shares = self.aliased
        free = (shares[:, inside[places]] / self.errors[:, None])[out]
        return complement(free) @ rows


def complement(columns: Tensor) -> Tensor:
    """(m - rank, m) an orthonormal basis of what is orthogonal to the columns (m, k)."""
    m = len(columns)
    if not columns.numel():
        return torch.eye(m, dtype=torch.float64)
    u, values, _ = torch.linalg.svd(columns, full_matrices=True)
    return u[:, int((values > NEGLIGIBLE * values.max()).sum()) :].T
