"""Tests between models of counts: vuong_test() of fits that are not nested, and likelihood ratios at a boundary."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.coefficients import require_fits
from torchglm.count_rows import log_likelihood_rows, same_rows
from torchglm.design.weights import Probability
from torchglm.errors import BoundaryWarning, OptionError
from torchglm.families.count import PoissonCount
from torchglm.families.hurdle import Hurdle
from torchglm.families.likelihood import Likelihood
from torchglm.families.negative_binomial_size import NegativeBinomialSize
from torchglm.families.truncated import Truncated
from torchglm.families.zero_inflated import ZeroInflated
from torchglm.fit import Fit
from torchglm.inference.vector import VectorEstimate, VectorStart, log_likelihood
from torchglm.report.term_table import TermTable
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import run
from torchglm.vector_fit import VectorFit

ROUNDING = 1e-9  # of the log-likelihood: a ratio below has no digit that means anything


def vuong_test(first: Fit | VectorFit, second: Fit | VectorFit) -> TermTable:
    """Vuong's test of two fits that are not nested: which is nearer to the truth, raw and corrected as AIC and BIC are.

    `frame` has a row each with columns statistic, model (that the sign favours) and p.value, one-sided as in pscl. With
    l the difference of the rows' log-likelihoods, statistic = sum(l) / (sqrt(n) sd(l)), the correction subtracted from
    the sum. All parameters are counted, where pscl leaves theta out.

    Raises: OptionError for other rows, responses or weights, for fits whose rows have no full likelihood, and for fits
    that say the same. Warns: BoundaryWarning where one model is the limit of the other, for then the statistic is not
    normal (Wilson 2015): see zero_inflation_test.
    Source: Vuong (1989), Econometrica 57, 307-333, eq. (3.1); pscl::vuong.
    """
    from scipy import special

    require_fits("vuong_test()", first, second)
    weights = same_rows(first, second)
    l = log_likelihood_rows(first) - log_likelihood_rows(second)
    w = torch.ones_like(l) if weights is None else weights
    n = float(w.sum())
    total = float(w @ l)
    spread = math.sqrt(float(w @ (l - total / n) ** 2) / (n - 1.0))
    if not spread > 1e-9 * (1.0 + abs(total) / n):
        raise OptionError("The fits give every row the same likelihood: nothing tells them apart.")
    _warn_of_nested(first, second)
    more = _parameters(first) - _parameters(second)
    corrected = np.array([total, total - more, total - 0.5 * more * math.log(n)])
    values = corrected / (math.sqrt(n) * spread)
    frame = pd.DataFrame(
        {"statistic": values, "model": np.where(values > 0.0, 1.0, 2.0), "p.value": special.ndtr(-np.abs(values))},
        index=pd.Index(["raw", "AIC-corrected", "BIC-corrected"]),
    )
    notes = (
        f"Model 1: {_shown(first)}",
        f"Model 2: {_shown(second)}",
        "p is one-sided, for the model that the sign favours: the two are equally near to the truth.",
    )
    return TermTable("Vuong's test of models that are not nested", frame, "z", notes)


def _parameters(fit: Fit | VectorFit) -> float:
    return 0.5 * fit.aic + fit.llf


def _shown(fit: Fit | VectorFit) -> str:
    return f"{fit.family.name}, {fit.formula or fit.record.facts.response}"


def _warn_of_nested(first: Fit | VectorFit, second: Fit | VectorFit) -> None:
    inflated = [
        isinstance(f, VectorFit) and isinstance(f.vector_model.likelihood, ZeroInflated) for f in (first, second)
    ]
    plain = [not isinstance(f, VectorFit) for f in (first, second)]
    if (inflated[0] and plain[1]) or (inflated[1] and plain[0]):
        warnings.warn(
            "A plain count model is the limit of a zero-inflated one, at the end of its range: Vuong's statistic is "
            "not normal then, and its p-value no test of zero inflation. See zero_inflation_test(), or compare aic.",
            BoundaryWarning,
            stacklevel=3,
        )


@dataclass(frozen=True)
class BoundaryTest:
    """The likelihood ratio of a fit against a model at the end of a parameter's range.

    There `statistic` is 0 half of the time, else chi2(1), so that `pvalue` is half that of chi2(1).
    """

    alternative: str
    null: str
    statistic: float
    pvalue: float
    llf: float
    llf_null: float

    def __str__(self) -> str:
        return (
            f"Likelihood ratio of {self.alternative} against {self.null}: chibar2(01) = {self.statistic:.4f}, "
            f"p = {self.pvalue:.4g}"
        )


def zero_inflation_test(fit: VectorFit) -> BoundaryTest:
    """The likelihood-ratio test of a zero_inflated() fit against the plain count, which is fitted here.

    The zero part has to be a constant, "y ~ x | 1". With more columns, their coefficients mean nothing under the plain
    count, and the ratio follows no known law: compare aic, or simulate.
    Raises: OptionError for another fit or zero part, one loaded without its data, and under sampling weights.
    Source: Self & Liang (1987), JASA 82, 605-610, case 5.
    """
    estimate, likelihood = _asked(fit, "zero_inflation_test")
    if not isinstance(likelihood, ZeroInflated):
        raise OptionError(f"The test is one of zero inflation: it takes a zero_inflated() fit; got {fit.family.name}.")
    width = estimate.objective.layout.widths[1]
    if width != 1 or not estimate.objective.layout.columns[1].constant:
        raise OptionError(
            f"The zero part has {width} coefficients. Without zero inflation they mean nothing, so that the likelihood "
            "ratio follows no known law. Test a fit whose zero part is a constant, 'y ~ x | 1', or compare aic."
        )
    if estimate.objective.design.offsets[1] is not None:
        raise OptionError(
            "The zero part has an offset, with which no chance of a certain zero is the same in all rows."
        )
    kept = [0, *range(2, len(likelihood.predictors))]
    return _ratio(fit, estimate, likelihood.count, kept, likelihood.count.name.replace("_", " "))


def theta_test(fit: VectorFit) -> BoundaryTest:
    """The likelihood-ratio test of theta: whether counts vary more than Poisson counts, beside what the zeros do.

    It takes a fit of zero_inflated(), hurdle() or truncated() with count="negative_binomial", and fits the model with
    Poisson counts here. For negative_binomial() see poisson_test.
    Raises: OptionError for another fit, one loaded without its data, and under sampling weights.
    Source: Self & Liang (1987), JASA 82, 605-610, case 5.
    """
    estimate, likelihood = _asked(fit, "theta_test")
    if not isinstance(likelihood, ZeroInflated | Hurdle | Truncated):
        raise OptionError(f"The test takes a fit of zero_inflated(), hurdle() or truncated(); got {fit.family.name}.")
    if not isinstance(likelihood.count, NegativeBinomialSize):
        raise OptionError(f'The test is one of theta: fit with count="negative_binomial"; got {fit.family.name}.')
    poisson = replace(likelihood, count=PoissonCount(likelihood.count.link))
    name = fit.family.name.replace("negative_binomial", "poisson").replace("_", "-")
    return _ratio(fit, estimate, poisson, list(range(len(poisson.predictors))), name)


def boundary_test(alternative: str, null: str, llf: float, llf_null: float) -> BoundaryTest:
    """The test of two log-likelihoods; a ratio that is rounding is 0, which half of all samples give: p is 1."""
    statistic = 2.0 * (llf - llf_null)
    if not statistic > ROUNDING * (1.0 + abs(llf)):
        statistic = 0.0
    p = 0.5 * math.erfc(math.sqrt(0.5 * statistic)) if statistic > 0.0 else 1.0  # half the tail of chi2(1)
    return BoundaryTest(alternative, null, statistic, p, llf, llf_null)


def _asked(fit: VectorFit, name: str) -> tuple[VectorEstimate, Likelihood]:
    require_fits(f"{name}()", fit)
    estimate = fit.estimate
    if not isinstance(fit, VectorFit):
        raise OptionError(f"The test takes a fit of zero_inflated(), hurdle() or truncated(); got {fit.family.name}.")
    if not isinstance(estimate, VectorEstimate):
        raise OptionError("The test fits a smaller model, and this fit was loaded without its data.")
    if isinstance(estimate.prepared.weights, Probability):
        raise OptionError("Sampling weights make no likelihood whose ratio could be tested.")
    return estimate, fit.vector_model.likelihood


def _ratio(fit: VectorFit, estimate: VectorEstimate, null: Likelihood, kept: list[int], name: str) -> BoundaryTest:
    """The test against the model of some of the predictors."""
    objective = estimate.objective
    design = objective.design
    design = replace(
        design, columns=tuple(design.columns[k] for k in kept), offsets=tuple(design.offsets[k] for k in kept)
    )
    objective = replace(objective, design=design, likelihood=null)
    start = VectorStart(estimate.family, likelihood=null)
    theta: Tensor = run(IRLS(), objective, start, estimate.stop).theta
    llf_null = -0.5 * log_likelihood(objective, theta, estimate.prepared.weights).deviance
    return boundary_test(fit.family.name.replace("_", "-", 1).replace("_", " "), name, fit.llf, llf_null)
