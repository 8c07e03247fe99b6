"""The likelihood of a Tweedie model by its power, the highest in the coefficients and phi."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.design import Design
from torchglm.design.weights import Frequency, Weights
from torchglm.errors import DomainError, ResponseError
from torchglm.families.link import Link
from torchglm.families.mean import MeanModel
from torchglm.families.tweedie import Tweedie
from torchglm.inference.totals import totals
from torchglm.numerics.compound import compound_sum, most_likely_count
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Solution, Stop, run
from torchglm.solvers.start import Start

STENCIL = 4e-3  # of the second derivatives in the power
SEVERAL_PEAKS = 1.2  # the power below which whole numbers make several peaks in phi
SETTLED = 1e-9  # a Newton step in log phi that need not be looked at: the next one is rounding
CANCELLED = 1e-6  # of the responses' own share: a deviance below is taken row by row
EXACT = 1e-20  # the same: below, the fit has no error, and its likelihood no maximum


@dataclass(frozen=True)
class Point:
    """The profile likelihood at one power: its phi and coefficients, and the slope and bend in log phi there."""

    power: float
    phi: float
    llf: float
    slope: float
    bend: float
    coefficients: np.ndarray

    @property
    def error(self) -> float:
        """The standard error of phi at this power."""
        return self.phi * _root(-1.0 / self.bend)


@dataclass(frozen=True)
class _InLogPhi:
    """A log-likelihood and its first two derivatives in log phi."""

    llf: float
    slope: float
    bend: float

    @property
    def move(self) -> float:
        """Newton's, no longer than 1."""
        move = -self.slope / self.bend if self.bend < 0.0 else math.copysign(1.0, self.slope)
        return max(-1.0, min(1.0, move))

    def after(self, move: float) -> _InLogPhi:
        """The same a short move on."""
        return _InLogPhi(
            self.llf + move * (self.slope + 0.5 * move * self.bend), self.slope + move * self.bend, self.bend
        )


@dataclass
class Profile:
    """Points by their power; each fit starts where the last one ended, the first one at `begin`."""

    design: Design
    weights: Weights | None
    link: Link
    stop: Stop
    begin: Tensor | None = None
    theta: Tensor | None = None
    phi: float | None = None
    steps: int = 0
    passes: int = 0
    known: dict[float, Point] = field(default_factory=dict)

    def on(self, design: Design) -> Profile:
        """The same of other rows."""
        return replace(self, design=design, known={})

    def at(self, power: float) -> Point:
        """The point of a power.

        Raises: DomainError; ResponseError where the fit is exact.
        """
        if power not in self.known:
            self.known[power] = self._fitted(power, None)
        return self.known[power]

    def _fitted(self, power: float, phi: float | None) -> Point:
        """The point of a power, at `phi` where it is given."""
        family = Tweedie(self.link, power=power)
        objective = Objective(self.design, MeanModel(family))
        found = self._coefficients(objective, family)
        self.theta, self.steps = found.theta, self.steps + found.steps
        deviance, pearson = self._deviance(objective, family, found)
        if phi is None:
            log_phi, there = self._phi(objective, power, deviance, pearson)
            self.phi = math.exp(log_phi)
        else:
            log_phi, there = math.log(phi), self._in_log_phi(objective, power, math.log(phi), deviance)
        self.passes += objective.meter.passes
        beta = objective.layout.to_user(self.theta).cpu().numpy()
        return Point(power, math.exp(log_phi), there.llf, there.slope, there.bend, beta)

    def _coefficients(self, objective: Objective, family: Tweedie) -> Solution:
        """The maximum in the coefficients. Those of another power may lie outside of the domain at this one."""
        if self.theta is not None:
            try:
                return run(IRLS(), objective, Start(family, self.theta), self.stop)
            except DomainError:
                pass
        return run(IRLS(), objective, Start(family, self.begin), self.stop)

    def _deviance(self, objective: Objective, family: Tweedie, found: Solution) -> tuple[float, float]:
        """The deviance, and Pearson's X2 over n where there is no phi to start from.

        The search knows the likelihood; what the responses take off it is one sum, which leaves digits enough unless
        the fit is nearly exact.
        """
        a, b = family.power - 1.0, 2.0 - family.power
        rows = objective.on(self.design.without_columns())

        def row_sums(block: Block) -> Sums:
            w = torch.ones_like(block.y) if block.weight is None else block.weight
            return Sums({"own": (block.y.to(torch.float64) ** b).dot(w)})

        own = float(rows.sum(row_sums)["own"]) / (a * b)
        point = found.point
        deviance = 2.0 * (point.value + 0.5 * float(point.gradient.dot(point.step)) - own)
        objective.meter.passes += 1
        if self.phi is not None and family.power >= SEVERAL_PEAKS and deviance > CANCELLED * own:
            return deviance, math.nan
        sums = totals(objective, found.theta, family, self.weights)
        if not sums.deviance > EXACT * own:
            raise ResponseError(
                "The fit is exact: the means are the responses, so that phi goes to 0 and the likelihood of the power "
                "has no maximum. Fit fewer terms, or glm(..., family=Tweedie(power=...))."
            )
        return sums.deviance, sums.pearson / sums.n

    def _phi(self, objective: Objective, power: float, deviance: float, pearson: float) -> tuple[float, _InLogPhi]:
        """log phi where the likelihood is highest, and the likelihood there."""
        starts = [phi for phi in (self.phi, pearson, deviance / self.design.n) if phi is not None and phi > 0.0]
        tried = [(math.log(phi), self._in_log_phi(objective, power, math.log(phi), deviance)) for phi in starts[:3]]
        log_phi, there = max(tried, key=lambda pair: pair[1].llf)
        for _ in range(100):
            move = there.move
            if abs(move) < SETTLED and there.bend < 0.0:
                return log_phi + move, there.after(move)
            ahead = self._in_log_phi(objective, power, log_phi + move, deviance)
            while ahead.llf < there.llf and abs(move) > SETTLED:
                move *= 0.5
                ahead = self._in_log_phi(objective, power, log_phi + move, deviance)
            log_phi, there = log_phi + move, ahead
        return log_phi, there

    def _in_log_phi(self, objective: Objective, power: float, log_phi: float, deviance: float) -> _InLogPhi:
        """The log-likelihood there: a pass over the responses."""
        phi, frequency = math.exp(log_phi), isinstance(self.weights, Frequency)
        more = 1.0 / (power - 1.0)  # 1 + a

        def row_sums(block: Block) -> Sums:
            w = torch.ones_like(block.y) if block.weight is None else block.weight
            positive = block.y > 0
            y, w = block.y[positive].to(torch.float64), w[positive]
            repeats, dispersion = (w, torch.full_like(w, phi)) if frequency else (torch.ones_like(w), phi / w)
            found, k = compound_sum(y, dispersion, power), most_likely_count(y, dispersion, power)
            slope = -more * (found.mean - k)
            bend = more * (more * found.variance - k)
            return Sums({"value": found.value.dot(repeats), "slope": slope.dot(repeats), "bend": bend.dot(repeats)})

        sums = objective.on(self.design.without_columns()).sum(row_sums)
        objective.meter.passes += 1
        half = 0.5 * deviance / phi
        return _InLogPhi(float(sums["value"]) - half, float(sums["slope"]) + half, float(sums["bend"]) - half)

    def around(self, point: Point) -> Surface:
        """The likelihood near a known point that others are known beside, the coefficients profiled out."""
        h = min(STENCIL, 0.25 * (point.power - 1.0), 0.25 * (2.0 - point.power))
        others = [other for other in self.known.values() if other.power != point.power]
        beside = min(others, key=lambda other: abs(abs(other.power - point.power) - h))
        along = math.log(beside.phi / point.phi) / (beside.power - point.power)
        near = [self._fitted(point.power + k * h, point.phi * math.exp(along * k * h)) for k in (-2, -1, 1, 2)]
        values, slopes = [p.llf for p in near], [p.slope for p in near]
        return Surface(
            point,
            along,
            slope=(8.0 * (values[2] - values[1]) - (values[3] - values[0])) / (12.0 * h),
            bend=(16.0 * (values[1] + values[2]) - values[0] - values[3] - 30.0 * point.llf) / (12.0 * h * h),
            cross=(8.0 * (slopes[2] - slopes[1]) - (slopes[3] - slopes[0])) / (12.0 * h),
        )


@dataclass(frozen=True)
class Surface:
    """The likelihood near a point, with log phi changing by `along` for each unit of the power.

    Slope and bend in the power that way, and the cross derivative with log phi. Along the ridge higher derivatives, and
    with them the errors of differences, are small in any unit of the response.
    """

    point: Point
    along: float
    slope: float
    bend: float
    cross: float

    @property
    def determinant(self) -> float:
        """That of the second derivatives; not above 0 where the likelihood does not bend down."""
        return self.bend * self.point.bend - self.cross * self.cross

    @property
    def move(self) -> float:
        """Newton's step in the power."""
        if not self.determinant > 0.0:
            return math.nan
        return (self.cross * self.point.slope - self.point.bend * self.slope) / self.determinant

    @property
    def errors(self) -> dict[str, float]:
        """Standard errors from the observed information in the power and log phi; NaN where there are none."""
        if not self.determinant > 0.0:
            return {"power": math.nan, "phi": math.nan}
        phi, along = self.point.phi, self.along
        bend = self.bend - 2.0 * along * self.cross + along * along * self.point.bend
        return {"power": _root(-self.point.bend / self.determinant), "phi": phi * _root(-bend / self.determinant)}


def _root(variance: float) -> float:
    return math.sqrt(variance) if variance > 0.0 else math.nan
