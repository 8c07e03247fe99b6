"""Models that a batch is not sure of, fitted one by one as glm() fits them, and what came of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch.linalg import LinAlgError  # pyright: ignore[reportAttributeAccessIssue]

from torchglm.errors import DataError, DomainError, LevelError, OptionError, ResponseError
from torchglm.inference.many import ManyNumbers
from torchglm.many.fits import CONVERGED, ManyArrays, ManyCriteria
from torchglm.progress import Count

FAILURES = (DataError, DomainError, LevelError, ResponseError, OptionError, LinAlgError)


@dataclass
class Collected:
    """The arrays of G models, being filled; `criteria` of those that no pass over all can tell later.

    `by_pass`: it tells those of converged models of all their rows by the coefficients.
    """

    arrays: ManyArrays
    criteria: dict[int, tuple[float, float, float]]
    by_pass: bool = True

    @staticmethod
    def of(numbers: ManyNumbers, use_batch: np.ndarray) -> Collected:
        """What a batch found of the models `use_batch`; blanks for the others."""
        theta, variances = numbers.theta.numpy().copy(), numbers.variances.numpy()
        with np.errstate(invalid="ignore"):
            bse = np.sqrt(np.where(variances > 0.0, variances, np.where(variances <= 0.0, 0.0, np.nan)))
        phi, n, rank = numbers.phi.numpy().copy(), numbers.n.numpy().copy(), numbers.rank.numpy().copy()
        theta[~use_batch], bse[~use_batch], phi[~use_batch], rank[~use_batch] = math.nan, math.nan, math.nan, 0.0
        status = np.full(len(n), CONVERGED, dtype=object)
        return Collected(ManyArrays(theta, bse, phi, n, rank, use_batch.copy(), status, {}), {})

    def fit(self, places: Sequence[int], fit_one: Callable[[int], object], what: str) -> None:
        """Nothing: the models at `places` are fitted one by one; the first that cannot be leaves its reason."""
        with Count(what, len(places)) as watch:
            for place in places:
                try:
                    self._write(place, fit_one(place))
                except FAILURES as error:
                    self.arrays.status[place] = f"Failed: {error}"
                watch(1)

    def _write(self, place: int, fit: object) -> None:
        from torchglm.fit import Fit

        assert isinstance(fit, Fit)
        arrays = self.arrays
        arrays.theta[place], arrays.bse[place] = fit.params.to_numpy(), fit.bse.to_numpy()
        is_whole = fit.nobs == arrays.n[place]
        arrays.phi[place], arrays.n[place], arrays.rank[place] = fit.scale, fit.nobs, fit.record.facts.rank
        beside = fit.estimated_values
        for name, (values, errors) in arrays.estimated.items():
            values[place], errors[place] = beside.get(name, (math.nan, math.nan))
        arrays.converged[place] = fit.converged and not fit.infinite
        is_plain = self.by_pass and fit.estimate is not None and fit.estimate.penalised is None
        if not (arrays.converged[place] and is_whole and is_plain):
            self.criteria[place] = (fit.deviance, fit.null_deviance, fit.llf)
        if fit.infinite:
            arrays.infinite[place] = fit.infinite
            shown = ", ".join(f"{name} -> {sign}inf" for name, sign in fit.infinite.items())
            arrays.status[place] = f"Separated: {shown}"
        elif not fit.converged:
            arrays.status[place] = f"Not converged: {fit.status}"

    def mark_few_rows(self) -> None:
        """Nothing: models without rows, and those that have no degrees of freedom left, say so."""
        arrays = self.arrays
        few = (arrays.rank > 0) & (arrays.n <= arrays.rank) & (arrays.status == CONVERGED)
        for place in np.flatnonzero(few):
            arrays.status[place] = (
                f"Too few rows: {arrays.n[place]:g} for {arrays.rank[place]:g} coefficients, so that nothing is left "
                "to tell a dispersion or a fit from."
            )
        empty = (arrays.n == 0) & (arrays.status == CONVERGED)
        arrays.status[empty], arrays.converged[empty] = "No rows.", False

    def complete(self, criteria: ManyCriteria) -> ManyCriteria:
        """The criteria with those that are known in their places, NaN for what was not fitted."""
        out = [criteria.deviance.copy(), criteria.null_deviance.copy(), criteria.llf.copy()]
        unknown = self.arrays.rank == 0
        for values in out:
            values[unknown] = math.nan
        for place, row in self.criteria.items():
            for values, value in zip(out, row, strict=True):
                values[place] = value
        return ManyCriteria(*out)
