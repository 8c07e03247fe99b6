"""MarginalMeans: estimated marginal means as they are shown, and their contrasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.effects.contrasts import Contrasts, contrasts_by
from torchglm.inference.effects.multiplicity import Simultaneous, adjusted, check_method, critical
from torchglm.inference.effects.predictions import interval_columns
from torchglm.inference.record import Record
from torchglm.inference.wald import Reference, check_level, errors_of

RATIOS = ("log", "logit")  # links whose differences are logs of ratios: of means, of odds


@dataclass(frozen=True)
class MarginalMeans:
    """Estimated marginal means: `frame` shows them; `pairs` and `contrasts` compare them within each group of `by`.

    labels   the levels of each mean; the last columns, those of `by`, tell the groups
    matrix   (means, p) L, formula's order; NaN where a mean is not estimable
    """

    record: Record
    labels: pd.DataFrame
    by: tuple[str, ...]
    matrix: Tensor
    offset: Tensor
    scale: str
    level: float
    note: str = ""

    @property
    def eta(self) -> Tensor:
        """(means,) on the link scale."""
        return self.matrix @ self.record.defined_theta + self.offset

    @property
    def frame(self) -> pd.DataFrame:
        """One row a mean: its levels, estimate, std.error, conf.low, conf.high; NaN where it is not estimable."""
        error = errors_of(self.matrix, self.record.defined_covariance)
        columns = interval_columns(self.record, self.eta, error, self.scale, self.level)
        return pd.concat([self.labels, pd.DataFrame(columns, index=self.labels.index)], axis=1)

    def pairs(self, adjust: str = "tukey", *, reverse: bool = False) -> pd.DataFrame:
        """Each mean against each within its group, the first minus the second, or the other way round.

        On the response scale of a log or logit link they are ratios, of means or odds.
        adjust  "tukey", "holm", "bonferroni", "sidak", "fdr" or "none", over the pairs of one group

        Raises: OptionError.
        """
        return self.contrasts("reverse pairwise" if reverse else "pairwise", adjust)

    def contrasts(self, method: Any = "reference", adjust: str = "none") -> pd.DataFrame:
        """Contrasts of the means of each group, a row each, with `statistic` and `p.value` of the link scale.

        method  "pairwise", "reverse pairwise", "reference" (each against the first), "sequential", "mean" (each against
                the mean of all), a dict of weights by label, or a matrix with one column a mean of a group
        adjust  as in `pairs`; "tukey" is for pairwise ones

        Raises: OptionError.
        """
        check_method(adjust)
        tables = []
        for places, labels in self._groups():
            names = [" ".join(map(str, row)) for row in self.labels.loc[places, list(self._asked)].to_numpy()]
            wanted = contrasts_by(method, names)
            if adjust == "tukey" and not wanted.all_pairs:
                raise OptionError('adjust="tukey" is for all pairs: say "sidak", "holm" or "bonferroni" here.')
            table = self._table(places, wanted, adjust)
            tables.append(table.assign(**labels)[["contrast", *labels, *table.columns[1:]]])
        return pd.concat(tables, ignore_index=True)

    @property
    def _asked(self) -> tuple[str, ...]:
        return tuple(name for name in self.labels if name not in self.by)

    def _groups(self) -> list[tuple[list[int], dict[str, Any]]]:
        """The means of each group, and the group's labels."""
        if not self.by:
            return [(list(range(len(self.labels))), {})]
        by = self.labels[list(self.by)].apply(tuple, axis=1)
        return [(np.flatnonzero(by == g).tolist(), dict(zip(self.by, g, strict=True))) for g in dict.fromkeys(by)]

    def _table(self, places: list[int], wanted: Contrasts, adjust: str) -> pd.DataFrame:
        weights, record = wanted.weights, self.record
        means = self.matrix[places]
        rows = weights @ means.nan_to_num(nan=0.0)
        unknown = (weights != 0).double() @ torch.isnan(means).double() > 0  # matters to the contrasts with it only
        rows = rows.masked_fill(unknown, torch.nan)
        estimate = rows @ record.defined_theta + weights @ self.offset[places]
        error = errors_of(rows, record.defined_covariance)
        statistic = (estimate / error).numpy()
        reference = Reference(record.reference_df)
        joint = Simultaneous(len(weights), len(places) if wanted.all_pairs else 0, reference)
        check_level(self.level)
        half = critical(self.level, adjust, joint) * error
        low, high = estimate - half, estimate + half
        ratio = self.scale == "response" and record.family.link.name in RATIOS
        if ratio:
            estimate, low, high = estimate.exp(), low.exp(), high.exp()
            error = error * estimate
        columns = {
            "estimate": estimate.numpy(),
            "std.error": error.numpy(),
            "statistic": statistic,
            "p.value": adjusted(statistic, adjust, joint),
            "conf.low": low.numpy(),
            "conf.high": high.numpy(),
        }
        return pd.DataFrame({"contrast": wanted.labels("/" if ratio else "-"), **columns})

    def __repr__(self) -> str:
        return f"{self.frame.to_string()}\n\n{self.note}"
