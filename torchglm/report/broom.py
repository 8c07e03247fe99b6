"""Tidy frames of a fit, named as R's broom names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.sources import open_source
from torchglm.errors import OptionError
from torchglm.inference import criteria, wald
from torchglm.inference.record import Record


def tidy(record: Record, *, exponentiate: bool, conf_int: bool, level: float) -> pd.DataFrame:
    """One row a coefficient: term, estimate, std.error, statistic, p.value, and conf.low, conf.high on request.

    Source: broom::tidy.glm, whose standard errors stay on the link scale when estimates are exponentiated.
    """
    estimate, error = record.numbers.theta.numpy(), record.standard_errors.numpy()
    statistic = wald.statistics(estimate, error)
    columns = {"estimate": estimate, "std.error": error, "statistic": statistic}
    columns["p.value"] = wald.coefficient_p_values(record, statistic)
    if conf_int:
        half = wald.quantiles(record, level).numpy() * error
        columns["conf.low"], columns["conf.high"] = estimate - half, estimate + half
    if exponentiate:
        for name in ("estimate", "conf.low", "conf.high"):
            if name in columns:
                with np.errstate(over="ignore"):  # infinite beyond 709, as the end of a separated coefficient
                    columns[name] = np.exp(columns[name])
    return pd.DataFrame({"term": list(record.names), **columns})


def glance(record: Record) -> pd.DataFrame:
    """One row: null.deviance, df.null, logLik, AIC, BIC, deviance, df.residual, nobs.

    Source: broom::glance.glm.
    """
    row = {
        "null.deviance": record.numbers.null.deviance,
        "df.null": record.facts.n - float(record.null_rank),
        "logLik": record.log_likelihood,
        "AIC": criteria.aic(record),
        "BIC": criteria.bic(record),
        "deviance": record.numbers.totals.deviance,
        "df.residual": record.df_resid,
        "nobs": record.facts.n,
    }
    return pd.DataFrame([row])


def augment(data: Any, fitted: pd.Series, residuals: pd.Series) -> pd.DataFrame:
    """The table with .fitted and .resid beside its columns, and its own index.

    Raises: OptionError for a table of another length than the fit; DataError for what is none.
    Source: broom::augment.glm.
    """
    source = open_source(data)
    if source.rows != len(fitted):
        raise OptionError(f"augment() takes the data of the fit ({len(fitted)} rows); these have {source.rows}.")
    if isinstance(data, pd.DataFrame):
        frame = data
    else:
        frame = pd.DataFrame({name: source.column(name) for name in source.names}, index=source.index)
    return frame.assign(**{".fitted": fitted.to_numpy(), ".resid": residuals.to_numpy()})
