"""Profile intervals and likelihood ratio tests of a penalised fit.

One coefficient is held, the others maximise the penalised likelihood; the penalty stays that of the information of all
columns (Heinze & Schemper 2002). With phi estimated, it is held at the fit's value, as stats::confint.glm does.

An end of the interval is where r(b) = sqrt(2 drop / phi) meets the quantile. r is nearly linear in b, and its slope is
known from the gradient at the held maximum, so that Newton's method needs a few short fits, each begun where the last
one leads.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.errors import ConvergenceWarning, DomainError, OptionError, UnknownNameError, did_you_mean
from torchglm.inference.estimate import Estimate
from torchglm.inference.wald import NORMAL, Reference, check_level
from torchglm.objective.penalised import Penalised, Pinned
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Stop, run
from torchglm.solvers.start import Start

STOP = Stop(step_in_se=1e-9, max_steps=100)
CLOSE = 1e-11  # relative, of r: as far as a difference of two likelihoods tells
MOST_TRIALS = 80
FARTHEST = 1e6  # standard errors: an end beyond is none
LEAP = 4.0  # times the distance so far: how far one trial may go beyond it


@dataclass(frozen=True)
class Held:
    """The maximum with one coefficient held at its estimate + sign * distance."""

    distance: float
    theta: Tensor
    root: float  # sqrt(2 drop / phi)
    slope: float  # d root / d distance
    path: Tensor  # d theta / d coefficient along the profile


@dataclass(frozen=True)
class Ridge:
    """The profile of one coefficient: a penalised objective with phi known, and its maximum."""

    objective: Penalised
    estimate: Estimate
    name: str
    direction: Tensor  # (p,) inner: direction . theta is the coefficient
    top: float
    phi: float
    path: Tensor
    se: float

    @staticmethod
    def of(estimate: Estimate, place: int) -> Ridge:
        """That of the coefficient at `place` of the formula's order."""
        objective = penalised_likelihood(estimate)
        theta, p = estimate.solution.theta, estimate.layout.width
        direction = estimate.layout.to_user(torch.eye(p, dtype=torch.float64, device=theta.device))[place]
        point, curvature = objective.bent(theta)
        move = curvature.solve(direction)
        along = float(direction.dot(move))
        phi = objective.dispersion(point)
        name = estimate.prepared.schema.names[place]
        return Ridge(objective, estimate, name, direction, point.value, phi, move / along, (phi * along) ** 0.5)

    def held(self, start: Tensor, distance: float, sign: float) -> Held | None:
        """The maximum over the others, searched from `start`; None outside of the domain."""
        pinned = Pinned(
            self.objective.design,
            self.objective.likelihood,
            family=self.objective.family,
            penalty=self.objective.penalty,
            phi=self.objective.phi,
            n=self.objective.n,
            direction=self.direction,
        )
        try:
            found = run(IRLS(reuse=False), pinned, Start(self.objective.family, start), STOP)
        except DomainError:
            return None
        if not found.status.converged:
            warnings.warn(
                f"The profile of {self.name!r} is not settled: with the coefficient held {distance:.4g} from its "
                f"estimate, {found.status.value[0].lower()}{found.status.value[1:]} "
                "The end is NaN; use the Wald interval.",
                ConvergenceWarning,
                stacklevel=6,
            )
            return Held(distance, found.theta, math.nan, math.nan, self.path)
        point, curvature = pinned.bent(found.theta)
        move = curvature.solve(self.direction)
        path = move / self.direction.dot(move)
        root = (2.0 * max(point.value - self.top, 0.0) / self.phi) ** 0.5
        rise = sign * float(path.dot(point.gradient)) / self.phi
        return Held(distance, found.theta, root, rise / root if root > 0.0 else math.nan, path)

    def end(self, quantile: float, sign: float) -> float:
        """The distance at which r is `quantile`; inf where it never gets there, NaN where a fit failed."""
        inside, outside = Held(0.0, self.estimate.solution.theta, 0.0, 1.0 / self.se, self.path), math.inf
        trial = quantile * self.se
        for _ in range(MOST_TRIALS):
            found = self.held(inside.theta + sign * (trial - inside.distance) * inside.path, trial, sign)
            if found is None:
                outside = trial
            elif math.isnan(found.root):
                return math.nan
            elif abs(found.root - quantile) <= CLOSE * quantile:
                return found.distance
            elif found.root < quantile:
                inside = found
            else:
                outside = trial
            if math.isfinite(outside) and outside - inside.distance <= CLOSE * outside:
                return inside.distance
            if inside.distance > FARTHEST * self.se:
                return math.inf
            trial = _next(found or inside, inside.distance, outside, quantile)
        return math.nan


def _next(at: Held, inside: float, outside: float, quantile: float) -> float:
    """Newton's next distance; half-way, or a leap, where it leaves the bracket."""
    newton = at.distance + (quantile - at.root) / at.slope if at.slope > 0.0 else math.inf
    if inside < newton < outside:
        return newton if math.isfinite(outside) else min(newton, inside + LEAP * inside) if inside > 0.0 else newton
    return 0.5 * (inside + outside) if math.isfinite(outside) else (1.0 + LEAP) * inside


def penalised_likelihood(estimate: Estimate) -> Penalised:
    """The penalised likelihood that a fit maximises, with phi known.

    Raises: OptionError for a fit without penalty, and for an adjusted score that is the gradient of no likelihood.
    """
    objective = estimate.penalised
    if objective is None:
        raise OptionError('The fit has no penalty. Fit with penalty="firth" or penalty="jeffreys".')
    if not objective.penalty.is_likelihood(objective.family):
        link = objective.family.link.name
        raise OptionError(
            f"penalty={objective.penalty.name!r} solves an adjusted score equation, which with the {link} link of the "
            f"{objective.family.name} family is the gradient of no likelihood: there is no profile. Fit with "
            'penalty="jeffreys", which is one for every link, or use the Wald interval.'
        )
    return objective.at_phi(objective.dispersion(estimate.solution.point))


def penalised_profile_interval(
    estimate: Estimate, which: Sequence[int | str] | None = None, level: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Lower and upper ends (m,) of the penalised profile likelihood intervals of `which` coefficients, None for all.

    Infinite where the profile never falls far enough, NaN for an aliased coefficient. t quantiles where phi is
    estimated, else normal ones.
    Raises: UnknownNameError; OptionError for a level outside of (0, 1), and as `penalised_likelihood`.
    Source: logistf's profile intervals (Heinze & Schemper 2002).
    """
    check_level(level)
    penalised_likelihood(estimate)
    estimate.refuse_changed_data()
    quantile = float(_reference(estimate).quantile(0.5 + 0.5 * level))
    ends: list[tuple[float, float]] = []
    for place in _places(estimate, which):
        if bool(estimate.aliased[place]):
            ends.append((math.nan, math.nan))
            continue
        ridge, centre = Ridge.of(estimate, place), float(estimate.theta[place])
        ends.append((centre - ridge.end(quantile, -1.0), centre + ridge.end(quantile, 1.0)))
    both = torch.tensor(ends, dtype=torch.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def penalised_likelihood_ratio(estimate: Estimate, which: int | str, value: float = 0.0) -> tuple[float, float]:
    """Twice the fall of the penalised log-likelihood where a coefficient is held at `value`, over phi; its p-value.

    Chi-square of one degree of freedom, F where phi is estimated. NaN for an aliased coefficient.
    Raises: UnknownNameError, DomainError; OptionError as `penalised_likelihood`.
    Source: the tests that logistf prints.
    """
    (place,) = _places(estimate, [which])
    if bool(estimate.aliased[place]):
        return math.nan, math.nan
    estimate.refuse_changed_data()
    ridge = Ridge.of(estimate, place)
    gap = value - float(estimate.theta[place])
    found = ridge.held(estimate.solution.theta + gap * ridge.path, abs(gap), math.copysign(1.0, gap))
    if found is None:
        raise DomainError(f"With {ridge.name!r} held at {value:g} the mean leaves its domain.")
    return found.root**2, float(_reference(estimate).p_values(found.root))


def _places(estimate: Estimate, which: Sequence[int | str] | None) -> list[int]:
    names = list(estimate.prepared.schema.names)
    if which is None:
        return list(range(len(names)))
    for name in which:
        if isinstance(name, str) and name not in names:
            raise UnknownNameError(f"There is no coefficient {name!r}. {did_you_mean(name, names)}")
    return [names.index(name) if isinstance(name, str) else int(name) for name in which]


def _reference(estimate: Estimate) -> Reference:
    phi_is_known = estimate.penalised is None or estimate.penalised.phi is not None
    return NORMAL if phi_is_known else Reference(estimate.df_resid)
