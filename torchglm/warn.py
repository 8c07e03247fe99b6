"""What a fit warns of: separation, and a search that did not converge."""

from __future__ import annotations

import warnings

from torchglm.errors import ConvergenceWarning, SeparationWarning
from torchglm.solvers.solver import Solution, Status, Stop

SEPARATED = "Separation: the data predict some responses perfectly, so that no finite maximum exists"
MEANINGLESS = "Their estimates and standard errors mean nothing, nor do others as uncertain; the rest are limits."
UNBOUNDED = "The likelihood has no finite maximum"


def warn(solution: Solution, infinite: dict[str, str], stop: Stop, finite: str) -> None:
    """Nothing; the caller's caller's caller is warned. `finite` is a call whose estimates are finite."""
    if infinite:
        shown = ", ".join(f"{name} -> {sign}inf" for name, sign in infinite.items())
        warnings.warn(
            f"Separation: the data predict some responses perfectly, so that no finite maximum exists: {shown}. "
            f"{MEANINGLESS} A penalised fit is finite: {finite}. Or leave the separating column out, or merge levels.",
            SeparationWarning,
            stacklevel=4,
        )
    elif not solution.status.converged:
        warnings.warn(_unfinished(solution, stop, "glm(..., max_steps={})"), ConvergenceWarning, stacklevel=4)


def warn_diverging(solution: Solution, infinite: dict[str, str], stop: Stop, *, has_classes: bool) -> None:
    """Nothing; the same of a model of several linear predictors."""
    if infinite:
        shown = ", ".join(f"{name} -> {sign}inf" for name, sign in infinite.items())
        why, advice = (
            (SEPARATED, "Leave the separating column out")
            if has_classes
            else (UNBOUNDED, "Leave out the part that they belong to: a simpler model may be enough")
        )
        warnings.warn(
            f"{why}: {shown}. {MEANINGLESS} {advice}, or merge levels.",
            SeparationWarning,
            stacklevel=4,
        )
    elif not solution.status.converged:
        warnings.warn(_unfinished(solution, stop, "max_steps={}"), ConvergenceWarning, stacklevel=4)


def _unfinished(solution: Solution, stop: Stop, more: str) -> str:
    hint = {
        Status.MAX_STEPS: f"Try {more.format(10 * stop.max_steps)} or start= (coefficients).",
        Status.UNPOLISHED: "Standard errors are those of the point reached. Say polish=True for the maximum.",
    }.get(solution.status, "Look at fit.trace; try another link, or start= (coefficients).")
    if solution.solver == "sgd" and solution.status is not Status.UNPOLISHED:
        hint += " A smaller learning_rate of SGD may end nearer to the maximum."
    return (
        f"Not converged after {solution.steps} step{'' if solution.steps == 1 else 's'}: {solution.status.value} "
        f"Next step: {solution.step_in_se:.1e} standard errors. {hint}"
    )
