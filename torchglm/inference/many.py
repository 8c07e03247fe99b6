"""Many models in one search: their coefficients, standard errors and dispersions, and which of them are not sure.

A model that a batch cannot be sure of (separated, nearly collinear, not converged) is left to a fit of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from torchglm.families.family import Family
from torchglm.inference.covariance.kind import CovarianceKind, Model
from torchglm.inference.covariance.robust import HC0, HC1, HC2, HC3, Sampling
from torchglm.inference.dispersion import DispersionKind, Fixed, Pearson
from torchglm.numerics.triangles import factor_many
from torchglm.objective.batch import Hats, Models, Problems
from torchglm.objective.grouped import Groups, stretches
from torchglm.objective.objective import Objective
from torchglm.solvers.batch import BatchSolution, solve
from torchglm.solvers.solver import Stop

MOST_STEPS = 25  # a separated model takes more: each step carries it one unit on
FARTHER = 60  # steps of a model that is left to a fit of its own
CERTAIN = 1e-7  # standard errors: what the last step may be long, and thus move standard errors by


def _ratio(n: Tensor, df: Tensor) -> Tensor:
    return torch.where(df > 0, n / df, math.nan)


# The meats that many models can have at once, and what multiplies them: of n and rank.
MEATS: dict[CovarianceKind, Callable[[Tensor, Tensor], Tensor]] = {
    HC0(): lambda n, rank: torch.ones_like(n),
    HC1(): lambda n, rank: _ratio(n, n - rank),
    HC2(): lambda n, rank: torch.ones_like(n),
    HC3(): lambda n, rank: torch.ones_like(n),
    Sampling(): lambda n, rank: _ratio(n, n - 1.0),
}


# What divides squared scores: 1 - leverage to this power.
POWERS: dict[CovarianceKind, int] = {HC2(): 1, HC3(): 2}


@dataclass(frozen=True)
class ManyNumbers:
    """The numbers of G models, formula's order, NaN where aliased and in all of a model that is not `sure`.

    `start` is where a search of its own may begin for one that is not; NaN where nothing better
    is known than the start of the family. Shapes: theta, variances, start (G, p); phi, n, rank (G,); sure (G,).
    """

    theta: Tensor
    variances: Tensor
    phi: Tensor
    n: Tensor
    rank: Tensor
    sure: Tensor
    start: Tensor

    def start_of(self, place: int) -> np.ndarray | None:
        """(p,) where the search of one model alone may begin."""
        start = self.start[place]
        return start.numpy() if bool(torch.isfinite(start).all()) else None

    @staticmethod
    def blank(count: int, p: int) -> ManyNumbers:
        """Those of models that nothing is known of."""
        wide, narrow = torch.full((count, p), math.nan, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        sure = torch.zeros(count, dtype=torch.bool)
        phi = torch.full_like(narrow, math.nan)
        return ManyNumbers(wide, wide.clone(), phi, narrow, narrow.clone(), sure, wide.clone())

    def write(self, places: Tensor, other: ManyNumbers) -> None:
        """Nothing: the models at `places` have the numbers of `other`."""
        for field in fields(self):
            getattr(self, field.name)[places] = getattr(other, field.name)


@dataclass(frozen=True)
class Wanted:
    """What is asked of every model, beside its coefficients; `repeats`: weights are frequencies."""

    family: Family
    kind: CovarianceKind
    dispersion: DispersionKind
    stop: Stop
    repeats: bool = False

    @property
    def is_batched(self) -> bool:
        """Whether batches can give it."""
        return (self.kind == Model() or self.kind in MEATS) and isinstance(self.dispersion, Fixed | Pearson)


def group_numbers(objective: Objective, groups: Groups, which: Tensor, n: Tensor, wanted: Wanted) -> ManyNumbers:
    """The numbers of the models of the groups `which` (G,), one model a group; `n` (groups,) the observations of each.

    Shapes: as many models as `groups` has, blank where not asked for.
    """
    out = ManyNumbers.blank(len(groups.sizes), objective.layout.width)
    for stretch in stretches(objective, groups, which):
        start = stretch.start(wanted.family)
        good = torch.isfinite(start).all(1)
        if not bool(good.all()):
            stretch, start = stretch.of(good), start[good]
        if len(start):
            out.write(stretch.groups.cpu(), model_numbers(stretch, start, n[stretch.groups], wanted))
    return out


def search(problems: Problems, start: Tensor, stop: Stop) -> BatchSolution:
    """The optimum of every problem that has one, with steps that get shorter where that is enough to get there."""
    stop = Stop(min(stop.step_in_se, 1e-8), min(stop.max_steps, MOST_STEPS))
    convex = problems.objective.likelihood.is_convex_everywhere
    return solve(problems, start, stop, values=not convex, certain=CERTAIN)


def model_numbers(models: Models, start: Tensor, n: Tensor, wanted: Wanted) -> ManyNumbers:
    """The numbers of some models from `start` (G, p), of `n` (G,) observations."""
    found = search(models, start, wanted.stop)
    curvature = found.point.curvature
    free = torch.ones_like(found.theta, dtype=torch.bool)
    factored = factor_many(curvature, free, models.objective.layout.order)
    aliased = factored.aliased
    rank = (~aliased).sum(1).to(torch.float64)
    phi = dispersion_of(wanted.dispersion, lambda: pearson_of(models, found), n - rank)
    meat = None
    if wanted.kind in MEATS:
        bread = factored.inverse()
        hats = Hats(bread, POWERS[wanted.kind]) if wanted.kind in POWERS else None
        meat = models.meat(found.theta, wanted.repeats, hats)
        inner = bread @ meat @ bread * MEATS[wanted.kind](n, rank)[:, None, None]
        variances = models.user_variances(inner)
    else:
        variances = phi[:, None] * models.inverse_variances(factored)
    left_out = aliased[:, models.objective.layout.order]
    theta, variances = (t.masked_fill(left_out, math.nan).cpu() for t in (models.to_user(found.theta), variances))
    sure = found.converged & ~factored.doubtful & torch.isfinite(found.theta).all(1)
    if meat is not None and wanted.kind in POWERS:  # NaN where a row has leverage one, which a fit alone names
        sure &= ~torch.isnan(meat).flatten(1).any(1)
    start = models.to_user(_farther(models, found, ~sure)).cpu()
    return ManyNumbers(theta, variances, phi.cpu(), n.cpu(), rank.cpu(), sure.cpu(), start)


def _farther(models: Models, found: BatchSolution, unsure: Tensor) -> Tensor:
    """(G, p) where a search by values has taken the `unsure` models of convex likelihoods, inner order; NaN for others.

    Those of a separated model go on and on: what many steps of all take together, each would take alone.
    """
    out = torch.full_like(found.theta, math.nan)
    some = unsure & torch.isfinite(found.theta).all(1)
    if models.objective.likelihood.is_convex_everywhere and bool(some.any()):
        farther = solve(models.of(some), found.theta[some], Stop(1e-8, FARTHER))
        out[some] = torch.where(farther.converged[:, None], farther.theta, math.nan)
    return out


def dispersion_of(kind: DispersionKind, pearson: Callable[[], Tensor], df: Tensor) -> Tensor:
    """(G,) phi: Pearson's X2 / df, NaN with no degrees of freedom left, or a number."""
    if isinstance(kind, Fixed):
        return torch.full_like(df, kind.phi)
    return torch.where(df > 0, pearson() / df, math.nan)


def pearson_of(models: Models, found: BatchSolution) -> Tensor:
    """(G,) Pearson's X2: the search has it where the likelihood has a dispersion, else it takes a pass."""
    return found.point.pearson if models.objective.likelihood.has_dispersion else models.pearson(found.theta)
