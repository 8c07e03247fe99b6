"""glm(): the path walked once, from formula and data to a Fit."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchglm.call import Call
from torchglm.checkpoint import open_checkpoint
from torchglm.coefficients import settle
from torchglm.design.among_ranks import together
from torchglm.design.block import Block
from torchglm.design.numbers import row_label
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request
from torchglm.design.sources import Source
from torchglm.design.terms import Parsed, parse
from torchglm.diagnostics.separation import infinite_coefficients
from torchglm.errors import (
    DataError,
    DeviceError,
    FormulaError,
    OptionError,
    ResponseError,
)
from torchglm.families.family import Family, resolve_family
from torchglm.families.link import Link
from torchglm.families.mean import MeanModel
from torchglm.fit import Fit
from torchglm.inference.aliasing import partners
from torchglm.inference.computed import Computed
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.covariance.given import is_given
from torchglm.inference.dispersion import resolve_dispersion
from torchglm.inference.estimate import Estimate
from torchglm.inference.facts import facts_of
from torchglm.inference.penalty_choice import penalised_objective, remedy, resolve_penalty
from torchglm.inference.record import Record
from torchglm.numerics.ranks import local_gpu
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective
from torchglm.objective.penalty import Penalty
from torchglm.placing import dtype_of, prepare_on
from torchglm.progress import Watch
from torchglm.solvers.adjusted import run_penalised
from torchglm.solvers.solver import SOLVERS, Solution, Solver, Stop, run
from torchglm.solvers.start import Start
from torchglm.streams import opened
from torchglm.warn import warn


def glm(
    formula: str,
    data: Any,
    family: str | Family | type[Family] = "gaussian",
    link: str | Link | type[Link] | None = None,
    *,
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
    dispersion: str | float | None = None,
    penalty: str | Penalty | type[Penalty] | None = None,
    start: Any = None,
    by: Any = None,
    responses: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float64",
    memory_limit: int | str | None = None,
    cache: Any = None,
) -> Fit:
    """The maximum-likelihood fit of a generalized linear model, or a bias-reduced one.

    formula       "y ~ x1 + C(g) + bs(age, df=4)"; formulaic's grammar, cbind(a, b) ~ and offset(...) too. It is code.
    data          pandas or polars DataFrame, pyarrow Table, dict of arrays or tensors, path of a Parquet file; or data
                  larger than memory: paths of Parquet files, a pyarrow dataset, a DuckDB relation, a polars LazyFrame,
                  a function that returns an iterable of frames, see stream()
    family, link  names, classes or instances: "poisson", Binomial(link="probit"), link="log"
    weights       precision weights (phi / w), and the trials of a proportion; freq_weights: repetitions;
                  prob_weights: sampling weights. A column, an expression such as "1 / v", or an array
    offset        added to the linear predictor; exposure: its log is added. Kept for predict()
    subset        expression or boolean array; missing: "drop" or "raise"
    contrasts     {"g": contr.sum} for factors that the formula gives none
    solver        "auto", "irls", "newton_cg", "lbfgs", "sgd", or an instance with its options
    covariance    "model", "HC0" to "HC3", "cluster", "CR2", "CR3", "HAC", "driscoll_kraay", or an instance with its
                  options, a matrix, or a function of the fit
    dispersion    "pearson", "deviance", "ml", a number, or a formula "~ z" of its log for gaussian, gamma and inverse
                  gaussian responses: the result is then a VectorFit, see the page on dispersion models
    cluster       what rows of one cluster share: a column, an expression, an array, or a list of them for several ways;
                  rows without it are dropped. Alone it means covariance="cluster"
    penalty       "firth" (mean bias-reduced) or "jeffreys": finite estimates where data are separated
    start         coefficients to begin at, in the formula's order; checkpoint: a file from which a stopped call goes on
    by            one model a group: a column, an expression, an array, or a list of them. The result is Fits
    responses     one model a response, "~ x1 + x2" with names of columns, a DataFrame or an array (n, m): Fits too
    tolerance     stop when the next Newton step is shorter, in standard errors; max_steps bounds the search
    device, dtype "auto", "cpu", "cuda"; "float32" keeps numeric columns in float32; all computing is float64
    memory_limit  bytes or "512 MB" for data read piece by piece; cache: the directory of their encoded columns

    Raises: a TorchGLMError that names the column, row or value. Warns: ConvergenceWarning, SeparationWarning.
    Source: numbers as R's stats::glm; the meaning of each is in the docs.

    >>> import pandas as pd
    >>> data = pd.DataFrame({"dose": [0.0, 1.0, 2.0, 3.0], "count": [1, 3, 4, 9]})
    >>> glm("count ~ dose", data, family="poisson").params.round(4).to_dict()
    {'Intercept': 0.2057, 'dose': 0.6574}
    """
    source = opened(data, memory_limit, cache)
    frame = sys._getframe(1)
    caller = ChainMap(frame.f_locals, frame.f_globals)
    request = Request(weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster, by)
    call = Call(solver, covariance, dispersion, Stop(tolerance, max_steps), device, dtype, penalty, checkpoint)
    chosen = resolve_family(family, link)
    if by is not None or responses is not None:
        from torchglm.many import fit_many

        return fit_many(formula, source, request, responses, caller, chosen, call, start)  # type: ignore[return-value]
    if isinstance(dispersion, str) and "~" in dispersion:
        from torchglm.dispersion_models import double_glm

        return double_glm(formula, source, request, caller, chosen, call, start)  # type: ignore[return-value]
    return fit_parsed(parse(formula, source.names), source, request, caller, chosen, call, start)


def from_arrays(
    X: Any, y: Any, *, names: list[str] | None = None, intercept: bool = True
) -> tuple[str, dict[str, Any]]:
    """Formula and data of a matrix and a response, for those who have no formula: `glm(*from_arrays(X, y), "poisson")`.

    Shapes: X (n, p) array, tensor or DataFrame, never copied; y (n,). Names: the frame's columns, or x1 .. xp.
    Raises: DataError for another shape; OptionError for names that do not fit.
    """
    if isinstance(X, pd.DataFrame):
        names = [c if isinstance(c, str) else f"x{c}" for c in X.columns] if names is None else names
        columns: list[Any] = [X.iloc[:, j] for j in range(X.shape[1])]
    else:
        array = X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else np.asarray(X)
        if array.ndim != 2:
            raise DataError(
                f"X has {array.ndim} dimension(s); it is (rows, columns). For one column: X.reshape(-1, 1)."
            )
        columns = list(array.T)
    names = [f"x{j + 1}" for j in range(len(columns))] if names is None else list(names)
    if len(names) != len(columns) or len(set(names)) != len(names):
        raise OptionError(f"names= has {len(set(names))} distinct names for {len(columns)} columns.")
    response = "y" if "y" not in names else "response"
    data = {response: y, **dict(zip(names, columns, strict=True))}
    return f"{response} ~ . {'' if intercept else '- 1'}".strip(), data


def fit_parsed(
    parsed: Parsed,
    source: Source,
    request: Request,
    caller: Mapping[str, Any],
    family: Family,
    call: Call,
    start: Any = None,
) -> Fit:
    """The fit of a formula that has been read, to a table that is open.

    Raises, warns: as `glm`.
    """
    stop = call.stop
    method = SOLVERS.resolve("irls" if call.solver == "auto" else call.solver, Solver)
    resolve_penalty(call.penalty, method, resolve_dispersion(call.dispersion, family), family)
    asked = kind_of_fit(call.covariance, None, request.cluster)  # a wrong name is refused before the work
    request = replace(request, cluster=asked.cluster_key)
    where, precision = device_of(call.device), dtype_of(call.dtype)
    check_stop(stop)
    prepared = prepare_on(where, precision, parsed, source, request, caller)
    check_response(prepared, family)
    fit = fit_prepared(prepared, family, call, start)
    assert fit.estimate is not None
    warn(fit.estimate.solution, fit.infinite, stop, remedy(parsed, family))
    return fit


def fit_prepared(prepared: Prepared, family: Family, call: Call, start: Any = None) -> Fit:
    """The fit of data that have been read and placed; it warns of nothing.

    Raises: as `glm`.
    """
    stop, request, parsed = call.stop, prepared.request, prepared.parsed
    method = SOLVERS.resolve("irls" if call.solver == "auto" else call.solver, Solver)
    phi = resolve_dispersion(call.dispersion, family)
    penalty = resolve_penalty(call.penalty, method, phi, family)
    objective = Objective(prepared.design, MeanModel(family))
    _refuse_empty_model(objective, parsed)
    begin = Start(family, start_of(start, objective, prepared.schema.names))
    penalised = None if penalty is None else penalised_objective(objective, penalty, family, phi, prepared)

    def search(start: Start, watch: Watch) -> Solution:
        if penalised is None:
            return run(method, objective, start, stop, watch)
        return run_penalised(penalised, start, stop, watch)

    checkpoint = open_checkpoint(call.checkpoint, _described(objective, prepared, family, penalty), objective)
    solution = checkpoint.solve(search, begin)
    estimate = Estimate(prepared, objective, solution, family, prepared.design.fingerprint(), stop, penalised)
    kind = kind_of_fit(call.covariance, prepared.weights, request.cluster)
    names = prepared.schema.names
    infinite = infinite_coefficients(estimate, names) if penalised is None else {}
    if infinite:
        estimate = replace(estimate, diverging=torch.tensor([name in infinite for name in names]))
    facts = facts_of(estimate, parsed.text, kind, phi, partners(estimate, names), infinite)
    record = Record(prepared.schema, family, facts, Computed(estimate, kind, phi), prepared.offsets, prepared.exposure)
    fit = Fit(record, estimate, replace(call, checkpoint=None))
    fit = fit.with_covariance(call.covariance) if is_given(call.covariance) else fit
    settle(fit.record)
    checkpoint.finish(solution)
    return fit


def _described(objective: Objective, prepared: Prepared, family: Family, penalty: Any) -> dict[str, Any]:
    """What a checkpoint is of."""
    return {
        "formula": prepared.parsed.text,
        "family": repr(family),
        "columns": list(prepared.schema.names),
        "rows": objective.design.n,
        "penalty": None if penalty is None else penalty.name,
    }


def device_of(given: str | torch.device) -> torch.device:
    """The device that device= names.

    Raises: DeviceError.
    """
    if given == "auto":
        return torch.device("cuda", local_gpu()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f'device= is "auto", "cpu" or "cuda"; got {given!r}.') from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError('device="cuda": torch finds no CUDA device here. Say device="auto" or "cpu".')
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f'device= is "auto", "cpu" or "cuda" (float64 is needed); got {given!r}.')
    return device


def check_stop(stop: Stop) -> None:
    """Nothing, for a tolerance and a number of steps that mean something.

    Raises: OptionError.
    """
    if not (isinstance(stop.step_in_se, (int, float)) and 0.0 < stop.step_in_se < 1.0):
        raise OptionError(f"tolerance= is a step in standard errors between 0 and 1; got {stop.step_in_se!r}.")
    if isinstance(stop.max_steps, bool) or not isinstance(stop.max_steps, int) or stop.max_steps < 1:
        raise OptionError(f"max_steps= is a positive whole number; got {stop.max_steps!r}.")


@together("checking the responses")
def check_response(prepared: Prepared, family: Family, name: str | None = None) -> None:
    """Nothing, where every response is one of the family, which is called `name`.

    Raises: ResponseError naming the first row that is not.
    """
    design, response = prepared.design, prepared.response
    grouped = response.trials is not None
    if (grouped or response.levels is not None) and family.mean_domain.upper != 1.0:
        what = "successes and failures" if grouped else f"two levels, {response.levels[0]!r} and {response.levels[1]!r}"  # type: ignore[index]
        raise ResponseError(
            f"The response {prepared.response_name!r} holds {what}, which the {name or family.name} family has no "
            'use for. Say family="binomial", or make a number of it.'
        )
    rows = design.without_columns()

    def wrong(block: Block) -> Sums:
        return Sums({"wrong": (~family.check_response(block.y, block.weight)).sum().to(torch.float64)})

    if not float(rows.sum(wrong)["wrong"]):
        return
    good = rows.map(lambda block: family.check_response(block.y, block.weight))
    if bool(good.all()):  # it is in the rows of another rank, which says so
        return
    bad = torch.nonzero(~good).flatten()
    value = float(design.y[bad[0]])
    labels = prepared.index if prepared.rows is None else prepared.index[prepared.rows]
    if prepared.zero_weight:
        kept = torch.nonzero(prepared.whole.weight > 0).flatten()  # type: ignore[operator]
        labels = labels[kept.cpu().numpy()]
    raise ResponseError(
        f"The response {prepared.response_name!r} must be {family.support} for the {name or family.name} family; "
        f"row {row_label(labels, int(bad[0]))} has {value!r} ({len(bad)} row(s) in all)."
    )


def _refuse_empty_model(objective: Objective, parsed: Parsed) -> None:
    if objective.layout.width == 0:
        raise FormulaError(f"The formula {parsed.text!r} has no column left to estimate.")


def start_of(given: Any, objective: Objective, names: Sequence[str]) -> torch.Tensor | None:
    """start= as theta (p,), inner order, or None.

    Raises: OptionError for what is not one finite number a coefficient.
    """
    if given is None:
        return None
    names = list(names)
    if isinstance(given, Mapping | pd.Series):
        named = pd.Series(given)
        if set(named.index) != set(names) or len(named) != len(names):
            raise OptionError(f"start= names {list(named.index)[:8]}; the coefficients are {names[:8]}.")
        given = named[names]
    try:
        values = torch.from_numpy(np.array(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise OptionError(f"start= takes one number a coefficient; got {given!r}.") from error
    p = objective.layout.width
    if values.shape != (p,) or not bool(torch.isfinite(values).all()):
        raise OptionError(
            f"start= takes {p} finite coefficients in the order {names[:8]}; got shape {tuple(values.shape)}."
        )
    return objective.layout.to_inner(values.to(objective.design.device))
