"""The objective under a penalty: the adjusted score, its root, and the step towards it.

One evaluation is a pass with curvature, whose inverse gives the leverages, and a pass that adds them up. What is
minimised is nll - phi / 2 log det (X'WX) where the penalty makes that a likelihood and phi is known. Elsewhere the root
of the adjusted score maximises nothing: then the value is half its squared length in standard errors (phi = 1), which
is zero there and nowhere else.

`curvature` stays the expected information, for the standard errors. The step is taken with the leverages' share
X' diag(-h a') X added where it is positive: at h near 1 the score bends twice as fast as the information says, and a
scoring step would jump to the other side for ever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.families.likelihood import Information
from torchglm.numerics.linalg import ENOUGH_DIGITS, Factored, factor_gram
from torchglm.numerics.sums import Sums
from torchglm.objective.bending import Bend, bending
from torchglm.objective.curvature import factor
from torchglm.objective.objective import Objective, Quadratic, Slope, gradient_sums
from torchglm.objective.penalty import Jeffreys, Penalty

SHIFT = 1e-6  # relative: for the slope of a(eta), which steers the step and not where it ends
SMALLEST_SHIFT = 1e-8
MOST_NEWTON, LARGEST_NEWTON = 40, 3e8  # columns, and rows x p^3, up to which Newton's step is worth its passes


@dataclass(frozen=True)
class Penalised(Objective):
    """An objective whose score is adjusted by `penalty`.

    family  that of the likelihood
    phi     the dispersion in the adjustment; None: Pearson's X2 / (n - rank) at every theta
    n       the observations, as the weights count
    metric  of the squared score's length, where that is the value; None: the expected information at every theta
    """

    family: Family = field(kw_only=True)
    penalty: Penalty = field(kw_only=True)
    phi: float | None = field(kw_only=True)
    n: float = field(kw_only=True)
    metric: Factored | None = field(default=None, kw_only=True)

    @property
    def is_newton(self) -> bool:
        """Never: the curvature of the penalty is only approximated."""
        return False

    @property
    def is_likelihood(self) -> bool:
        """Whether the value is a penalised negative log-likelihood, times phi."""
        return self.phi is not None and self.penalty.is_likelihood(self.family)

    def at_phi(self, phi: float) -> Penalised:
        """The same objective with phi known; its passes count by themselves."""
        return replace(self.on(self.design), phi=phi)

    def values(self, thetas: Tensor) -> Tensor:
        each = [self._value(theta) for theta in thetas.T]
        return torch.tensor(each, dtype=torch.float64, device=thetas.device)

    def slope(self, theta: Tensor) -> Slope:
        return self.quadratic(theta)

    def quadratic(self, theta: Tensor, *, information: Information = "expected") -> Quadratic:
        return self.bent(theta)[0]

    def bent(self, theta: Tensor) -> tuple[Quadratic, Factored]:
        """The quadratic, and the factored curvature that its step was taken with."""
        point = super().quadratic(theta)
        if not math.isfinite(point.value):
            return point, point.curvature
        phi, inverse = self.dispersion(point), point.curvature.inverse()
        gradient, curvature = self._adjusted(theta, point, inverse, phi)
        value = self._merit(point, gradient, phi)
        point = replace(point, value=value, gradient=gradient, step=curvature.solve(-gradient))
        return self._newton(theta, point, curvature, inverse, phi) if self._affords_newton else (point, curvature)

    def _value(self, theta: Tensor) -> float:
        """What is minimised, without a step."""
        point = super().quadratic(theta)
        if not math.isfinite(point.value):
            return point.value
        phi = self.dispersion(point)
        if self.is_likelihood:
            return self._merit(point, point.gradient, phi)
        return self._merit(point, self._adjusted(theta, point, point.curvature.inverse(), phi)[0], phi)

    def _merit(self, point: Quadratic, gradient: Tensor, phi: float) -> float:
        """The value at the unpenalised `point` with the adjusted `gradient`."""
        if self.is_likelihood:
            return point.value - 0.5 * phi * point.curvature.logdet()
        metric = point.curvature if self.metric is None else self.metric
        return 0.5 * float(gradient.dot(metric.solve(gradient)))

    @property
    def _affords_newton(self) -> bool:
        p = self.layout.width
        return p <= MOST_NEWTON and self.design.n * p**3 <= LARGEST_NEWTON

    def _newton(
        self, theta: Tensor, point: Quadratic, curvature: Factored, inverse: Tensor, phi: float
    ) -> tuple[Quadratic, Factored]:
        """The same with Newton's own step, where it leads down: two more passes."""
        raw = self.raw(theta)

        def bend(block: Block) -> Bend:
            z = self.predictors(block, raw)
            eta = z[:, 0]
            weight = self._weight(block.y, eta)
            observed = self.likelihood.expand(block.y, z, information="observed").curvature[:, 0, 0]
            slope = 2.0 * weight * Jeffreys().pull(self.family, eta, weight)
            pull = self.penalty.pull(self.family, eta, weight)
            return Bend(weight, slope, pull, self._pull_slope(block.y, eta), observed)

        jacobian = bending(self, bend, inverse, phi)
        if not bool(torch.isfinite(jacobian).all()):
            return point, curvature
        symmetric = factor_gram(0.5 * (jacobian + jacobian.T), self.layout.order)
        kept = torch.nonzero(~point.curvature.aliased).flatten()
        step = torch.zeros_like(theta)
        step[kept] = torch.linalg.solve_ex(jacobian[kept][:, kept], -point.gradient[kept])[0]
        descends = float(point.gradient.dot(step)) < 0.0
        if not descends or (self.is_likelihood and (symmetric.indefinite or symmetric.rank < len(kept))):
            return point, curvature
        return replace(point, step=step), symmetric

    def dispersion(self, point: Quadratic) -> float:
        """phi at a point.

        Raises: OptionError where it must be estimated and no degrees of freedom are left.
        """
        if self.phi is not None:
            return self.phi
        df = self.n - point.curvature.rank
        if df <= 0:
            raise OptionError(
                f"penalty={self.penalty.name!r} needs the dispersion of the {self.family.name} family, which "
                f"{self.n:g} observations and {point.curvature.rank} coefficients leave no degrees of freedom for. "
                "Give dispersion= a number, or fewer terms."
            )
        return point.pearson / df

    def _adjusted(self, theta: Tensor, point: Quadratic, inverse: Tensor, phi: float) -> tuple[Tensor, Factored]:
        """The adjusted gradient (p,) and the curvature to step with: one pass."""
        raw, columns = self.raw(theta), self.design.columns[0]
        inverse = columns.expand(columns.expand(inverse).T)

        def row_sums(block: Block) -> Sums:
            eta = self.predictors(block, raw)[:, 0]
            weight = self._weight(block.y, eta)
            h = block.columns[0].quadratic_form(inverse).mul_(weight)  # of weight one: gradient_sums multiplies it in
            pull = h * self.penalty.pull(self.family, eta, weight)
            w = weight - phi * h * self._pull_slope(block.y, eta).clamp(max=0.0)
            w = w if block.weight is None else w * block.weight
            gram = block.columns[0].gram(w, block.scratch[0])
            return Sums({"total": w.sum(), **gradient_sums(block, pull[:, None]), **gram})

        sums = self.sum(row_sums)
        gradient = point.gradient - phi * self.collapse_gradient(sums)
        curvature = factor(self.layout, sums, sums["total"])
        # Where digits are short, or columns fall out that the information keeps, the information's own are better.
        same = bool((curvature.aliased == point.curvature.aliased).all())
        return gradient, curvature if same and curvature.smallest_pivot > ENOUGH_DIGITS else point.curvature

    def _weight(self, y: Tensor, eta: Tensor) -> Tensor:
        """W (rows,): the expected curvature of rows of weight one; zero where the mean has run into its end."""
        return self.likelihood.expand(y, eta[:, None], information="expected").curvature[:, 0, 0].nan_to_num(nan=0.0)

    def _pull_slope(self, y: Tensor, eta: Tensor) -> Tensor:
        """a'(eta) (rows,) by a central difference; 0 where a ends."""
        shift = (SHIFT * eta.abs()).clamp(min=SMALLEST_SHIFT)
        below, above = (self.penalty.pull(self.family, at, self._weight(y, at)) for at in (eta - shift, eta + shift))
        return ((above - below) / (2.0 * shift)).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class Pinned(Penalised):
    """A penalised objective along which direction . theta stays where it starts: for profiles.

    The penalty stays that of all columns, as in logistf.
    """

    direction: Tensor = field(kw_only=True)

    @property
    def holds_some(self) -> bool:
        return True

    def quadratic(self, theta: Tensor, *, information: Information = "expected") -> Quadratic:
        point, curvature = self.bent(theta)
        move = curvature.solve(self.direction)
        # What holds the coefficient is taken out of the slope, of which it may be nearly all: lengths are of the rest.
        held = point.gradient.dot(move) / self.direction.dot(move)
        gradient = point.gradient - held * self.direction
        return replace(point, gradient=gradient, step=curvature.solve(-gradient))
