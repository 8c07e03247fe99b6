"""Link test: whether the square of the linear predictor has anything left to say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import of_own
from torchglm.design.columns import Columns
from torchglm.design.parts import Dense
from torchglm.diagnostics.checks.check import LEVEL, Check, Finding, Subject, p_text
from torchglm.errors import DomainError
from torchglm.inference.totals import totals
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Solution, run
from torchglm.solvers.start import Start


@dataclass(frozen=True)
class LinkTest(Check, name="link"):
    """The Wald test of eta^2 in the model y ~ 1 + eta + eta^2, eta the linear predictor with its offset.

    A small p says that the link, or the shape of a term, is wrong. Source: Pregibon (1980), Applied Statistics 29;
    Stata's linktest.
    """

    def run(self, subject: Subject) -> Finding | str:
        from scipy import special

        if subject.is_sampled:
            return "the test under sampling weights is another"
        if subject.record.facts.infinite:
            return "separation makes eta infinite"
        eta = torch.from_numpy(subject.rows.eta)
        # eta^2 keeps its coefficient and its error when eta is centred and scaled: only the numbers are better.
        center, scale = eta.mean(), eta.std(correction=0)
        if not float(scale) > 1e-12 * (1.0 + abs(float(center))):
            return "eta is constant"
        try:
            objective, solution = _fit(subject, (eta - center) / scale, float(center), float(scale))
        except DomainError:
            return "the model with eta^2 has no start"
        if solution.point.curvature.rank < 3:
            return "eta takes only two values"
        if not solution.status.converged:
            return "the model with eta^2 did not converge"
        record, df = subject.record, subject.estimate.n - 3.0
        estimated = record.facts.use_t
        phi = record.numbers.phi
        if estimated:
            found = totals(objective, solution.theta, subject.estimate.family, subject.estimate.prepared.weights)
            phi = found.pearson / df if df > 0 else math.nan
        error = math.sqrt(phi * float(solution.point.curvature.inverse_diagonal()[2]))
        value = float(solution.theta[2]) / error
        tail = special.stdtr(df, -abs(value)) if estimated else special.ndtr(-abs(value))
        p = 2.0 * float(tail)
        row = {"estimate": float(solution.theta[2]) / float(scale) ** 2, "std.error": error / float(scale) ** 2}
        details = pd.DataFrame({"eta^2": row | {"statistic": value, "p": p}}).T
        return Finding(
            "Link test",
            f"{'t' if estimated else 'z'} of eta^2 = {value:.2f}, {p_text(p)}",
            value,
            p,
            "link or shape is off" if p < LEVEL else "nothing missed",
            p < LEVEL,
            "The square of the linear predictor still explains the response. Try another link; look at the partial "
            "residuals of numeric terms for a curve.",
            details,
        )


def _fit(subject: Subject, eta: Tensor, center: float, scale: float) -> tuple[Objective, Solution]:
    """The fit of y ~ 1 + eta + eta^2, begun at the fit that is checked."""
    estimate = subject.estimate
    design = estimate.objective.design
    eta = of_own(design, eta).to(design.device)
    dense = Dense(((eta,), (eta.square(),)), eta.new_zeros(2))
    columns = Columns(True, dense, (), torch.arange(3, device=eta.device))
    small = replace(design, columns=(columns,), offsets=(None,))
    begin = torch.tensor([center, scale, 0.0], dtype=torch.float64, device=eta.device)
    objective = Objective(small, estimate.objective.likelihood)
    return objective, run(IRLS(), objective, Start(estimate.family, begin), estimate.stop)
