"""Record: the numbers of a fit without its data. Everything shown, tested and predicted follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from torchglm.design.extras import Extra
from torchglm.design.schema import Schema
from torchglm.design.terms import Factor
from torchglm.families.family import Family
from torchglm.inference.totals import Totals


@dataclass(frozen=True)
class Facts:
    """What a summary says beside the numbers."""

    formula: str | None
    response: str
    response_levels: tuple[Any, Any] | None
    weights_note: str | None
    offset_note: str | None
    rows_dropped: int
    rows_zero_weight: int
    n: float
    rank: int
    status: str
    converged: bool
    solver: str
    steps: int
    passes: int
    trace: list[dict[str, float]]
    aliased: dict[str, list[str]]  # name -> the columns that span it
    infinite: dict[str, str]  # name -> "+" or "-"
    dispersion_kind: str
    use_t: bool  # phi is estimated
    covariance_note: str
    reference_df: float | None  # tests refer to the t of so many degrees of freedom; None: to the normal
    data_name: str = ""
    coefficient_dfs: tuple[float, ...] | None = None  # each coefficient's own, where they have one
    estimated: dict[str, tuple[float, float]] = field(default_factory=dict)  # beside theta: name -> value, its se
    penalty_note: str | None = None
    notes: tuple[str, ...] = ()  # what else a summary says below its table
    half_logdet: float | None = None  # of the expected information, where the penalised likelihood is + 1/2 log det


class Numbers(Protocol):
    """Where the numbers come from: computed from the data when asked for, or read from a file."""

    @property
    def theta(self) -> Tensor:
        """(p,) coefficients, NaN where aliased."""
        ...

    @property
    def totals(self) -> Totals:
        """Deviance, X2, log-likelihood."""
        ...

    @property
    def null(self) -> Totals:
        """Those of the null model."""
        ...

    @property
    def phi(self) -> float:
        """The dispersion."""
        ...

    @property
    def variances(self) -> Tensor:
        """(p,) of the coefficients."""
        ...

    @property
    def covariance(self) -> Tensor:
        """(p, p) of the coefficients."""
        ...


@dataclass(frozen=True)
class Record:
    """Names, coefficients, covariance, totals; `schema` and `offsets` carry predictions to new data."""

    schema: Schema
    family: Family
    facts: Facts
    numbers: Numbers
    offsets: tuple[Extra, ...] = ()
    exposure: Extra | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The coefficients' names, in the formula's order."""
        return self.schema.names

    @property
    def extras(self) -> tuple[Extra, ...]:
        """What is added to the linear predictor: the offsets, and the exposure."""
        return (*self.offsets, *(() if self.exposure is None else (self.exposure,)))

    @property
    def offset_factors(self) -> list[Factor]:
        """What those evaluate; nothing of an array."""
        return [extra.factor for extra in self.extras if extra.factor is not None]

    @property
    def factors(self) -> list[Factor]:
        """What rows are evaluated by: the factors of the terms, then those of the offset."""
        return [*self.schema.parsed.factors, *self.offset_factors]

    @property
    def null_rank(self) -> int:
        """The coefficients of the model without terms: one where the formula has an intercept."""
        return int(self.schema.has_intercept)

    def refuse_several(self, what: str) -> None:
        """Nothing, for a model of one linear predictor.

        Raises: OptionError for one of several, naming `what` was asked for.
        """

    @property
    def df_resid(self) -> float:
        """n - rank."""
        return self.facts.n - self.facts.rank

    @property
    def use_t(self) -> bool:
        """Whether tests refer to t with `reference_df` rather than to the normal."""
        return self.facts.reference_df is not None

    @property
    def reference_df(self) -> float:
        """The degrees of freedom of the t that tests refer to; infinity for the normal."""
        return math.inf if self.facts.reference_df is None else self.facts.reference_df

    @cached_property
    def standard_errors(self) -> Tensor:
        """(p,) NaN where aliased."""
        return self.numbers.variances.clamp(min=0.0).sqrt()

    @cached_property
    def defined_theta(self) -> Tensor:
        """(p,) zero where aliased: such a coefficient counts as dropped."""
        return self.numbers.theta.nan_to_num(nan=0.0)

    @property
    def defined_covariance(self) -> Tensor:
        """(p, p) zero where aliased; still NaN where no dispersion can be estimated."""
        aliased = torch.isnan(self.numbers.theta)
        return self.numbers.covariance.masked_fill(aliased[:, None] | aliased[None, :], 0.0)

    @cached_property
    def log_likelihood(self) -> float:
        """R's logLik, in nats."""
        return self.numbers.totals.log_likelihood(self.family)

    @property
    def log_likelihood_null(self) -> float:
        """R's logLik of the null model."""
        return self.numbers.null.log_likelihood(self.family)

    @property
    def penalised_log_likelihood(self) -> float:
        """The log-likelihood + 1/2 log det of the information, nats; NaN where no penalty made that its maximum."""
        half = self.facts.half_logdet
        return math.nan if half is None else self.log_likelihood + half

    @property
    def counted_parameters(self) -> int:
        """The parameters that AIC counts: coefficients, what is estimated beside them, and the dispersion where its
        estimate is in the likelihood."""
        return self.facts.rank + int(self.family.counts_dispersion) + len(self.facts.estimated)


@dataclass(frozen=True)
class Stored:
    """Numbers read from a file, or computed once and kept."""

    theta: Tensor
    totals: Totals
    null: Totals
    phi: float
    covariance: Tensor

    @property
    def variances(self) -> Tensor:
        """(p,) the diagonal of the covariance."""
        return self.covariance.diagonal()
