"""The facts below the coefficients of a comparison: one line each, one value a fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from torchglm.errors import OptionError, UnknownNameError, did_you_mean

from .summary import described
from .table import number

Value = float | str
Asked = Sequence[str] | Mapping[str, str | Callable[[Any], Value]] | None


def _kind_of_covariance(fit: Any) -> str:
    """The words before the first comma, less counts: the whole sentence is a note below."""
    head = re.sub(r" \([^)]*\)", "", re.split(r"[,;](?![^(]*\))", fit.covariance_note)[0])
    return " ".join(word for word in head.split() if word != "sandwich")


# by the names of the attributes of a fit; (label, value)
FACTS: dict[str, tuple[str, Callable[[Any], Value]]] = {
    "response": ("Response", lambda fit: str(fit.model.endog_names)),
    "formula": ("Formula", lambda fit: fit.formula or ""),
    "family": ("Family", lambda fit: described(fit.family)),
    "link": ("Link", lambda fit: described(fit.family.link)),
    "offset": ("Offset", lambda fit: "no" if fit.offset_note is None else "yes"),
    "weights": ("Weights", lambda fit: fit.weights_note or "none"),
    "penalty": ("Penalty", lambda fit: (fit.penalty_note or "none").partition(":")[0]),
    "covariance": ("Covariance", _kind_of_covariance),
    "nobs": ("Observations", lambda fit: fit.nobs),
    "rows_dropped": ("Rows dropped", lambda fit: fit.rows_dropped),
    "df_resid": ("Df residuals", lambda fit: fit.df_resid),
    "df_model": ("Df model", lambda fit: fit.df_model),
    "llf": ("Log-likelihood", lambda fit: fit.llf),
    "aic": ("AIC", lambda fit: fit.aic),
    "bic": ("BIC", lambda fit: fit.bic),
    "deviance": ("Deviance", lambda fit: fit.deviance),
    "null_deviance": ("Null deviance", lambda fit: fit.null_deviance),
    "pearson_chi2": ("Pearson chi2", lambda fit: fit.pearson_chi2),
    "pseudo_r2": ("Pseudo R2 (McFadden)", lambda fit: fit.pseudo_r2("mcfadden")),
    "d2": ("D2 (deviance)", lambda fit: fit.pseudo_r2("d2")),
    "scale": ("Dispersion", lambda fit: fit.scale),
    "converged": ("Converged", lambda fit: "yes" if fit.converged else "NO"),
}
_CRITERIA = ["llf", "aic", "bic"]
_USUAL = ["response", "family", "link", "offset", "weights", "penalty", "covariance", "nobs", *_CRITERIA]
_USUAL += ["deviance", "pseudo_r2", "scale"]
CRITERIA = {FACTS[name][0] for name in _CRITERIA}
TOP = "Response"  # stands above the coefficients
_IDLE = {"Offset": "no", "Weights": "none", "Penalty": "none", "Dispersion": 1.0}  # not shown where every fit says this


def facts_of(fits: Mapping[str, Any], asked: Asked) -> pd.DataFrame:
    """One row a fact, one column a fit, unrounded; NaN where it is not defined.

    Raises: UnknownNameError for a fact that no fit has; OptionError for what is neither name nor function.
    """
    rows = {label: [value(fit) for fit in fits.values()] for label, value in _asked(asked)}
    if asked is None:
        rows = {label: values for label, values in rows.items() if not _is_idle(label, values)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=pd.Index(fits), dtype=object)


def _asked(asked: Asked) -> list[tuple[str, Callable[[Any], Value]]]:
    if asked is None:
        return [FACTS[name] for name in _USUAL]
    if isinstance(asked, Mapping):
        return [(str(label), what if callable(what) else _known(what)[1]) for label, what in asked.items()]
    if isinstance(asked, str):
        raise OptionError(f"facts= is a list of names, or a dictionary of labels; got {asked!r}.")
    return [_known(name) for name in asked]


def _known(name: Any) -> tuple[str, Callable[[Any], Value]]:
    if not isinstance(name, str):
        raise OptionError(f"A fact is a name or a function of a fit; got {name!r}.")
    if name not in FACTS:
        raise UnknownNameError(f"There is no fact {name!r} to show. {did_you_mean(name, FACTS)}")
    return FACTS[name]


def _is_idle(label: str, values: Iterable[Value]) -> bool:
    values = list(values)
    undefined = all(isinstance(value, float) and math.isnan(value) for value in values)
    return undefined or all(value == _IDLE.get(label) for value in values)


def shown(value: Any) -> str:
    """The cell of a fact."""
    if isinstance(value, int | float):
        return "-" if math.isnan(value) else number(float(value))
    return "" if value is None else str(value)
