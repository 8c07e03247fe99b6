"""What penalty= asks for, and what a penalised fit says of itself."""

from __future__ import annotations

import math
from dataclasses import fields

from torchglm.design.prepare import Prepared
from torchglm.design.terms import Parsed
from torchglm.design.weights import Probability
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.inference.dispersion import DispersionKind, Fixed, Pearson
from torchglm.inference.estimate import Estimate
from torchglm.objective.objective import Objective
from torchglm.objective.penalised import Penalised
from torchglm.objective.penalty import PENALTIES, Penalty
from torchglm.solvers.solver import Solver


def resolve_penalty(given: object, solver: Solver, phi: DispersionKind, family: Family) -> Penalty | None:
    """The penalty that a name, class or instance stands for; None for None.

    Raises: UnknownNameError; OptionError for a solver or a dispersion that it does not go with.
    """
    if given is None:
        return None
    penalty = PENALTIES.resolve(given, Penalty)
    if solver.name != "irls":
        raise OptionError(
            f"penalty={penalty.name!r} is solved by IRLS, because each step needs the leverages; got "
            f'solver={solver.name!r}. Leave solver= out, or say solver="irls".'
        )
    if phi.estimated and not isinstance(phi, Pearson):
        raise OptionError(
            f"penalty={penalty.name!r} has the dispersion in its score, there Pearson's chi2 / df or a number; got "
            f'{phi.note}. Say dispersion="pearson", or a number.'
        )
    if phi.estimated and not family.has_dispersion:
        raise OptionError(
            f"penalty={penalty.name!r} of the {family.name} family takes its dispersion as known; got "
            f'dispersion="pearson". Say a number, or take a quasi family, whose dispersion is estimated.'
        )
    return penalty


def penalised_objective(
    objective: Objective, penalty: Penalty, family: Family, phi: DispersionKind, prepared: Prepared
) -> Penalised:
    """The objective under the penalty.

    Raises: OptionError for sampling weights.
    """
    weights = prepared.weights
    if isinstance(weights, Probability):
        raise OptionError(
            f"penalty={penalty.name!r} is not defined for prob_weights=: a bias correction needs the information of "
            "the sample, which sampling weights do not give. Use weights= or freq_weights=, or leave the penalty out."
        )
    known = phi.phi if isinstance(phi, Fixed) else None
    n = float(objective.design.n) if weights is None else objective.design.total(weights.count())
    return Penalised(objective.design, objective.likelihood, family=family, penalty=penalty, phi=known, n=n)


def remedy(parsed: Parsed, family: Family) -> str:
    """The call whose estimates are finite where the likelihood has no finite maximum."""
    options = [f.name for f in fields(family) if f.name != "link"]
    known = [repr(family.name)] if not options else ["family"]
    if type(family.link) is not family.default_link:
        known.append(repr(family.link.name) if not fields(family.link) else "link")
    # With phi estimated, a separated fit drives phi and with it the penalty to zero.
    scale = ["dispersion=1"] if family.has_dispersion else []
    arguments = ", ".join([repr(parsed.text), "data", *known, *scale, 'penalty="firth"'])
    return f"glm({arguments})"


def penalty_note(estimate: Estimate) -> str | None:
    """The penalty as the summary names it."""
    penalised = estimate.penalised
    return None if penalised is None else penalised.penalty.note(estimate.family)


def half_logdet(estimate: Estimate) -> float | None:
    """1/2 log det of the expected information, where log-likelihood + that was maximised; None elsewhere."""
    penalised = estimate.penalised
    if penalised is None or not penalised.is_likelihood or penalised.phi != 1.0:
        return None
    value = 0.5 * estimate.curvature.logdet()
    return value if math.isfinite(value) else None
