"""Estimate: what a fit found, apart from how it is shown. With data, or as loaded without them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.prepare import Prepared
from torchglm.errors import DataError, OptionError
from torchglm.families.family import Family
from torchglm.families.likelihood import Information
from torchglm.inference.totals import Totals, null_totals, totals
from torchglm.numerics.linalg import Factored
from torchglm.numerics.sums import Sums
from torchglm.objective.joint import curvature_sums, factor_all
from torchglm.objective.layout import Layout
from torchglm.objective.objective import Objective
from torchglm.objective.penalised import Penalised
from torchglm.solvers.solver import Solution, Stop
from torchglm.solvers.start import Start


@dataclass(frozen=True)
class Estimate:
    """A maximum of the likelihood: coefficients in the formula's order, NaN where aliased."""

    prepared: Prepared
    objective: Objective
    solution: Solution
    family: Family
    fingerprint: Tensor
    stop: Stop
    penalised: Penalised | None = None  # what was solved instead of `objective`, the likelihood
    diverging: Tensor | None = None  # (p,) True where a coefficient goes to infinity

    @cached_property
    def layout(self) -> Layout:
        """Where each coefficient stands inside."""
        return self.objective.layout

    @cached_property
    def _lost(self) -> Tensor:
        return self.curvature.aliased[self.layout.order].cpu()

    @cached_property
    def aliased(self) -> Tensor:
        """(p,) True where a coefficient is not defined, because earlier columns span its own.

        The columns tell that: at theta, the information of rows that separation has carried to their end is lost too.
        """
        if not bool(self._lost.any()) or not self._may_separate:
            return self._lost
        spanned = factor_all(self.layout, self.column_sums).aliased
        return self._lost & spanned[self.layout.order].cpu()

    @cached_property
    def undetermined(self) -> Tensor:
        """(p,) True where the information at theta says nothing of a coefficient: aliased, or gone to infinity."""
        if self.diverging is None or not bool((self._lost & ~self.aliased).any()):
            return self._lost
        return self._lost | self.diverging  # given the coefficient that is lost, the others of its direction look known

    @property
    def _may_separate(self) -> bool:
        return bool(self.family.kernel.ends)

    @cached_property
    def column_sums(self) -> Sums:
        """The sums of `curvature_sums` that tell which columns are spanned by others: here of X'X, one pass."""

        def row_sums(block: Block) -> Sums:
            return Sums(curvature_sums(replace(block, weight=None), block.y.new_ones(block.rows, 1, 1)))

        return self.objective.design.sum(row_sums)

    @cached_property
    def theta(self) -> Tensor:
        """(p,) coefficients, NaN where aliased."""
        return self.layout.to_user(self.solution.theta).cpu().masked_fill(self.aliased, math.nan)

    @property
    def information(self) -> Information:
        """Which information `curvature` is."""
        return "expected"

    @property
    def curvature(self) -> Factored:
        """The expected information at theta, factored; inner order, phi = 1."""
        return self.solution.point.curvature

    @cached_property
    def n(self) -> float:
        """The observations: rows of positive weight, or the sum of frequency weights."""
        weights, design = self.prepared.weights, self.objective.design
        return float(design.n) if weights is None else design.total(weights.count())

    @property
    def rank(self) -> int:
        """The coefficients that are defined."""
        return len(self.aliased) - int(self.aliased.sum())

    @property
    def df_resid(self) -> float:
        """n - rank."""
        return self.n - self.rank

    @property
    def pearson(self) -> float:
        """Pearson's X2."""
        return self.totals.pearson

    @cached_property
    def totals(self) -> Totals:
        """Deviance, X2 and log-likelihood, from one pass."""
        self.refuse_changed_data()
        return self.totals_at(self.objective, self.solution.theta)

    def totals_at(self, objective: Objective, theta: Tensor) -> Totals:
        """The same of another model of these rows."""
        return totals(objective, theta, self.family, self.prepared.weights)

    @property
    def start(self) -> Start:
        """Where a search that knows nothing begins."""
        return Start(self.family)

    def refuse_changed_data(self) -> None:
        """Nothing, where the data are still those of the fit: numeric columns are views that the user may write to.

        Raises: DataError where a look at their rows (at all of them up to 100,000) shows other values.
        """
        if not torch.equal(self.objective.design.fingerprint(), self.fingerprint):
            raise DataError(
                "The data have been written over since the fit, so that what was not computed yet no longer can be. "
                "Print the summary first, or fit a copy: glm(formula, data.copy())."
            )

    @cached_property
    def null(self) -> Totals:
        """The same of the model without terms: a constant where the formula has one, and the offset."""
        return null_totals(self.objective, self.family, self.prepared)

    @cached_property
    def unscaled_covariance(self) -> Tensor:
        """(p, p) inverse expected information at phi = 1, formula's order, NaN where aliased."""
        inverse = self.layout.covariance_to_user(self.curvature.inverse()).cpu()
        inverse[self.undetermined, :] = math.nan
        inverse[:, self.undetermined] = math.nan
        return inverse

    @cached_property
    def unscaled_variances(self) -> Tensor:
        """(p,) its diagonal, without the rest of it where that is cheaper."""
        layout = self.layout
        variances = self.curvature.inverse_diagonal()[layout.order]
        for place, direction in layout.shifted_constants():
            variances[place] = direction.dot(self.curvature.solve(direction))
        return variances.cpu().masked_fill(self.undetermined, math.nan)

    def rows(self, values: Tensor) -> Tensor:
        """(rows used, ...) -> (rows of the data, ...), NaN where a row was dropped."""
        kept = self.prepared.rows
        if kept is None:
            return values
        out = torch.full((len(kept), *values.shape[1:]), math.nan, dtype=torch.float64)
        out[torch.from_numpy(kept)] = values.cpu()
        return out


def with_data(estimate: Estimate | None, asked: str) -> Estimate:
    """The estimate of a fit, where it has its data.

    Raises: OptionError, which says what was asked for.
    """
    if estimate is None:
        raise OptionError(f"{asked} refits the model, and this fit was loaded without its data.")
    return estimate
