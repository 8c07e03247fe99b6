"""Models whose dispersion or precision has a formula too: glm(dispersion="~ z") and beta_regression()."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

import torch

from torchglm.api import check_response
from torchglm.call import Call, Remake
from torchglm.design.block import Block
from torchglm.design.parts_of import split_parts
from torchglm.design.prepare import Prepared, Request
from torchglm.design.sources import Source
from torchglm.errors import FormulaError, OptionError, ResponseError
from torchglm.families.beta import Beta
from torchglm.families.exponential import Gaussian
from torchglm.families.family import Family
from torchglm.families.link import Link, UnitLink
from torchglm.families.mean_dispersion import MeanDispersion
from torchglm.inference.vector import Predictor, VectorEstimate, VectorModel
from torchglm.numerics.sums import Sums
from torchglm.solvers.solver import Solver, Stop
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import Asked, caller_at, fit_vector, one_part

EXACT = 1e-22  # of the square of a mean: a variance below is what rounding leaves of a residual


def double_glm(
    formula: str,
    source: Source,
    request: Request,
    caller: Mapping[str, Any],
    family: Family,
    call: Call,
    start: Any,
) -> VectorFit:
    """The fit that glm() gives for a dispersion= formula: maximum likelihood in the coefficients of mean and log phi.

    Raises: OptionError for a family without such a likelihood, for penalty=, and for precision weights; ResponseError
    where the fit is exact in some rows.
    Source: Smyth (1989), by maximum likelihood in both parts.
    """
    assert isinstance(call.dispersion, str)
    asked = asked_double(formula, family, call.dispersion, request, call, start)
    return fit_vector(asked, source, caller)


def asked_double(formula: str, family: Family, dispersion: str, request: Request, call: Call, start: Any) -> Asked:
    """The same as a model of several predictors.

    Raises: as `double_glm`.
    """
    text, right = one_part(formula), _right_side(dispersion)
    if call.penalty is not None:
        raise OptionError("penalty= and a formula of the dispersion do not go together. Leave one out.")
    if request.weights is not None:
        raise OptionError(
            "weights= divide the dispersion, which has a formula of its own here. Say it there: "
            f'dispersion="~ {right} + offset(-log(w))". Repeated rows are freq_weights=.'
        )
    likelihood = MeanDispersion(family)
    link = f"{family.link.name}, dispersion: log"
    predictors = (Predictor(0), Predictor(1, "dispersion_"))
    title = "Double generalized linear model"
    model = VectorModel(title, family.name, link, likelihood, predictors, information="expected")

    def build(prepared: Prepared) -> VectorModel:
        check_response(prepared, family)
        return model

    response = text.partition("~")[0].strip()
    shown = f"{text}, dispersion ~ {right}"
    call = replace(call, dispersion=None)
    arguments = {"formula": text, "family": family, "dispersion": f"~ {right}"}
    remake = Remake(asked_double, arguments, ("dispersion",))
    return Asked(shown, (text, f"{response} ~ {right}"), build, request, call, start, refuse_exact, remake)


def refuse_exact(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """No limits: where phi goes to 0 in some rows, their likelihood goes to infinity, and there is no maximum.

    Raises: ResponseError.
    """
    objective, likelihood = estimate.objective, estimate.model.likelihood
    assert isinstance(likelihood, MeanDispersion)
    sums = objective.design.without_columns().sum(lambda block: Sums({"squares": block.y.square().sum()}))
    # A gaussian mean may be anywhere, so that its rounding is that of the responses; others are positive.
    size = float(sums["squares"]) / objective.design.n if isinstance(likelihood.family, Gaussian) else 0.0
    raw = objective.raw(estimate.solution.theta)

    def row_sums(block: Block) -> Sums:
        z = objective.predictors(block, raw)
        exact = likelihood.variance(z) < EXACT * (likelihood.mean(z).square() + size)
        return Sums({"rows": exact.sum(dtype=torch.float64)})

    rows = int(objective.design.sum(row_sums)["rows"])
    if rows:
        raise ResponseError(
            f"The fit is exact in {rows} row(s): the means are the responses, so that phi goes to 0 there and the "
            "likelihood has no maximum. Fit fewer terms in the formula or in dispersion=, or leave these rows out."
        )
    return {}


def _right_side(dispersion: Any) -> str:
    left, _, right = dispersion.partition("~")
    if left.strip() or not right.strip():
        raise FormulaError(f'A formula of the dispersion has a right side only, as "~ z"; got {dispersion!r}.')
    return right.strip()


def beta_regression(
    formula: str,
    data: Any,
    link: str | UnitLink | type[Link] = "logit",
    *,
    weights: Any = None,
    freq_weights: Any = None,
    prob_weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    solver: str | Solver | type[Solver] = "auto",
    covariance: Any = None,
    cluster: Any = None,
    start: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> VectorFit:
    """The fit of proportions above 0 and below 1 that follow beta distributions: Var(y) = mu (1 - mu) / (1 + phi).

    formula  "y ~ x | z": x explains the mean, z the log of the precision phi, whose coefficients begin with
             "precision_"; without a bar phi is one number, and its log the coefficient "log(precision)"
    link     of the mean: "logit", "probit", "cloglog", "loglog", "cauchit"
    weights  as those of betareg, they multiply the log-likelihood

    All else as `glm`. Standard errors are those of the expected information.
    Raises: ResponseError naming the first row that is 0, 1 or beyond; a TorchGLMError.
    Source: Ferrari & Cribari-Neto (2004); betareg::betareg with link.phi = "log".
    """
    request = Request(weights, freq_weights, prob_weights, offset, None, subset, missing, contrasts, cluster)
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_beta(formula, link, request, call, start), data, caller_at(1))


def asked_beta(formula: str, link: str | UnitLink | type[Link], request: Request, call: Call, start: Any) -> Asked:
    """The arguments of `beta_regression` as a model of several predictors.

    Raises: FormulaError, OptionError, UnknownNameError.
    """
    parts = split_parts(formula)
    if len(parts) > 2:
        raise FormulaError(
            f"The formula {formula!r} has {len(parts)} parts; this model takes two: y ~ mean | precision."
        )
    likelihood = Beta(link)  # type: ignore[arg-type]
    precision = Predictor(1, "precision_") if len(parts) == 2 else Predictor(None, constant="log(precision)")
    shown = f"{likelihood.link.name}, precision: log"
    predictors = (Predictor(0), precision)
    model = VectorModel("Beta regression", "beta", shown, likelihood, predictors, information="expected")
    remake = Remake(asked_beta, {"formula": formula, "link": link})
    return Asked(formula, tuple(parts), lambda _: model, request, call, start, remake=remake)
