"""tweedie(): responses that are zero or positive, as rain and claims, with the power of the variance estimated."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.api import check_response, check_stop, device_of, fit_prepared, placed, start_of
from torchglm.call import Call
from torchglm.design.block import Block
from torchglm.design.prepare import Prepared, Request, prepare
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Parsed, parse
from torchglm.design.weights import Frequency
from torchglm.errors import BoundaryWarning, OptionError, ResponseError
from torchglm.families.family import Family
from torchglm.families.link import Link
from torchglm.families.mean import MeanModel
from torchglm.families.tweedie import Tweedie
from torchglm.fit import Fit
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.totals import Totals, totals
from torchglm.numerics.compound import compound_sum, most_likely_count
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Solver, Stop, run
from torchglm.solvers.start import Start
from torchglm.vector_models import caller_at
from torchglm.warn import warn

GRID = 9  # powers tried before the search: the profile can have several peaks
POWER_TOLERANCE = 1e-8
NEAR_END = 1e-5
STENCIL = 4e-3  # of the second derivatives in the power


def tweedie(
    formula: str,
    data: Any,
    power: float | None = None,
    link: str | Link | type[Link] = "log",
    *,
    powers: tuple[float, float] = (1.05, 1.99),
    weights: Any = None,
    freq_weights: Any = None,
    prob_weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
    subset: Any = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    solver: str | Solver | type[Solver] = "auto",
    covariance: Any = None,
    cluster: Any = None,
    dispersion: str | float | None = None,
    start: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float64",
) -> Fit:
    """The fit of variance phi mu^power by maximum likelihood in the coefficients, phi and the power.

    power   a number between 1 and 2, or None: estimated, where the profile likelihood within `powers` is highest. Below
            1.05 the density of whole numbers, or of any that are rounded, rises without end

    The result is the glm() fit of Tweedie(power=, phi=) at the estimates, with log-likelihood, AIC and BIC, which count
    what was estimated. fit.estimated holds both with standard errors from the observed information; coefficients keep
    those of glm(): expected information times `dispersion`, None for Pearson's. All else as `glm`. A power at an end of
    `powers` is reported with a BoundaryWarning.
    Raises: ResponseError for a negative response, and where every one is 0; OptionError; a TorchGLMError.
    Source: Dunn & Smyth (2005); tweedie::tweedie.profile.
    """
    if power is not None and not 1.0 < power < 2.0:
        raise OptionError(
            f"power= is between 1 and 2, or None to estimate it; got {power!r}. Others are glm(family=Tweedie(power=))."
        )
    if not (len(powers) == 2 and 1.0 < powers[0] < powers[1] < 2.0):
        raise OptionError(f"powers= are two numbers between 1 and 2, the lower first; got {powers!r}.")
    source, caller = open_source(data), caller_at(1)
    request = Request(weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster)
    search = PowerSearch(power, (float(powers[0]), float(powers[1])))
    call = Call(solver, covariance, dispersion, Stop(tolerance, max_steps), device, dtype, again=search)
    return search(parse(formula, source.names), source, request, caller, Tweedie(link), call, start)


@dataclass(frozen=True)
class PowerSearch:
    """How update() fits such a model again, power and phi estimated anew."""

    power: float | None
    powers: tuple[float, float]

    def __call__(
        self,
        parsed: Parsed,
        source: Source,
        request: Request,
        caller: Mapping[str, Any],
        family: Family,
        call: Call,
        start: Any = None,
    ) -> Fit:
        """The fit; of `family` only the link counts.

        Raises, warns: as `tweedie`.
        """
        if call.penalty is not None:
            raise OptionError("penalty= needs a known power: glm(..., family=Tweedie(power=...), penalty=...).")
        cluster = kind_of_fit(call.covariance, None, request.cluster).cluster_key
        device = device_of(call.device)
        check_stop(call.stop)
        prepared = prepare(parsed, source, replace(request, cluster=cluster), caller)
        check_response(prepared, Tweedie(family.link))
        if prepared.design.largest(prepared.design.y) == 0.0:
            raise ResponseError(f"Every value of {prepared.response_name!r} is 0, which leaves no power to estimate.")
        prepared = placed(prepared, device, call.dtype)
        objective = Objective(prepared.design, MeanModel(Tweedie(family.link)))
        profile = Profile(prepared, family.link, call.stop, start_of(start, objective, prepared.schema.names))
        power = self._highest(profile) if self.power is None else self.power
        point = profile.at(power)
        fit = fit_prepared(prepared, Tweedie(family.link, power=power, phi=point.phi), call, point.coefficients)
        errors = profile.errors(point, self.power is None and power not in self.powers)
        if self.power is None:
            errors = {"power": math.nan, **errors}  # at an end the power has no standard error
        values, facts = {"power": power, "phi": point.phi}, fit.record.facts
        estimated = {name: (values[name], error) for name, error in errors.items()}
        steps, passes = profile.steps + facts.steps, profile.passes + facts.passes
        facts = replace(facts, estimated=estimated, steps=steps, passes=passes)
        fit = replace(fit, record=replace(fit.record, facts=facts))
        assert fit.estimate is not None
        warn(fit.estimate.solution, fit.infinite, call.stop, "glm(..., family=Tweedie(power=...), penalty='firth')")
        return fit

    def _highest(self, profile: Profile) -> float:
        from scipy.optimize import minimize_scalar

        grid = np.linspace(*self.powers, GRID)
        values = [profile.at(float(p)).llf for p in grid]
        best = int(np.argmax(values))
        ends = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)]))
        options = {"xatol": POWER_TOLERANCE}
        found: Any = minimize_scalar(
            lambda p: -profile.at(float(p)).llf, bounds=ends, method="bounded", options=options
        )
        power = float(found.x)
        for end, simpler in zip(self.powers, ("poisson", "gamma"), strict=True):
            if abs(power - end) < NEAR_END or profile.at(end).llf >= profile.at(power).llf:
                warnings.warn(
                    f"The likelihood is highest at the end of the powers searched, {end:g}. Where it stays there with "
                    f'wider powers=, the {simpler} family says the same: family="{simpler}".',
                    BoundaryWarning,
                    stacklevel=4,
                )
                return end
        return power


@dataclass(frozen=True)
class Point:
    """The profile likelihood at one power: its phi and coefficients, and the slope and bend in log phi there."""

    power: float
    phi: float
    llf: float
    slope: float
    bend: float
    deviance: float
    theta: Tensor
    coefficients: np.ndarray


@dataclass
class Profile:
    """The likelihood by the power, the highest in the coefficients and phi; each power starts where the last ended."""

    prepared: Prepared
    link: Link
    stop: Stop
    theta: Tensor | None = None
    phi: float | None = None
    steps: int = 0
    passes: int = 0
    known: dict[float, Point] = field(default_factory=dict)

    def at(self, power: float) -> Point:
        """The point of a power."""
        if power not in self.known:
            self.known[power] = self._fitted(power, None)
        return self.known[power]

    def _fitted(self, power: float, phi: float | None) -> Point:
        """The point of a power, at `phi` where it is given."""
        family = Tweedie(self.link, power=power)
        objective = Objective(self.prepared.design, MeanModel(family))
        found = run(IRLS(), objective, Start(family, self.theta), self.stop)
        self.theta, self.steps = found.theta, self.steps + found.steps
        sums = totals(objective, self.theta, family, self.prepared.weights)
        log_phi = self._start(objective, power, sums) if phi is None else math.log(phi)
        for _ in range(100):
            llf, slope, bend = self._in_log_phi(objective, power, log_phi, sums.deviance)
            move = -slope / bend if bend < 0.0 else math.copysign(1.0, slope)
            if phi is not None or abs(move) < 1e-10:
                break
            log_phi += max(-1.0, min(1.0, move))
        self.phi = math.exp(log_phi)
        self.passes += objective.meter.passes
        beta = objective.layout.to_user(self.theta).cpu().numpy()
        return Point(power, math.exp(log_phi), llf, slope, bend, sums.deviance, self.theta, beta)

    def _start(self, objective: Objective, power: float, sums: Totals) -> float:
        """The best of three: near a power of 1 whole numbers make several peaks in phi."""
        starts = [self.phi, sums.pearson / sums.n, sums.deviance / sums.n]
        logs = [math.log(phi) for phi in starts if phi is not None and phi > 0.0]
        return max(logs, key=lambda s: self._in_log_phi(objective, power, s, sums.deviance)[0])

    def _in_log_phi(
        self, objective: Objective, power: float, log_phi: float, deviance: float
    ) -> tuple[float, float, float]:
        """The log-likelihood, and its first two derivatives in log phi: a pass over the responses."""
        phi, frequency = math.exp(log_phi), isinstance(self.prepared.weights, Frequency)
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

        sums = objective.on(objective.design.without_columns()).sum(row_sums)
        objective.meter.passes += 1
        half = 0.5 * deviance / phi
        return float(sums["value"]) - half, float(sums["slope"]) + half, float(sums["bend"]) - half

    def errors(self, point: Point, with_power: bool) -> dict[str, float]:
        """Standard errors from the observed information in the power and log phi, the coefficients profiled out."""
        if not with_power:
            return {"phi": point.phi / math.sqrt(-point.bend)}
        h = min(STENCIL, 0.25 * (point.power - 1.0), 0.25 * (2.0 - point.power))
        around = [self._fitted(point.power + k * h, point.phi) for k in (-2, -1, 1, 2)]
        values, slopes = [p.llf for p in around], [p.slope for p in around]
        bend = (16.0 * (values[1] + values[2]) - values[0] - values[3] - 30.0 * point.llf) / (12.0 * h * h)
        cross = (8.0 * (slopes[2] - slopes[1]) - (slopes[3] - slopes[0])) / (12.0 * h)
        information = -np.array([[bend, cross], [cross, point.bend]])
        variances = np.diag(np.linalg.inv(information))
        power, phi = (math.sqrt(v) if v > 0.0 else math.nan for v in variances)
        return {"power": power, "phi": point.phi * phi}
