"""The bootstrap: replicates of a fit, all of them fitted as one batched problem.

rows         rows drawn with replacement                      car::Boot(method = "case"), boot::boot
clusters     whole clusters drawn with replacement            the rows of a cluster stay together
parametric   responses drawn from the fitted distribution     boot::boot(sim = "parametric")
wild         theta + A sum_g v_g s_g, v_g = -1 or 1           one scoring step: Kline & Santos (2012)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from torchglm.design.among_ranks import require_all_rows
from torchglm.design.block import Block
from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.inference.covariance.groups import RowGroups
from torchglm.inference.covariance.scores import group_scores, written_out
from torchglm.inference.estimate import Estimate
from torchglm.inference.intervals.refitted import refits, responded
from torchglm.inference.resampling.refits import ENTRIES, at_a_time, refit
from torchglm.inference.vector import VectorEstimate
from torchglm.numerics.seeds import check_seed
from torchglm.objective.batch import Batch
from torchglm.solvers.solver import Stop

KINDS = ("rows", "clusters", "parametric", "wild")
ENOUGH = 1e-6  # standard errors: what a replicate's last step may leave, far below what resampling does
Watch = Callable[[int], None]  # told how many replicates were done


@dataclass(frozen=True)
class Drawn:
    """Replicates: coefficients (replicates, p) in the formula's order, NaN where aliased or failed."""

    thetas: Tensor
    failed: int


def bootstrap(
    estimate: Estimate,
    phi: float,
    replicates: int,
    kind: str,
    seed: int,
    clusters: RowGroups | None,
    watch: Watch,
) -> Drawn:
    """The replicates of a fit; `clusters` are those of the rows of the design.

    Raises: OptionError for an unknown kind or seed, clusters missing or out of place, a family that cannot be sampled.
    """
    check(kind, replicates, clusters)
    require_all_rows(estimate.objective.design, "A bootstrap")
    estimate.refuse_changed_data()
    rng = np.random.default_rng(check_seed(seed))
    if kind == "wild":
        thetas, failed = _wild(estimate, replicates, rng, clusters), 0
        undefined = torch.zeros_like(thetas, dtype=torch.bool)
        watch(replicates)
    else:
        if isinstance(estimate, VectorEstimate):
            found = _refitted(estimate, replicates, kind, rng, clusters, watch)
        else:
            found = _fitted(estimate, phi, replicates, kind, rng, clusters, watch)
        thetas, converged = found.thetas.T, found.converged
        undefined = found.aliased.T | ~converged
        failed = int((~converged).sum())
    user = estimate.layout.to_user(thetas).masked_fill(undefined[estimate.layout.order], torch.nan)
    return Drawn(user.T.cpu().masked_fill(estimate.aliased, torch.nan), failed)


def check(kind: str, replicates: int, clusters: object) -> None:
    """Nothing, for a request that means something.

    Raises: OptionError.
    """
    if kind not in KINDS:
        raise OptionError(f"kind= is one of {', '.join(map(repr, KINDS))}; got {kind!r}.")
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 2:
        raise OptionError(f"replicates= is a whole number from 2 on; got {replicates!r}.")
    if kind == "clusters" and clusters is None:
        raise OptionError('kind="clusters" draws whole clusters: give cluster=, as cluster="firm".')
    if kind in ("rows", "parametric") and clusters is not None:
        raise OptionError(f'kind={kind!r} knows no clusters: say kind="clusters" or kind="wild".')


@dataclass(frozen=True)
class _Found:
    """Replicates in the inner order: (replicates, p), (replicates, p) and (replicates,)."""

    thetas: Tensor
    aliased: Tensor
    converged: Tensor


def _fitted(
    estimate: Estimate,
    phi: float,
    replicates: int,
    kind: str,
    rng: np.random.Generator,
    clusters: RowGroups | None,
    watch: Watch,
) -> _Found:
    """The replicates of a GLM, fitted as batches."""
    solutions = []
    for batch in _batches(estimate, phi, replicates, kind, rng, clusters):
        solutions.append(refit(estimate, batch, max(ENOUGH, estimate.stop.step_in_se)))
        watch(len(solutions[-1].theta))
    return _Found(
        torch.cat([one.theta for one in solutions]),
        torch.cat([one.aliased for one in solutions]),
        torch.cat([one.converged for one in solutions]),
    )


def _refitted(
    estimate: VectorEstimate,
    replicates: int,
    kind: str,
    rng: np.random.Generator,
    clusters: RowGroups | None,
    watch: Watch,
) -> _Found:
    """The replicates of a model of several linear predictors, fitted one after the other."""
    stop = Stop(max(ENOUGH, estimate.stop.step_in_se), 100)
    if kind == "parametric":
        _refuse_repeated(estimate)
        fits = responded(estimate, replicates, rng, stop)
    else:
        fits = (
            fit
            for counts in _row_counts(estimate, _sizes(replicates, at_a_time(estimate)), kind, rng, clusters)
            for fit in refits(estimate, counts, stop)
        )
    done = []
    for fit in fits:
        done.append(fit)
        watch(1)
    return _Found(
        torch.stack([fit.theta for fit in done]),
        torch.stack([fit.aliased for fit in done]),
        torch.tensor([fit.converged for fit in done], device=done[0].theta.device),
    )


def _row_counts(
    estimate: Estimate, sizes: list[int], kind: str, rng: np.random.Generator, clusters: RowGroups | None
) -> Iterator[Tensor]:
    """(replicates, rows) what each row's weight is multiplied by, `sizes` replicates at a time."""
    for count in sizes:
        if kind == "rows":
            yield _row_weights(estimate, count, rng)
        else:
            assert clusters is not None
            drawn = counts(rng, np.ones(clusters.count), count)
            yield drawn[:, clusters.codes.cpu()].to(estimate.objective.design.device)


def _batches(
    estimate: Estimate,
    phi: float,
    replicates: int,
    kind: str,
    rng: np.random.Generator,
    clusters: RowGroups | None,
) -> Iterator[Batch]:
    """The replicates as problems, as many at a time as memory allows."""
    sizes = _sizes(replicates, at_a_time(estimate))
    if kind == "parametric":
        return (Batch(estimate.objective, responses=_responses(estimate, phi, count, rng)) for count in sizes)
    return (Batch(estimate.objective, counts) for counts in _row_counts(estimate, sizes, kind, rng, clusters))


def _sizes(count: int, size: int) -> list[int]:
    """`count` divided into parts of `size`, and what is left."""
    return [min(size, count - start) for start in range(0, count, size)]


def counts(rng: np.random.Generator, sizes: np.ndarray, count: int) -> Tensor:
    """(count, groups) how often each group is drawn, in as many draws as the sizes add up to."""
    draws, groups = round(sizes.sum()), len(sizes)
    if bool((sizes == 1.0).all()):
        chosen = rng.integers(0, groups, size=(count, draws), dtype=np.uint32).astype(np.int64)
    else:
        chosen = np.searchsorted(np.cumsum(sizes), rng.random((count, draws)) * sizes.sum(), side="right")
    chosen += np.arange(count)[:, None] * groups
    return torch.from_numpy(np.bincount(chosen.ravel(), minlength=count * groups).reshape(count, groups)).double()


def _row_weights(estimate: Estimate, count: int, rng: np.random.Generator) -> Tensor:
    """(count, rows) what each row's weight is multiplied by. A frequency weight's copies are drawn one by one."""
    weights = estimate.prepared.weights
    device = estimate.objective.design.device
    if not isinstance(weights, Frequency):
        return counts(rng, np.ones(estimate.objective.design.n), count).to(device)
    w = weights.values.cpu()
    return (counts(rng, w.numpy(), count) / w).to(device)


def _responses(estimate: Estimate, phi: float, count: int, rng: np.random.Generator) -> Tensor:
    """(count, rows) responses of the fitted distribution."""
    _refuse_repeated(estimate)
    objective, family = estimate.objective, estimate.family
    raw = objective.raw(estimate.solution.theta)
    generator = torch.Generator(objective.design.device).manual_seed(int(rng.integers(2**62)))

    def of_block(block: Block) -> Tensor:
        mu = family.mean(objective.predictors(block, raw)[:, 0]).expand(count, block.rows).contiguous()
        w = None if block.weight is None else block.weight.expand(count, block.rows).contiguous()
        return family.sample(mu, phi, generator, w).T

    return objective.design.map(of_block).T


def _refuse_repeated(estimate: Estimate) -> None:
    if isinstance(estimate.prepared.weights, Frequency):
        raise OptionError('kind="parametric" draws one response a row: write rows of freq_weights= out first.')


def _wild(estimate: Estimate, replicates: int, rng: np.random.Generator, clusters: RowGroups | None) -> Tensor:
    """(p, replicates) theta, inner order, moved by one scoring step along randomly signed scores."""
    moved = torch.zeros(replicates, estimate.layout.width, dtype=torch.float64)
    for scores, copies in _scores(estimate, clusters, max(1, ENTRIES // replicates)):
        drawn = rng.binomial(copies.astype(np.int64), 0.5, size=(replicates, len(copies)))
        moved += torch.from_numpy(2.0 * drawn - copies) @ scores.cpu()
    step = estimate.curvature.solve(moved.T.to(estimate.objective.design.device))
    return estimate.solution.theta[:, None] + step


def _scores(estimate: Estimate, clusters: RowGroups | None, rows: int) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Scores (units, p), inner order, of stretches of rows or of all clusters, and how many copies each unit is."""
    objective, theta, start = estimate.objective, estimate.solution.theta, 0
    if clusters is not None:
        (scores,) = group_scores(objective, theta, [clusters])
        yield scores.T, np.ones(clusters.count)
        return
    copies = np.ones(objective.design.n)
    if isinstance(estimate.prepared.weights, Frequency):
        copies = estimate.prepared.weights.values.cpu().numpy()
        objective = objective.on(replace(objective.design, weight=None))
    for scores in written_out(objective, theta, None, rows):
        yield scores, copies[start : start + len(scores)]
        start += len(scores)


def acceleration(estimate: Estimate, clusters: RowGroups | None) -> Tensor:
    """(p,) the skewness of the empirical influences, divided by six: sum u^3 / (6 (sum u^2)^(3/2)), formula's order.

    Source: Efron (1987); u are the influences A s_i of rows, or of clusters.
    """
    p = estimate.layout.width
    squares, cubes = torch.zeros(p, dtype=torch.float64), torch.zeros(p, dtype=torch.float64)
    for scores, copies in _scores(estimate, clusters, max(1, ENTRIES // max(p, 1))):
        influence = -estimate.layout.to_user(estimate.curvature.solve(scores.T)).cpu()
        squares += influence.square() @ torch.from_numpy(copies)
        cubes += influence**3 @ torch.from_numpy(copies)
    return cubes / (6.0 * squares**1.5)
