"""Models of classes: ordinal() and multinomial()."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from os import PathLike
from typing import Any

import torch

from torchglm.call import Call, Remake
from torchglm.design.prepare import Prepared, Request
from torchglm.design.terms import Term, parse
from torchglm.errors import FormulaError, ResponseError
from torchglm.families.link import Link, UnitLink
from torchglm.families.multinomial import Multinomial
from torchglm.families.ordinal import Ordinal
from torchglm.inference.scaled_start import ScaledStart
from torchglm.inference.vector import Predictor, VectorModel, VectorStart
from torchglm.ordinal_limits import ordinal_limits, uncrossed
from torchglm.solvers.solver import Solver, Stop
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import Asked, caller_at, fit_vector, one_part


def ordinal(
    formula: str,
    data: Any,
    link: str | UnitLink | type[Link] = "logit",
    *,
    nominal: str | None = None,
    scale: str | None = None,
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
    """The cumulative model of an ordered response: P(Y <= k) = F(cut_k - eta), proportional odds for the logit.

    formula   "rating ~ x + C(g)"; the response is ordered categories or numbers, lowest first; the cuts stand for the
              intercept
    link      "logit", "probit", "cloglog", "loglog" or "cauchit"
    nominal   "~ z": effects that differ from cut to cut
    scale     "~ z": effects on the log scale of the latent variable

    All else as `glm`; offset= is added to eta. Coefficients first, then the cuts, named "low|mid". Covariances:
    observed information.
    Raises: ResponseError for one class or classes without an order; a TorchGLMError.
    Source: ordinal::clm and MASS::polr, their signs and links.
    """
    request = Request(
        weights, freq_weights, prob_weights, offset, None, subset, missing, contrasts, cluster, classes=True
    )
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_ordinal(formula, link, nominal, scale, request, call, start), data, caller_at(1))


def asked_ordinal(
    formula: str,
    link: str | UnitLink | type[Link],
    nominal: str | None,
    scale: str | None,
    request: Request,
    call: Call,
    start: Any,
) -> Asked:
    """The arguments of `ordinal` as a model of several predictors.

    Raises: FormulaError.
    """
    text = one_part(formula)
    response = text.partition("~")[0].strip()
    if nominal:
        _refuse_bare(one_sided("nominal", nominal))
    parts = [(name, one_sided(name, given)) for name, given in (("nominal", nominal), ("scale", scale)) if given]
    formulas = (text, *(f"{response} {part}" for _, part in parts))
    places = {name: k + 1 for k, (name, _) in enumerate(parts)}
    shown = ", ".join([text, *(f"{name}: {part}" for name, part in parts)])

    def build(prepared: Prepared) -> VectorModel:
        levels = _ordered_levels(prepared)
        _refuse_without_intercept(prepared, text)
        cuts = tuple(f"{low}|{high}" for low, high in pairwise(levels))
        part = places.get("nominal")
        predictors = [Predictor(0, intercept=False, takers=tuple(range(1, len(cuts) + 1)))]
        predictors += [Predictor(None, constant=cut) if part is None else Predictor(part, f"{cut}:") for cut in cuts]
        if "scale" in places:
            predictors.append(Predictor(places["scale"], "scale:", intercept=False))
        likelihood = Ordinal(len(levels), link, "scale" in places)  # type: ignore[arg-type]
        names = ("eta", *cuts, *(("log(scale)",) if "scale" in places else ()))
        return VectorModel(
            "Ordinal regression",
            "cumulative",
            likelihood.link.name,
            likelihood,
            tuple(predictors),
            columns={"link": names, "cumulative": cuts},
            ordered=True,
        )

    arguments = {"formula": text, "link": link, "nominal": nominal, "scale": scale}
    remake = Remake(asked_ordinal, arguments, ("nominal", "scale"))
    begin = ScaledStart if scale else VectorStart
    return Asked(shown, formulas, build, request, call, start, ordinal_limits, remake, begin, uncrossed)


def _refuse_bare(nominal: str) -> None:
    if Term(()) not in parse(nominal, ["x"]).terms:
        raise FormulaError(f"The cuts are the constants of nominal=: leave '- 1' or '0 +' out of {nominal!r}.")


def one_sided(name: str, formula: str) -> str:
    """The formula, which has no response.

    Raises: FormulaError.
    """
    if not isinstance(formula, str) or not formula.lstrip().startswith("~"):
        raise FormulaError(f"{name}= is a formula without response, as '~ x'; got {formula!r}.")
    return one_part(formula.strip())


def _ordered_levels(prepared: Prepared) -> tuple[Any, ...]:
    response = prepared.response
    assert response.levels is not None
    if len(response.levels) > 2 and not response.is_ordered:
        name, levels = prepared.response_name, list(response.levels)
        column = name if name in prepared.source.names else "y"
        raise ResponseError(
            f"The response {name!r} has classes without an order: {levels[:6]}. Say it: "
            f"data[{column!r}] = pd.Categorical(data[{column!r}], categories={levels[:6]}, ordered=True), and "
            f"{column} in the formula; for classes that have none, multinomial()."
        )
    return response.levels


def _refuse_without_intercept(prepared: Prepared, text: str) -> None:
    if not prepared.schema.has_intercept:
        raise FormulaError(f"The cuts of an ordinal model are its intercepts: leave '- 1' or '0 +' out of {text!r}.")


def multinomial(
    formula: str,
    data: Any,
    *,
    base: Any = None,
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
    """Softmax regression: log P(Y = k) / P(Y = base) = eta_k, one linear predictor for every class but the base.

    formula  "choice ~ x + C(g)"; the response is categories, text, bool or whole numbers
    base     the class that the others are compared with; None: the first

    All else as `glm`; offset= is added to every linear predictor, the base's stays 0. Coefficients are named
    "class:x", class by class.
    Raises: ResponseError for one class; OptionError for a base that is no class; a TorchGLMError.
    Source: nnet::multinom, at the optimum.
    """
    request = Request(
        weights, freq_weights, prob_weights, offset, None, subset, missing, contrasts, cluster, classes=True, base=base
    )
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_multinomial(formula, request, call, start), data, caller_at(1))


def asked_multinomial(formula: str, request: Request, call: Call, start: Any) -> Asked:
    """The arguments of `multinomial` as a model of several predictors.

    Raises: FormulaError.
    """
    text = one_part(formula)

    def build(prepared: Prepared) -> VectorModel:
        levels = prepared.response.levels
        assert levels is not None
        likelihood = Multinomial(len(levels))
        predictors = tuple(Predictor(0, f"{level}:") for level in levels[1:])
        columns = {"link": levels[1:]}
        return VectorModel("Multinomial regression", "multinomial", "softmax", likelihood, predictors, columns=columns)

    remake = Remake(asked_multinomial, {"formula": text})
    return Asked(text, (text,), build, request, call, start, remake=remake)
