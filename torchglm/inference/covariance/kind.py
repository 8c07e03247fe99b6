"""CovarianceKind: a way to the covariance of the coefficients, by name; and the model's own.

model      phi A         A = (X' W X)^-1 the inverse expected information, or the observed one

The sandwiches A M A stand beside: robust.py (rows), cluster.py and bias_reduced.py (clusters), hac.py (time).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.likelihood import Information
from torchglm.inference.estimate import Estimate
from torchglm.numerics.registry import Registry

COVARIANCES: Registry[CovarianceKind] = Registry("covariance")


@dataclass(frozen=True)
class CovarianceKind(ABC):
    """A way to the covariance of the coefficients.

    df    what tests refer to: "z" the normal, "t" the t of `natural_df`, a number the t of so many degrees of freedom;
          None leaves it to the kind
    """

    name: ClassVar[str]
    needs_leverage: ClassVar[bool] = False  # which rows have for one linear predictor alone
    df: str | float | None = field(default=None, kw_only=True)

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        if name is not None:
            cls.name = name
            COVARIANCES.add(name, cls)

    @abstractmethod
    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        """(p, p) in the formula's order, NaN where aliased."""

    def variances(self, estimate: Estimate, phi: float) -> Tensor | None:
        """(p,) its diagonal where there is a cheaper way to it; None where there is none."""
        return None

    @property
    @abstractmethod
    def note(self) -> str:
        """As the summary names it."""

    def note_of(self, estimate: Estimate) -> str:
        """The same with what only the data tell, as the number of clusters."""
        return self.note

    @property
    def cluster_key(self) -> Any:
        """What rows must not miss to enter a fit with this covariance: a cluster, or None."""
        return None

    def natural_df(self, estimate: Estimate) -> float:
        """The degrees of freedom that df="t" stands for."""
        return estimate.df_resid

    def default_df(self, estimate: Estimate, estimated: bool) -> float | None:
        """The degrees of freedom that tests refer to where df= is not given; None for the normal distribution.

        `estimated` says that phi is.
        """
        return estimate.df_resid if estimated else None

    def reference_df(self, estimate: Estimate, estimated: bool) -> float | None:
        """The degrees of freedom that tests refer to; None for the normal distribution.

        Raises: OptionError for a df= that is none.
        """
        if self.df is None:
            return self.default_df(estimate, estimated)
        if self.df == "z":
            return None
        if self.df == "t":
            return self.natural_df(estimate)
        if isinstance(self.df, (int, float)) and not isinstance(self.df, bool) and self.df > 0:
            return None if math.isinf(self.df) else float(self.df)
        raise OptionError(f'df= is "z", "t" or a positive number of degrees of freedom; got {self.df!r}.')

    def coefficient_dfs(self, estimate: Estimate) -> tuple[float, ...] | None:
        """Each coefficient's own degrees of freedom, NaN where aliased; None where all refer to `reference_df`."""
        return None


class Described(NamedTuple):
    """What `Facts` hold of a covariance."""

    covariance_note: str
    reference_df: float | None
    coefficient_dfs: tuple[float, ...] | None


def described(kind: CovarianceKind, estimate: Estimate, estimated: bool) -> Described:
    """What a summary says of a covariance, and what tests refer to; `estimated` says that phi is.

    Raises: what reading the kind's columns raises; OptionError for leverages of several linear predictors.
    """
    if kind.needs_leverage and len(estimate.layout.columns) > 1:
        raise OptionError(
            f"{kind.name} needs the leverage of each row, which several linear predictors do not have. "
            'Take covariance="HC1", or with clusters "cluster" or "CR1S".'
        )
    note = kind.note_of(estimate).replace("expected information", f"{estimate.information} information")
    df, dfs = kind.reference_df(estimate, estimated), kind.coefficient_dfs(estimate)
    if dfs is not None:
        note = f"{note}; tests of coefficients refer to Satterthwaite's t, others to t({df:g})"
    elif df != (estimate.df_resid if estimated else None):  # what every model has needs no word
        note = f"{note}; tests refer to {'the normal' if df is None else f't({df:g})'}"
    return Described(note, df, dfs)


@dataclass(frozen=True)
class Model(CovarianceKind, name="model"):
    """phi times the inverse information, `expected` or `observed`."""

    information: Information = "expected"

    def __post_init__(self) -> None:
        if self.information not in ("expected", "observed"):
            raise OptionError(f'information= is "expected" or "observed"; got {self.information!r}.')

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        if self.information == "expected":
            return phi * estimate.unscaled_covariance
        point = estimate.objective.quadratic(estimate.solution.theta, information="observed")
        return phi * to_user(estimate, point.curvature.inverse())

    def variances(self, estimate: Estimate, phi: float) -> Tensor | None:
        return phi * estimate.unscaled_variances if self.information == "expected" else None

    @property
    def note(self) -> str:
        return f"model-based, {self.information} information"


def to_user(estimate: Estimate, inner: Tensor) -> Tensor:
    """A covariance (p, p) in the inner order -> in the formula's order, NaN where aliased."""
    out = estimate.layout.covariance_to_user(inner).cpu()
    out[estimate.undetermined, :] = math.nan
    out[:, estimate.undetermined] = math.nan
    return out


def sandwiched(estimate: Estimate, meat: Tensor) -> Tensor:
    """A M A in the formula's order, NaN where aliased, from a meat M (p, p) in the inner order.

    Between centred columns, so that a column far from zero costs no digits.
    """
    bread = estimate.curvature.inverse()
    return to_user(estimate, bread @ meat @ bread)
