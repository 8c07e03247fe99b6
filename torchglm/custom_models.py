"""custom(): a model from a likelihood of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from torchglm.call import Call, Remake
from torchglm.design.parts_of import split_parts
from torchglm.design.prepare import Prepared, Request
from torchglm.errors import FormulaError, OptionError
from torchglm.families.custom import Custom, checked, predictor_names
from torchglm.families.custom import custom as likelihood_of
from torchglm.inference.vector import Predictor, VectorModel
from torchglm.solvers.solver import Solver, Stop
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import Asked, caller_at, fit_vector


def custom(
    formula: str,
    data: Any,
    nll: Callable[..., Tensor],
    predictors: str | Sequence[str] | None = None,
    *,
    mean: Callable[..., Tensor] | None = None,
    start: Any = None,
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
    tolerance: float = 1e-8,
    max_steps: int = 100,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> VectorFit:
    """The maximum-likelihood fit of a likelihood of one's own, a function of the response and its linear predictors.

    formula     "y ~ x | z": a part for each predictor in turn; one without a part is a constant. A response of two
                columns is "cbind(time, event) ~ x", one of more np.column_stack([a, b, c]); y is then (rows, columns)
    nll         nll(y, mean, log_sd) with torch tensors (rows,), or nll(y, z) with z (rows, predictors): the negative
                log likelihood of each row, (rows,) float64; derivatives come from autograd
    predictors  their names, by default those that nll gives its arguments; coefficients are named "mean_x", a lone
                constant "log_sd", a single predictor's as in glm
    mean        the mean response as a function of the same predictors, for predict(); without it the first is shown
    start       where to begin: a number for each predictor, by name or in order, else 0; or every coefficient

    offset= and exposure= belong to the first predictor. All else as `glm`. Covariances: observed information.
    Raises: LikelihoodError where nll fails a trial on some rows: its shape, finite values, derivatives, rows that
    depend on each other; a TorchGLMError. Warns: ConvergenceWarning.

    >>> data = {"x": [0.0, 1.0, 2.0, 3.0], "t": [2.0, 1.0, 0.5, 0.5]}
    >>> fit = custom("t ~ x", data, lambda t, log_rate: t * log_rate.exp() - log_rate, "log_rate")
    >>> fit.params.round(4).to_dict()
    {'Intercept': -0.5626, 'x': 0.479}
    """
    if not callable(nll):
        raise OptionError(f"nll= takes a function of torch tensors; got {type(nll).__name__}.")
    names = predictor_names(nll, predictors)
    if mean is not None and "mean" in names:
        raise OptionError(
            'With mean= the prediction "mean" is that function, so that no predictor may be called "mean": give it '
            'another name, such as "eta" or "log_mean".'
        )
    constants, coefficients = _starts(start, names)
    likelihood = likelihood_of(nll, names, mean=mean, start=constants)
    request = Request(
        weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster, columns=True
    )
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_custom(formula, likelihood, request, call, coefficients), data, caller_at(1))


def asked_custom(formula: str, likelihood: Custom, request: Request, call: Call, start: Any) -> Asked:
    """The arguments of `custom` as a model of several predictors.

    Raises: FormulaError.
    """
    names, parts = likelihood.predictors, split_parts(formula)
    if len(parts) > len(names):
        raise FormulaError(
            f"The formula {formula!r} has {len(parts)} parts for {len(names)} predictor(s): {', '.join(names)}."
        )
    build = partial(_model, likelihood, len(parts))
    remake = Remake(asked_custom, {"formula": formula, "likelihood": likelihood})
    return Asked(formula, tuple(parts), build, request, call, start, remake=remake)


def _model(likelihood: Custom, parts: int, prepared: Prepared) -> VectorModel:
    """The model, after a trial of its likelihood on the data."""
    y = prepared.design.y.to(torch.float64)
    checked(likelihood, y, y.new_ones(len(y)))
    names = likelihood.predictors
    own = [Predictor(k, f"{name}_" if len(names) > 1 else "") for k, name in enumerate(names[:parts])]
    rest = [Predictor(None, constant=name) for name in names[parts:]]
    written = getattr(likelihood.function, "__name__", "custom")
    name = "custom" if written == "<lambda>" else written
    return VectorModel("Regression with a custom likelihood", name, "none", likelihood, (*own, *rest))


def _starts(start: Any, names: tuple[str, ...]) -> tuple[tuple[float, ...] | None, Any]:
    """Constants of the predictors, and coefficients: which of the two `start` is.

    Raises: OptionError.
    """
    if start is None:
        return None, None
    try:
        if isinstance(start, Mapping | pd.Series):
            given: dict[Any, Any] = dict(start)
            if set(given) <= set(names):
                return tuple(float(given.get(name, 0.0)) for name in names), None
            return None, start
        values = [float(value) for value in start]
    except (TypeError, ValueError) as error:
        raise OptionError(f"start= takes a number for each predictor or coefficient; got {start!r}.") from error
    return (tuple(values), None) if len(values) == len(names) else (None, values)
