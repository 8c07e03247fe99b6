"""negative_binomial("~ x", data, responses=): a theta for every response, all of them in one search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from torchglm.call import Call
from torchglm.design.block import Block
from torchglm.design.request import Request
from torchglm.design.sources import Source
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.families.count import is_count
from torchglm.families.exponential import Poisson
from torchglm.families.links import Log
from torchglm.families.mean import MeanModel
from torchglm.families.negative_binomial import NegativeBinomial
from torchglm.families.negative_binomial_size import NegativeBinomialSize
from torchglm.fit import Fit
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.covariance.given import is_given
from torchglm.inference.dispersion import resolve_dispersion
from torchglm.inference.many import MEATS, MOST_STEPS, POWERS, ManyNumbers, Wanted, dispersion_of, search
from torchglm.inference.many_totals import mean_responses, null_objective, null_response_totals, response_totals
from torchglm.inference.vector import Predictor, joined
from torchglm.many.alone import Collected
from torchglm.many.fits import CONVERGED, Fits, ManyCriteria, warn_of
from torchglm.many.responses import Responded
from torchglm.negative_binomial import LOG_THETA, ThetaSearch
from torchglm.numerics.sums import Sums
from torchglm.numerics.triangles import factor_many
from torchglm.objective.batch import Batch
from torchglm.objective.objective import Objective
from torchglm.objective.sized import Sized
from torchglm.solvers.batch import BatchSolution, solve
from torchglm.solvers.solver import Stop

ENTRIES = 1 << 19  # of responses x rows looked at together
NEAR = 0.05  # standard errors: how near its maximum a Poisson fit is a start
PREDICTORS = (Predictor(0), Predictor(None, constant=LOG_THETA))
ENOUGH = "Poisson is enough: theta runs to infinity."


def fit_negative_binomials(
    formula: str,
    source: Source,
    request: Request,
    responses: Any,
    caller: Mapping[str, Any],
    likelihood: NegativeBinomialSize,
    information: Literal["expected", "joint"],
    call: Call,
    start: Any,
) -> Fits:
    """One negative binomial a response, theta estimated for each.

    Raises: as `negative_binomial`; OptionError for kind="NB1". Warns: StatusWarning.
    """
    if likelihood.kind != "NB2":
        raise OptionError('responses= fits kind="NB2", whose theta has the same meaning for every response.')
    if start is not None:
        raise OptionError("start= is that of one model: leave it out of a call with responses=.")
    if isinstance(source, StreamedSource):
        raise OptionError("responses= take a table in memory.")
    family = Poisson(likelihood.link)
    table = Responded.of(formula, source, request, responses, caller, family, call)
    sized = SizedResponses(table, information)
    collected = sized.fitted()
    warn_of(table.names, collected.arrays.status, stacklevel=4)
    fits = table.fits(collected, formula, sized.one, lambda: collected.complete(sized.criteria(collected)))
    return replace(fits, family=NegativeBinomial(likelihood.link, theta=1.0), title="negative_binomial")


@dataclass(frozen=True)
class SizedResponses:
    """Responses over one design, and which standard errors are wanted."""

    table: Responded
    information: Literal["expected", "joint"]

    @cached_property
    def poisson(self) -> Objective:
        """The likelihood of the coefficients where theta is infinite."""
        return Objective(self.table.prepared.design, MeanModel(Poisson()))

    @cached_property
    def joint(self) -> Objective:
        """That of coefficients and log theta."""
        return Objective(joined(PREDICTORS, (self.table.prepared.design,)), NegativeBinomialSize(Log()))

    def fitted(self) -> Collected:
        """Every model: those that a batch is sure of as it found them, the others one by one."""
        table, call = self.table, self.table.call
        weights, p = table.prepared.weights, self.poisson.layout.width
        count = float(table.prepared.design.n) if weights is None else weights.count()
        kind = kind_of_fit(call.covariance, weights, table.prepared.request.cluster)
        dispersion = resolve_dispersion(call.dispersion, table.family)
        wanted = Wanted(table.family, kind, dispersion, call.stop, isinstance(weights, Frequency))
        numbers = ManyNumbers.blank(len(table.names), p)
        numbers.n.fill_(count)
        theta, error = (torch.full((len(table.names),), math.nan, dtype=torch.float64) for _ in range(2))
        batched = wanted.is_batched and call.solver == "auto" and not is_given(call.covariance)
        batched = (
            batched
            and wanted.kind not in POWERS
            and isinstance(table.family.link, Log)
            and table.is_worth_a_batch(self._at_a_time)
        )
        for some in self._chunks(list(range(len(table.names)))) if batched else ():
            y, good = table.responses(some)
            good = (good & is_count(y).all(1) & (y != 0).any(1)).cpu()
            if bool(good.any()):
                places = torch.tensor(some)[good]
                self._solve(y[good.to(y.device)], wanted, places, numbers, theta, error)
        collected = Collected.of(numbers, numbers.sure.numpy())
        arrays = replace(collected.arrays, estimated={"theta": (theta.numpy(), error.numpy())})
        collected = replace(collected, arrays=arrays, by_pass=isinstance(table.family.link, Log))
        collected.fit(np.flatnonzero(~arrays.converged).tolist(), self.one, "responses")
        collected.mark_few_rows()
        self._mark_poisson(collected)
        return collected

    def one(self, place: int) -> Fit:
        """The fit of one response, as negative_binomial() gives it.

        Raises: what `negative_binomial` raises.
        """
        again = ThetaSearch("NB2", self.information)
        return again.of_prepared(
            self.table.of_one(place), self.table.family.link, replace(self.table.call, again=again)
        )

    def criteria(self, collected: Collected) -> ManyCriteria:
        """Deviances and log-likelihoods of the models that a batch has found."""
        arrays, known = collected.arrays, np.zeros(len(self.table.names), dtype=bool)
        known[list(collected.criteria)] = True
        out = np.full((3, len(known)), np.nan)
        for status, of_some in ((CONVERGED, self._sized_criteria), (ENOUGH, self._poisson_criteria)):
            asked = np.flatnonzero((arrays.rank > 0) & (arrays.status == status) & ~known)
            for some in self._chunks(asked.tolist()):
                theta = torch.from_numpy(np.nan_to_num(arrays.theta[some]))
                out[:, some] = of_some(some, theta, torch.from_numpy(arrays.estimated["theta"][0][some]))
        return ManyCriteria(*out)

    def _sized_criteria(self, some: list[int], theta: Tensor, size: Tensor) -> np.ndarray:
        """(3, k) deviance, null deviance and log-likelihood of models whose theta is finite."""
        sized, device = Sized.read(self.joint, self.table.responses(some)[0]), self.poisson.design.device
        inner, log_size = self.poisson.layout.to_inner(theta.T.to(device)).T, torch.log(size.to(device))
        value = sized.quadratic(torch.cat([inner, log_size[:, None]], dim=1)).value
        saturated = sized.at_means(torch.log(sized.counted.counts), log_size)
        null = 2.0 * (self._null_value(sized, log_size) - saturated)
        return torch.stack([2.0 * (value - saturated), null, -value]).cpu().numpy()

    def _null_value(self, sized: Sized, log_size: Tensor) -> Tensor:
        """(k,) the values of the models without terms: a constant where the formula has one, and the offset."""
        design, constant = self.poisson.design, self.table.prepared.schema.has_intercept
        y = sized.responses
        log_mean = torch.log(mean_responses(y, design))
        if constant and design.offsets[0] is None:
            return sized.at_means(log_mean[sized.counted.owners], log_size)
        alone = null_objective(self.poisson, constant).design
        null = replace(sized, objective=Objective(joined(PREDICTORS, (alone,)), self.joint.likelihood))
        start = torch.stack([log_mean, log_size], dim=1)[:, 0 if constant else 1 :]
        free = torch.ones_like(start, dtype=torch.bool)
        free[:, -1] = False
        return solve(null, start, Stop(), free).point.value

    def _poisson_criteria(self, some: list[int], theta: Tensor, size: Tensor) -> np.ndarray:
        """(3, k) the same of models whose theta is infinite."""
        weights, batch = self.table.prepared.weights, Batch(self.poisson, responses=self.table.responses(some)[0])
        found = response_totals(batch, theta, Poisson(), weights)
        null = null_response_totals(batch, Poisson(), weights, self.table.prepared.schema.has_intercept)
        return torch.stack([found.deviance, null.deviance, found.log_likelihoods(Poisson())]).numpy()

    @property
    def _at_a_time(self) -> int:
        return max(1, ENTRIES // max(self.poisson.design.n, 1))

    def _chunks(self, places: list[int]) -> list[list[int]]:
        size = self._at_a_time
        return [places[k : k + size] for k in range(0, len(places), size)]

    def _solve(
        self, y: Tensor, wanted: Wanted, places: Tensor, numbers: ManyNumbers, theta: Tensor, error: Tensor
    ) -> None:
        """Nothing: the numbers of the responses y (k, n) are written at `places`."""
        batch, p = Batch(self.poisson, responses=y), self.poisson.layout.width
        start = batch.start(Poisson())
        found = solve(batch, start, Stop(NEAR, MOST_STEPS), values=False)
        excess, squares = overdispersion(batch, found.theta)
        more = found.converged & (excess > 0)
        rest = found.converged & ~more
        if bool(rest.any()):
            found = self._poisson(batch, found, rest, wanted.stop)
        beta, sure, log_theta = found.theta.clone(), found.converged.clone(), torch.full_like(excess, math.inf)
        curvature = found.point.curvature.clone()
        if bool(more.any()):
            sized = Sized.read(self.joint, y[more])
            first = torch.cat([beta[more], torch.log(squares[more] / excess[more])[:, None]], dim=1)
            joint = search(sized, first, wanted.stop)
            observed = joint.point.curvature
            beta[more], log_theta[more] = joint.theta[:, :p], joint.theta[:, p]
            sure[more] = joint.converged & ~joint.aliased[:, p] & (observed[:, p, p] > 0)
            curvature[more] = sized.information(joint.theta)
            error[places[more.cpu()]] = torch.exp(joint.theta[:, p]).div(observed[:, p, p].sqrt()).cpu()
        factored = factor_many(curvature, torch.ones_like(beta, dtype=torch.bool), self.poisson.layout.order)
        rank = (~factored.aliased).sum(1).to(torch.float64)
        n = numbers.n[places].to(y.device)
        if wanted.kind in MEATS:
            meat = batch.meat(beta, wanted.repeats)
            if bool(more.any()):
                meat[more] = sized.meat(joint.theta, wanted.repeats)
            bread = factored.inverse()
            variances = batch.user_variances(bread @ meat @ bread * MEATS[wanted.kind](n, rank)[:, None, None])
        else:
            variances = batch.inverse_variances(factored)
            if self.information == "joint" and bool(more.any()):
                free = torch.ones(len(observed), p + 1, dtype=torch.bool, device=y.device)
                whole = factor_many(observed, free, self.joint.layout.order).inverse()
                variances[more] = batch.user_variances(whole[:, :p, :p])
        left_out = factored.aliased[:, self.poisson.layout.order]

        def pearson() -> Tensor:
            x2 = batch.pearson(beta)
            if bool(more.any()):
                x2[more] = sized.pearson(joint.theta)
            return x2

        phi = dispersion_of(wanted.dispersion, pearson, n - rank)
        user = batch.to_user(beta).masked_fill(left_out, math.nan)
        sure &= ~factored.doubtful & torch.isfinite(beta).all(1)
        parts = (user, phi[:, None] * variances.masked_fill(left_out, math.nan), phi, n, rank, sure)
        nowhere = torch.full_like(user, math.nan)
        numbers.write(places, ManyNumbers(*(part.cpu() for part in (*parts, nowhere))))
        theta[places] = torch.exp(log_theta).cpu()

    @staticmethod
    def _poisson(batch: Batch, near: BatchSolution, rest: Tensor, stop: Stop) -> BatchSolution:
        """The solution with the Poisson fits of `rest` (k,) at their maxima: not converged where theta is finite."""
        exact = search(batch.of(rest), near.theta[rest], stop)
        theta, converged, curvature = near.theta.clone(), near.converged.clone(), near.point.curvature.clone()
        theta[rest], curvature[rest] = exact.theta, exact.point.curvature
        converged[rest] = exact.converged & (overdispersion(batch.of(rest), exact.theta)[0] <= 0)
        return replace(near, theta=theta, converged=converged, point=replace(near.point, curvature=curvature))

    @staticmethod
    def _mark_poisson(collected: Collected) -> None:
        arrays = collected.arrays
        value, error = arrays.estimated["theta"]
        fitted = (arrays.rank > 0) & (arrays.status == CONVERGED)
        enough = fitted & ~np.isfinite(value)
        value[enough], error[~np.isfinite(value) | ~fitted] = math.inf, math.nan
        value[~fitted & ~enough & (arrays.rank == 0)] = math.nan
        arrays.status[enough] = ENOUGH


def overdispersion(batch: Batch, thetas: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) the sums of (y - mu)^2 - y and of mu^2 at the Poisson fits.

    The first is twice the score of 1 / theta at 0: positive where counts vary more than Poisson counts. Their ratio is
    the moment estimate of theta.
    """
    assert batch.responses is not None
    responses = batch.responses

    def row_sums(block: Block) -> Sums:
        eta = thetas @ block.columns[0].model_matrix().T
        if block.offsets[0] is not None:
            eta += block.offsets[0]
        mu, y = torch.exp(eta), responses[:, block.start : block.start + block.rows]
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        return Sums({"excess": ((y - mu).square() - y) @ w, "squares": mu.square() @ w})

    sums = batch.objective.sum(row_sums)
    return sums["excess"], sums["squares"]
