"""Influence of single rows on a fit: what leaving a row out would change, by one step from the fit.

h leverage, d and r the deviance and Pearson residuals (prior weight included), p the rank, n the observations:

rstandard       d / sqrt(phi (1 - h))
sigma           sqrt((D - d^2 / (1 - h)) / (n - p - 1))                    without the row
rstudent        sign(d) sqrt(d^2 + h r^2 / (1 - h)), divided by sigma except for binomial and poisson
cooks_distance  (r / (1 - h))^2 h / (phi p)
dffits          d sqrt(h) / (sigma (1 - h))
cov_ratio       1 / ((1 - h) ((n - p - 1 + t^2) / (n - p))^p),  t = d / (sigma sqrt(1 - h))
dfbeta          A x_i sqrt(w_i c_i) d / (1 - h);  dfbetas = dfbeta / (sigma sqrt(diag A))

For a gaussian model with the identity link they are exact. A frequency weight stands for equal rows, of which one copy
is left out. NaN in dropped rows, in rows of weight zero, and where h = 1: nothing is known of such a row without it.

Source: Belsley, Kuh & Welsch (1980); Williams (1987), Applied Statistics 36; stats::influence.measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.weights import Frequency
from torchglm.diagnostics import residuals as plain
from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.families.mean import MeanModel
from torchglm.inference.estimate import Estimate
from torchglm.inference.leverage import Hat
from torchglm.inference.record import Record

WHOLE_LEVERAGE = 1.0 - 1e-9  # beyond it 1 - h is rounding
LARGEST_TABLE = 100_000_000  # entries of dfbetas, 0.8 GB
UNSCALED = ("binomial", "poisson")  # whose rstudent R does not divide by sigma


@dataclass(frozen=True, eq=False)
class Influence:
    """Measures of influence, each a Series with the data's index. Two passes over the rows give all of them."""

    record: Record
    estimate: Estimate

    @cached_property
    def _row_values(self) -> Tensor:
        """(rows used, 4): h, d, r, and sqrt(w c) of one copy of each row; NaN in rows of weight zero."""
        estimate = self.estimate
        estimate.refuse_changed_data()
        objective = estimate.objective.on(estimate.prepared.whole)
        raw, hat, model = objective.raw(estimate.solution.theta), Hat.of(estimate), MeanModel(estimate.family)
        repeats = isinstance(estimate.prepared.weights, Frequency)

        def of_block(block: Block) -> Tensor:
            z = objective.predictors(block, raw)
            curvature = objective.likelihood.expand(block.y, z, information="expected").curvature[:, 0, 0]
            given = torch.ones_like(block.y) if block.weight is None else block.weight
            w = torch.ones_like(block.y) if repeats else given
            d, r = (plain.RESIDUALS[kind](model, block, z, w) for kind in ("deviance", "pearson"))
            # A mean that rounds to an end of its domain has no information: nothing rests on such a row.
            h = hat.leverage(block, torch.nan_to_num(curvature))
            values = torch.stack([h, d, r, (w * torch.nan_to_num(curvature)).sqrt()], dim=1)
            return values.masked_fill(given[:, None] == 0, math.nan)

        return objective.design.map(of_block).cpu()

    @property
    def _h(self) -> Tensor:
        return self._row_values[:, 0]

    @cached_property
    def _rest(self) -> Tensor:
        """1 - h, NaN where that is nothing."""
        return torch.where(self._h < WHOLE_LEVERAGE, 1.0 - self._h, math.nan)

    @cached_property
    def _sigma(self) -> Tensor:
        d, df = self._row_values[:, 1], self.estimate.df_resid - 1.0
        left = (self.estimate.totals.deviance - d.square() / self._rest) / (df if df > 0 else math.nan)
        return torch.where(left >= 0, left, math.nan).sqrt()

    def _series(self, values: Tensor, name: str) -> pd.Series:
        return pd.Series(self.estimate.rows(values).numpy(), index=self.estimate.prepared.index, name=name)

    @cached_property
    def leverage(self) -> pd.Series:
        """The diagonal of the hat matrix, as stats::hatvalues."""
        return self._series(self._h, "leverage")

    @cached_property
    def sigma(self) -> pd.Series:
        """The residual standard deviation without the row; NaN where its one-step approximation has none."""
        return self._series(self._sigma, "sigma")

    def _standardized(self, column: int, name: str) -> pd.Series:
        return self._series(self._row_values[:, column] / (self.record.numbers.phi * self._rest).sqrt(), name)

    @cached_property
    def rstandard(self) -> pd.Series:
        """Deviance residuals over their standard deviation, as stats::rstandard."""
        return self._standardized(1, "rstandard")

    @cached_property
    def rstandard_pearson(self) -> pd.Series:
        """Pearson residuals over their standard deviation."""
        return self._standardized(2, "rstandard_pearson")

    @cached_property
    def rstudent(self) -> pd.Series:
        """Studentized residuals, as stats::rstudent: a one-step likelihood residual."""
        h, d, r, _ = self._row_values.unbind(1)
        value = (d.square() + h * r.square() / self._rest).sqrt().copysign(d)
        return self._series(value if self.estimate.family.name in UNSCALED else value / self._sigma, "rstudent")

    @cached_property
    def cooks_distance(self) -> pd.Series:
        """Cook's distance, as stats::cooks.distance."""
        h, _, r, _ = self._row_values.unbind(1)
        phi = self.record.numbers.phi
        return self._series((r / self._rest).square() * h / (phi * self.estimate.rank), "cooks_distance")

    @cached_property
    def dffits(self) -> pd.Series:
        """The change of the row's own eta, in standard errors, as stats::dffits."""
        h, d = self._row_values[:, 0], self._row_values[:, 1]
        return self._series(d * h.sqrt() / (self._sigma * self._rest), "dffits")

    @cached_property
    def cov_ratio(self) -> pd.Series:
        """The determinant of the covariance without the row over that with it, as stats::covratio."""
        df, p = self.estimate.df_resid, self.estimate.rank
        t2 = (self._row_values[:, 1] / self._sigma).square() / self._rest
        return self._series(1.0 / (self._rest * ((df - 1.0 + t2) / df) ** p), "cov_ratio")

    def dfbeta(self, coefficients: Sequence[str] | None = None) -> pd.DataFrame:
        """What the row does to each coefficient, all or those named: estimate with the row less that without it.

        Raises: UnknownNameError; OptionError for more numbers than fit into memory.
        """
        names, table = self._dfbeta(coefficients)
        return self._frame(table, names)

    def dfbetas(self, coefficients: Sequence[str] | None = None) -> pd.DataFrame:
        """`dfbeta` in standard errors, those without the row, as stats::dfbetas.

        Raises: UnknownNameError; OptionError for more numbers than fit into memory.
        """
        names, table = self._dfbeta(coefficients)
        errors = self.estimate.unscaled_variances[self._places(names)].clamp(min=0.0).sqrt()
        return self._frame(table.div_(errors).div_(self._sigma[:, None]), names)

    def _dfbeta(self, coefficients: Sequence[str] | None) -> tuple[list[str], Tensor]:
        """Names, and (rows used, names): A x_i sqrt(w c) d / (1 - h)."""
        names = self._checked(coefficients)
        estimate = self.estimate
        _, d, _, root = self._row_values.unbind(1)
        design, columns = estimate.prepared.whole, estimate.layout.columns[0]
        if not names:
            return names, d.new_empty(len(d), 0)
        places = self._places(names)
        inverse = estimate.layout.to_user(estimate.curvature.inverse())  # M A, of user coefficients by inner columns
        raw = columns.expand(inverse[places.to(inverse.device)].T.contiguous())
        table = design.map(lambda block: block.columns[0].matmul(raw)).cpu().mul_((root * d / self._rest)[:, None])
        return names, table.masked_fill_(estimate.aliased[places], math.nan)

    def _places(self, names: list[str]) -> Tensor:
        place = {name: k for k, name in enumerate(self.record.names)}
        return torch.tensor([place[name] for name in names], dtype=torch.int64)

    def _checked(self, coefficients: Sequence[str] | None) -> list[str]:
        names = self.record.names
        if coefficients is None:
            asked = list(names)
        else:
            asked = [coefficients] if isinstance(coefficients, str) else list(coefficients)
        known = set(names)
        for name in asked:
            if name not in known:
                raise UnknownNameError(f"coefficients= names {name!r}. {did_you_mean(name, names)}")
        rows = self.estimate.prepared.whole.n
        if rows * len(asked) > LARGEST_TABLE:
            raise OptionError(
                f"The changes of {len(asked)} coefficients by each of {rows} rows are {rows * len(asked):.1e} numbers "
                f"({rows * len(asked) * 8e-9:.1f} GB). Name the coefficients that matter: coefficients=[{asked[0]!r}], "
                "or none: coefficients=[]."
            )
        return asked

    def _frame(self, table: Tensor, names: list[str]) -> pd.DataFrame:
        full = self.estimate.rows(table).numpy()
        return pd.DataFrame(full, index=self.estimate.prepared.index, columns=pd.Index(names))

    def summary_frame(self, coefficients: Sequence[str] | None = None) -> pd.DataFrame:
        """leverage, rstandard, rstudent, cooks_distance, dffits, cov_ratio, is_influential, and dfbetas as dfb_NAME.

        `is_influential` is True where R's influence.measures puts its star: a |dfbetas| of those asked for over 1,
        |dffits| > 3 sqrt(p / (n - p)), |1 - cov_ratio| > 3 p / (n - p), a Cook's distance over the median of
        F(p, n - p), or leverage > 3 p / n.
        Raises: UnknownNameError; OptionError for more numbers than fit into memory.
        """
        dfbetas = self.dfbetas(coefficients)
        frame = pd.DataFrame(
            {
                "leverage": self.leverage,
                "rstandard": self.rstandard,
                "rstudent": self.rstudent,
                "cooks_distance": self.cooks_distance,
                "dffits": self.dffits,
                "cov_ratio": self.cov_ratio,
                "is_influential": self._stars(dfbetas),
            }
        )
        return pd.concat([frame, dfbetas.add_prefix("dfb_")], axis=1)

    def _stars(self, dfbetas: pd.DataFrame) -> pd.Series:
        n, p, df = self.estimate.n, self.estimate.rank, self.estimate.df_resid
        if df <= 0:
            return pd.Series(False, index=dfbetas.index)
        return (
            (dfbetas.max(axis=1) > 1.0)
            | (dfbetas.min(axis=1) < -1.0)
            | (self.dffits.abs() > 3.0 * math.sqrt(p / df))
            | ((1.0 - self.cov_ratio).abs() > 3.0 * p / df)
            | (self.cooks_distance > self.half_way)
            | (self.leverage > 3.0 * p / n)
        )

    @property
    def half_way(self) -> float:
        """The median of F(p, n - p): a Cook's distance beyond it moves theta to the edge of its 50% region."""
        from scipy import special

        df = self.estimate.df_resid
        return float(special.fdtri(self.estimate.rank, df, 0.5)) if df > 0 else math.nan


STANDARDIZED: dict[str, Callable[[Influence], pd.Series]] = {
    "standardized_deviance": lambda influence: influence.rstandard,
    "standardized_pearson": lambda influence: influence.rstandard_pearson,
    "studentized": lambda influence: influence.rstudent,
}


def residuals(record: Record, estimate: Estimate, kind: str) -> pd.Series:
    """Residuals of any kind, those that need leverages too, with the data's index; NaN where a row was dropped.

    Raises: UnknownNameError.
    """
    if kind in STANDARDIZED:
        return STANDARDIZED[kind](Influence(record, estimate)).rename(kind)
    values = plain.residuals(estimate, kind, also=tuple(STANDARDIZED))
    return pd.Series(values.cpu().numpy(), index=estimate.prepared.index, name=kind)
