"""negative_binomial(): counts that vary more than Poisson counts, theta estimated; poisson_test(): do they?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from torchglm.api import check_response, check_stop, device_of, fit_prepared, start_of
from torchglm.call import Call
from torchglm.coefficients import require_fits
from torchglm.count_tests import BoundaryTest, boundary_test
from torchglm.design.block import Block
from torchglm.design.prepare import Prepared, Request, prepare
from torchglm.design.prepare_many import Together
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Parsed, parse
from torchglm.design.weights import Probability
from torchglm.errors import BoundaryWarning, OptionError, ResponseError
from torchglm.families.exponential import Poisson
from torchglm.families.family import Family
from torchglm.families.link import Link
from torchglm.families.mean import MeanModel
from torchglm.families.negative_binomial import NegativeBinomial
from torchglm.families.negative_binomial_size import NegativeBinomialSize
from torchglm.fit import Fit
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.covariance.given import Given
from torchglm.inference.totals import totals
from torchglm.inference.vector import Predictor, VectorModel, VectorStart, joined
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective
from torchglm.placing import placed
from torchglm.progress import Bar
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import SOLVERS, Solution, Solver, Stop, run
from torchglm.solvers.start import Start
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import Asked, caller_at, fit_vector, one_part
from torchglm.vector_models import check_response as check_counts
from torchglm.warn import warn

NO_OTHER = 1e10  # theta, in units of 1 + the mean count, from which double precision has only Poisson counts
LOG_THETA = "log(theta)"


def negative_binomial(
    formula: str,
    data: Any,
    link: str | Link | type[Link] = "log",
    kind: Literal["NB2", "NB1"] = "NB2",
    *,
    information: Literal["expected", "joint"] = "expected",
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
    dispersion: float | None = None,
    start: Any = None,
    responses: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float64",
) -> Fit | VectorFit:
    """The fit of counts of variance mu + mu^2 / theta by maximum likelihood in the coefficients and theta.

    kind         "NB2": the result is the glm() fit of NegativeBinomial(theta=) at the estimate, with all that a Fit
                 has; AIC counts theta. "NB1", variance mu (1 + 1 / theta): a VectorFit whose last coefficient is
                 "log(theta)", with standard errors from the observed information.
                 fit.estimated of both holds theta and alpha = 1 / theta
    information  of the standard errors of an NB2: "expected", given theta, as summary() of glm.nb; "joint", the
                 observed one of coefficients and theta together. That of theta is observed, as glm.nb's
    start        the coefficients, without theta
    responses    as those of glm(), with the formula "~ x1 + x2": one model and one theta a response. The result is Fits

    All else as `glm`. Where the counts vary no more than Poisson counts theta has no maximum: the result is then the
    Poisson fit, with a BoundaryWarning.
    Raises: ResponseError for what is no count, and where every count is 0; a TorchGLMError.
    Source: MASS::glm.nb.
    """
    likelihood = NegativeBinomialSize(link, kind=kind)  # type: ignore[arg-type]
    search = ThetaSearch(kind, information)
    if information not in ("expected", "joint"):
        raise OptionError(f'information= is "expected" or "joint"; got {information!r}.')
    if information == "joint" and covariance not in (None, "model"):
        raise OptionError('information="joint" is a covariance of its own: leave covariance= out.')
    source, caller = open_source(data), caller_at(1)
    request = Request(weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster)
    call = Call(solver, covariance, dispersion, Stop(tolerance, max_steps), device, dtype, again=search)
    if responses is not None:
        from torchglm.many.negative_binomials import fit_negative_binomials

        return fit_negative_binomials(  # type: ignore[return-value]
            formula, source, request, responses, caller, likelihood, information, call, start
        )
    return search(
        parse(one_part(formula), source.names), source, request, caller, Poisson(likelihood.link), call, start
    )


@dataclass(frozen=True)
class ThetaSearch:
    """How update() fits such a model again, theta estimated anew."""

    kind: Literal["NB2", "NB1"]
    information: Literal["expected", "joint"]

    def __call__(
        self,
        parsed: Parsed,
        source: Source,
        request: Request,
        caller: Mapping[str, Any],
        family: Family,
        call: Call,
        start: Any = None,
    ) -> Fit | VectorFit:
        """The fit; of `family` only the link counts.

        Raises, warns: as `negative_binomial`.
        """
        if call.penalty is not None:
            raise OptionError(
                "penalty= needs a known theta: glm(..., family=NegativeBinomial(theta=...), penalty=...)."
            )
        cluster = kind_of_fit(call.covariance, None, request.cluster).cluster_key
        device = device_of(call.device)
        check_stop(call.stop)
        read = prepare(parsed, source, replace(request, cluster=cluster), caller)
        model = _model(NegativeBinomialSize(family.link, kind=self.kind))
        _check(read, model, family.link)
        prepared = placed(read, device, call.dtype)
        joint = _joint(prepared, model, call, start)
        if _is_poisson(float(joint.coefficients[-1]), prepared):
            _warn_of_poisson()
        elif self.kind == "NB1":
            asked = Asked(parsed.text, (parsed.text,), lambda _: model, request, call, joint.coefficients.numpy())
            return _with_theta(fit_vector(asked, source, caller, Together((read,), request)))
        fit = self._at(prepared, joint, family.link, call)
        assert fit.estimate is not None
        worse = fit.estimate.solution if joint.solution.status.converged else joint.solution
        warn(worse, fit.infinite, call.stop, "glm(..., family=NegativeBinomial(theta=...), penalty='firth')")
        return fit

    def of_prepared(self, prepared: Prepared, link: Link, call: Call) -> Fit:
        """The NB2 fit of data that have been read and placed, or the Poisson one; it warns of nothing.

        Raises: as `negative_binomial`.
        """
        model = _model(NegativeBinomialSize(link, kind="NB2"))
        _check(prepared, model, link)
        return self._at(prepared, _joint(prepared, model, call, None), link, call)

    def _at(self, prepared: Prepared, joint: _Joint, link: Link, call: Call) -> Fit:
        beta, log_theta = joint.coefficients[:-1], float(joint.coefficients[-1])
        if _is_poisson(log_theta, prepared):
            return fit_prepared(prepared, Poisson(link), call, beta.numpy())
        fit = _at_theta(prepared, joint, beta, math.exp(log_theta), link, call)
        return _with_joint(fit, joint) if self.information == "joint" else fit


@dataclass(frozen=True)
class _Joint:
    """The maximum in coefficients and log theta; `coefficients` in the formula's order, zero where aliased."""

    objective: Objective
    solution: Solution

    @property
    def coefficients(self) -> Tensor:
        return self.objective.layout.to_user(self.solution.theta).cpu()

    def joint_covariance(self) -> Tensor:
        """(p + 1, p + 1) the inverse observed information, in the formula's order, zero where aliased."""
        curvature = self.objective.quadratic(self.solution.theta, information="observed").curvature
        return self.objective.layout.covariance_to_user(curvature.inverse()).cpu()

    def information_of_log_theta(self) -> float:
        """The observed one, given the coefficients: a pass, where the search has not ended with it."""
        if self.solution.point.information == "observed":
            return float(self.solution.point.curvature.lengths[-1]) ** 2
        raw, likelihood = self.objective.raw(self.solution.theta), self.objective.likelihood

        def row_sums(block: Block) -> Sums:
            rows = likelihood.expand(block.y, self.objective.predictors(block, raw), information="observed")
            bend = rows.curvature[:, 1, 1]
            return Sums({"bend": bend.sum() if block.weight is None else bend.dot(block.weight)})

        return float(self.objective.sum(row_sums)["bend"])


def _model(likelihood: NegativeBinomialSize) -> VectorModel:
    name = f"negative_binomial ({likelihood.kind})"
    predictors = (Predictor(0), Predictor(None, constant=LOG_THETA))
    return VectorModel("Negative binomial regression", name, likelihood.link.name, likelihood, predictors)


def _joint(prepared: Prepared, model: VectorModel, call: Call, start: Any) -> _Joint:
    objective = Objective(joined(model.predictors, (prepared.design,)), model.likelihood)
    given = None
    if start is not None:
        design = prepared.design
        beta = start_of(start, Objective(design, model.likelihood), prepared.schema.names)
        assert beta is not None
        constants = model.likelihood.start(*design.responses())
        given = torch.cat([beta, constants[1:]])
    method = SOLVERS.resolve("irls" if call.solver == "auto" else call.solver, Solver)
    bar = Bar()
    try:
        begin = VectorStart(Poisson(), given, likelihood=model.likelihood)
        return _Joint(objective, run(method, objective, begin, call.stop, bar))
    finally:
        bar.close()


def _at_theta(prepared: Prepared, joint: _Joint, beta: Tensor, theta: float, link: Link, call: Call) -> Fit:
    fit = fit_prepared(prepared, NegativeBinomial(link, theta=theta), call, beta.numpy())
    # At the maximum d2/dtheta2 is d2/d(log theta)2 / theta^2.
    error = theta / math.sqrt(joint.information_of_log_theta())
    found, facts = joint.solution, fit.record.facts
    passes = found.passes + facts.passes
    facts = replace(facts, estimated={"theta": (theta, error)}, steps=found.steps, passes=passes, trace=found.trace)
    return replace(fit, record=replace(fit.record, facts=facts))


def _with_joint(fit: Fit, joint: _Joint) -> Fit:
    """The fit with the coefficients' share of the inverse joint information."""
    matrix = joint.joint_covariance()[:-1, :-1]
    aliased = torch.isnan(fit.record.numbers.theta)
    matrix = matrix.masked_fill(aliased[:, None] | aliased[None, :], math.nan)
    return fit.with_covariance(Given(matrix, "model-based, observed information of coefficients and theta"))


def _with_theta(fit: VectorFit) -> VectorFit:
    """The fit with theta beside its log; a VectorFit counts coefficients only."""
    theta, error = math.exp(fit.record.numbers.theta[-1]), float(fit.record.standard_errors[-1])
    facts = replace(fit.record.facts, estimated={"theta": (theta, theta * error)})
    return replace(fit, record=replace(fit.record, facts=facts))


def _check(prepared: Prepared, model: VectorModel, link: Link) -> None:
    check_response(prepared, Poisson(link), "negative binomial")
    check_counts(prepared, model)
    _refuse_zeros(prepared)


def _refuse_zeros(prepared: Prepared) -> None:
    if prepared.design.largest(prepared.design.y) == 0.0:
        raise ResponseError(
            f"Every count in {prepared.response_name!r} is 0, which says nothing of theta or the means."
        )


def _is_poisson(log_theta: float, prepared: Prepared) -> bool:
    design = prepared.design
    mean = design.total(float(design.y.sum(dtype=torch.float64))) / design.n
    return log_theta > math.log(NO_OTHER * (1.0 + mean))


def _warn_of_poisson() -> None:
    warnings.warn(
        "theta runs to infinity: the counts vary no more than Poisson counts. Poisson is enough: this is the fit of "
        'glm(..., family="poisson"). Where they vary less, "quasipoisson" has standard errors that know it.',
        BoundaryWarning,
        stacklevel=4,
    )


def poisson_test(fit: Fit | VectorFit) -> BoundaryTest:
    """The likelihood-ratio test of whether counts vary more than Poisson counts, of a negative_binomial() fit.

    For zero_inflated(), hurdle() and truncated() see theta_test.
    Raises: OptionError for another fit, one that was loaded without its data, and under sampling weights.
    Source: Self & Liang (1987), JASA 82, 605-610, case 5; pscl::odTest.
    """
    require_fits("poisson_test()", fit)
    if fit.estimate is None:
        raise OptionError("The test fits a Poisson model, and this fit was loaded without its data.")
    prepared = fit.estimate.prepared
    if isinstance(prepared.weights, Probability):
        raise OptionError("Sampling weights make no likelihood whose ratio could be tested.")
    llf_poisson = _poisson_llf(fit, prepared)
    return boundary_test("negative binomial", "Poisson", fit.llf, llf_poisson)


def _poisson_llf(fit: Fit | VectorFit, prepared: Prepared) -> float:
    """The log-likelihood of the Poisson fit with the columns of the mean."""
    if isinstance(fit, VectorFit):
        likelihood = fit.vector_model.likelihood
        link = likelihood.link if isinstance(likelihood, NegativeBinomialSize) else None
    else:
        estimated = isinstance(fit.call.again if fit.call else None, ThetaSearch)
        link = fit.family.link if estimated else None
    if link is None:
        raise OptionError("The test is one of theta: it takes a fit of negative_binomial().")
    assert fit.estimate is not None
    family, design = Poisson(link), prepared.design
    design = replace(design, columns=design.columns[:1], offsets=design.offsets[:1])
    objective = Objective(design, MeanModel(family))
    theta = run(IRLS(), objective, Start(family), fit.estimate.stop).theta
    return totals(objective, theta, family, prepared.weights).log_likelihood(family)
