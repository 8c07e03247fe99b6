"""tweedie(): responses that are zero or positive, as rain and claims, with the power of the variance estimated."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from torchglm.api import check_response, check_stop, device_of, fit_prepared, start_of
from torchglm.call import Call
from torchglm.design.prepare import Request, prepare
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Parsed, parse
from torchglm.errors import BoundaryWarning, DomainError, OptionError, ResponseError
from torchglm.families.family import Family
from torchglm.families.link import Link
from torchglm.families.mean import MeanModel
from torchglm.families.tweedie import Tweedie
from torchglm.fit import Fit
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.objective.objective import Objective
from torchglm.placing import placed
from torchglm.solvers.solver import Solver, Stop
from torchglm.tweedie_profile import Point, Profile
from torchglm.vector_models import caller_at
from torchglm.warn import warn

GRID = 9  # powers tried before the search: the profile can have several peaks
POWER_TOLERANCE = 1e-6  # of the search by values, which tell no more; a Newton step follows
LAST_STEP = 1e-5
NEAR_END = 1e-5
MANY_ROWS, SAMPLE_ROWS = 100_000, 30_000
ERRORS_AROUND = 5.0  # standard errors of a sample's power, around it, within which that of all rows lies


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
    if power is not None and not (_is_number(power) and 1.0 < power < 2.0):
        raise OptionError(
            f"power= is between 1 and 2, or None to estimate it; got {power!r}. Others are glm(family=Tweedie(power=))."
        )
    two = isinstance(powers, tuple | list) and len(powers) == 2 and all(_is_number(end) for end in powers)
    if not (two and 1.0 < powers[0] < powers[1] < 2.0):
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
        begin = start_of(start, objective, prepared.schema.names)
        profile = Profile(prepared.design, prepared.weights, family.link, call.stop, begin)
        point, errors = self._estimated(profile)
        family = Tweedie(family.link, power=point.power, phi=point.phi)
        try:
            fit = fit_prepared(prepared, family, call, point.coefficients)
        except DomainError:  # at the edge of the domain, where rounding of the coefficients may lead out
            fit = fit_prepared(prepared, family, call)
        values, facts = {"power": point.power, "phi": point.phi}, fit.record.facts
        estimated = {name: (values[name], error) for name, error in errors.items()}
        steps, passes = profile.steps + facts.steps, profile.passes + facts.passes
        facts = replace(facts, estimated=estimated, steps=steps, passes=passes)
        fit = replace(fit, record=replace(fit.record, facts=facts))
        assert fit.estimate is not None
        warn(fit.estimate.solution, fit.infinite, call.stop, "glm(..., family=Tweedie(power=...), penalty='firth')")
        return fit

    def _estimated(self, profile: Profile) -> tuple[Point, dict[str, float]]:
        """The highest point and the standard errors of what was estimated there; none of a power at an end.

        Warns: as `_highest`.
        """
        if self.power is not None:
            point = profile.at(self.power)
            return point, {"phi": point.error}
        point = profile.at(self._highest(profile))
        if point.power in self.powers:
            return point, {"power": math.nan, "phi": point.error}
        surface = profile.around(point)
        if abs(surface.move) < LAST_STEP:
            point = profile.at(point.power + surface.move)
        return point, surface.errors

    def _highest(self, profile: Profile) -> float:
        """The power whose profile is highest. On many rows a sample tells where to look for it.

        Warns: BoundaryWarning at an end.
        """
        if profile.design.n > MANY_ROWS:
            sampled = profile.on(profile.design.sample(SAMPLE_ROWS))
            middle = self._among(sampled, self.powers)
            reach = ERRORS_AROUND * sampled.around(sampled.at(middle)).errors["power"]
            if math.isfinite(reach):
                ends = (max(middle - reach, self.powers[0]), min(middle + reach, self.powers[1]))
                power = self._within(profile, ends)
                if ends[0] + NEAR_END < power < ends[1] - NEAR_END:
                    return power
        power = self._among(profile, self.powers)
        for end, simpler in zip(self.powers, ("poisson", "gamma"), strict=True):
            if abs(power - end) < NEAR_END or profile.at(end).llf >= profile.at(power).llf:
                warnings.warn(
                    f"The likelihood is highest at the end of the powers searched, {end:g}. Where it stays there with "
                    f'wider powers=, the {simpler} family says the same: family="{simpler}".',
                    BoundaryWarning,
                    stacklevel=5,
                )
                return end
        return power

    def _among(self, profile: Profile, powers: tuple[float, float]) -> float:
        """The same of any profile, which can have several peaks."""
        grid = np.linspace(*powers, GRID)
        best = int(np.argmax([profile.at(float(p)).llf for p in grid]))
        return self._within(profile, (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])))

    @staticmethod
    def _within(profile: Profile, ends: tuple[float, float]) -> float:
        """The same where there is one peak."""
        from scipy.optimize import minimize_scalar

        options = {"xatol": POWER_TOLERANCE}
        found: Any = minimize_scalar(
            lambda p: -profile.at(float(p)).llf, bounds=ends, method="bounded", options=options
        )
        return float(found.x)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
