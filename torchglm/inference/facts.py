"""The facts of a fit, gathered from where they were found."""

from __future__ import annotations

from torchglm.inference.covariance.kind import CovarianceKind, described
from torchglm.inference.dispersion import DispersionKind
from torchglm.inference.estimate import Estimate
from torchglm.inference.penalty_choice import half_logdet, penalty_note
from torchglm.inference.record import Facts


def facts_of(
    estimate: Estimate,
    formula: str,
    kind: CovarianceKind,
    phi: DispersionKind,
    aliased: dict[str, list[str]],
    infinite: dict[str, str],
) -> Facts:
    """What a summary says beside the numbers.

    Raises: what reading the covariance's columns raises.
    """
    prepared, solution = estimate.prepared, estimate.solution
    return Facts(
        formula=formula,
        response=prepared.response_name,
        response_levels=prepared.response.levels,
        weights_note=None if prepared.weights is None else prepared.weights.note,
        offset_note=prepared.offset_note,
        rows_dropped=prepared.missing,
        rows_zero_weight=prepared.zero_weight,
        n=estimate.n,
        rank=estimate.rank,
        status=solution.status.value,
        converged=solution.status.converged,
        solver=solution.solver,
        steps=solution.steps,
        passes=solution.passes,
        trace=solution.trace,
        aliased=aliased,
        infinite=infinite,
        dispersion_kind=phi.note,
        use_t=phi.estimated,
        **described(kind, estimate, phi.estimated)._asdict(),
        penalty_note=penalty_note(estimate),
        half_logdet=half_logdet(estimate),
    )
