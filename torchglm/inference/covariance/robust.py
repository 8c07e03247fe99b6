"""White's sandwiches A M A of independent rows. The bread A is the inverse expected information, as in R's sandwich.

HC0        M = sum_i s_i s_i'                        s_i = w_i g_i x_i, the score of a row
HC1        HC0 n / (n - rank)
HC2, HC3   s_i s_i' / (1 - h_i), / (1 - h_i)^2       h_i the leverage
sampling   HC0 n / (n - 1)                           survey::svyglm, each row its own sampling unit

A frequency weight f counts its row f times: f g^2 x x', and h is the leverage of one copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.weights import Frequency
from torchglm.errors import DataError, OptionError
from torchglm.inference.covariance.groups import used_label
from torchglm.inference.covariance.kind import CovarianceKind, sandwiched
from torchglm.inference.covariance.scores import weighted_squares
from torchglm.inference.covariance.ssc import correction, ratio
from torchglm.inference.estimate import Estimate
from torchglm.inference.leverage import Hat
from torchglm.numerics.sums import Sums
from torchglm.objective.batch import LEVERAGE_ONE
from torchglm.objective.curvature import assemble
from torchglm.objective.joint import assemble_all, curvature_sums


def white(estimate: Estimate) -> Tensor:
    """A (sum_i s_i s_i') A: one pass beside the bread."""
    estimate.refuse_changed_data()
    objective = estimate.objective
    raw = objective.raw(estimate.solution.theta)
    frequency = isinstance(estimate.prepared.weights, Frequency)

    def row_sums(block: Block) -> Sums:
        _, gradient = objective.likelihood.slope(block.y, objective.predictors(block, raw))
        if block.weight is not None and not frequency:  # the curvature's sums multiply by w once
            gradient = gradient * block.weight.sqrt()[:, None]
        return Sums(curvature_sums(block, gradient.unsqueeze(2) * gradient.unsqueeze(1)))

    return sandwiched(estimate, assemble_all(estimate.layout.columns, objective.sum(row_sums)))


def white_by_leverage(estimate: Estimate, power: int, name: str) -> Tensor:
    """A (sum_i s_i s_i' / (1 - h_i)^power) A: leverage, score and meat of a block in one pass.

    Raises: DataError where a row has leverage one, whose residual is zero whatever its response: 0 / 0; OptionError
    for a model of several linear predictors.
    """
    estimate.refuse_changed_data()
    if len(estimate.layout.columns) > 1:
        raise OptionError(f'{name} needs leverages, which several linear predictors have not. Take covariance="HC1".')
    objective, hat = estimate.objective, Hat.of(estimate)
    raw = objective.raw(estimate.solution.theta)
    frequency = isinstance(estimate.prepared.weights, Frequency)

    def row_sums(block: Block) -> Sums:
        terms = objective.likelihood.expand(block.y, objective.predictors(block, raw), information="expected")
        rest = 1.0 - hat.leverage(block, terms.curvature[:, 0, 0])
        if bool((rest < LEVERAGE_ONE).any()):
            raise _leverage_one(estimate, block.start + int(rest.argmin()), name)
        return _meat(block, terms.gradient[:, 0].square() / rest.pow(power), frequency)

    return _total(estimate, objective.sum(row_sums))


def _meat(block: Block, squared: Tensor, frequency: bool) -> Sums:
    """Raw sums of x x' times the squared scores (rows,) at weight one."""
    return Sums(block.columns[0].gram(weighted_squares(block, squared, frequency), block.scratch[0]))


def _total(estimate: Estimate, sums: Sums) -> Tensor:
    return sandwiched(estimate, assemble(estimate.layout.columns[0], sums))


def _leverage_one(estimate: Estimate, row: int, name: str) -> DataError:
    return DataError(
        f"{name} is not defined: the fit goes through row {used_label(estimate, row)} whatever its response "
        "(leverage 1), so that its residual tells nothing of its variance. A level that only this row has is the "
        'usual reason: leave the row out, merge the level, or take covariance="HC1".'
    )


@dataclass(frozen=True)
class HC0(CovarianceKind, name="HC0"):
    """White's sandwich, as sandwich::vcovHC(type = "HC0")."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return white(estimate)

    @property
    def note(self) -> str:
        return "HC0 sandwich, bread of the expected information"


@dataclass(frozen=True)
class HC1(CovarianceKind, name="HC1"):
    """White's sandwich times a small-sample factor, n / (n - rank) as sandwich::vcovHC(type = "HC1")."""

    ssc: str = "r"

    def __post_init__(self) -> None:
        correction(self.ssc)

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return white(estimate) * correction(self.ssc).of_rows(estimate)

    @property
    def note(self) -> str:
        return "HC1 sandwich, bread of the expected information"

    def note_of(self, estimate: Estimate) -> str:
        return f"HC1 sandwich, {correction(self.ssc).rows_text(estimate)}, bread of the expected information"


@dataclass(frozen=True)
class HC2(CovarianceKind, name="HC2"):
    """The sandwich that is unbiased where the model's variance is true, as sandwich::vcovHC(type = "HC2").

    Raises: DataError where a row has leverage one.
    """

    needs_leverage = True

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return white_by_leverage(estimate, 1, "HC2")

    @property
    def note(self) -> str:
        return "HC2 sandwich, squared scores over 1 - leverage, bread of the expected information"


@dataclass(frozen=True)
class HC3(CovarianceKind, name="HC3"):
    """The sandwich near the jackknife's covariance, as sandwich::vcovHC(type = "HC3").

    Raises: DataError where a row has leverage one.
    """

    needs_leverage = True

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return white_by_leverage(estimate, 2, "HC3")

    @property
    def note(self) -> str:
        return "HC3 sandwich, squared scores over (1 - leverage)^2, bread of the expected information"


@dataclass(frozen=True)
class Sampling(CovarianceKind, name="sampling"):
    """The sandwich of independently sampled rows, as survey::svyglm with ids = ~1."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return white(estimate) * ratio(estimate.n, estimate.n - 1.0)

    @property
    def note(self) -> str:
        return "sampling-weight sandwich, n / (n - 1), bread of the expected information"
