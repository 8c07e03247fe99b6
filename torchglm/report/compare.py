"""From fits to a table of fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from torchglm.errors import OptionError, TorchGLMError, UnknownNameError, did_you_mean
from torchglm.inference.covariance.kind import COVARIANCES

from .compare_facts import Asked, facts_of
from .compare_notes import STARS_LEGEND, notes_of
from .compare_rows import Patterns, labelled, merged, selected
from .comparison import STATISTICS, Comparison


@runtime_checkable
class Fitted(Protocol):
    """A fit, as far as a report can know one: its class lies above, and a report reads only public names."""

    def with_covariance(self, covariance: Any) -> Any:
        """The same fit with other standard errors."""
        ...

    def conf_int(self, alpha: float | None = None, *, level: float = 0.95) -> pd.DataFrame:
        """Intervals of the coefficients."""
        ...

    def pseudo_r2(self, kind: str = "mcfadden") -> float:
        """A pseudo R2."""
        ...


def side_by_side(
    fits: Iterable[Any] | Mapping[str, Any],
    *,
    names: Sequence[str] | None = None,
    covariance: Any = None,
    cluster: Any = None,
    exponentiate: bool | Sequence[bool] = False,
    stars: bool = False,
    statistic: str | None = "se",
    level: float = 0.95,
    keep: Patterns = None,
    drop: Patterns = None,
    labels: Mapping[str, str] | None = None,
    facts: Asked = None,
) -> Comparison:
    """The fits as columns of one table: coefficients, below each its standard error, and facts at the foot.

    names         of the columns; else the keys of a dictionary of fits, or (1), (2), ...
    covariance    one for all columns, or a list with one a column, None where a fit keeps its own
    cluster       as of `Fit.with_covariance`, for each clustered covariance; by itself it asks for "cluster"
    exponentiate  True or False, or a list with one a column
    stars         marks of p < 0.1, 0.05, 0.01, 0.001
    statistic     below the estimates: "se", "t" (z or t), "p", "ci", or None
    keep, drop    names of coefficients or regular expressions; the patterns of `keep` order the rows
    labels        coefficient -> what to call it; coefficients of different fits that share a label share a row
    facts         names, as "nobs" or "aic", or a dictionary: label -> name or function of a fit

    Rows come in the order of the formulas, intercept first: those of the first fit, then what a later fit adds, each
    before the next coefficient that it shares with the rows so far.
    Scale: exponentiated columns show exp(coef), the standard error exp(coef) * se by the delta method, and exp() of the
    ends of the interval; the z or t and the p-value stay those of coef = 0.
    Raises: OptionError, UnknownNameError; what `Fit.with_covariance` raises.
    Source: what modelsummary::modelsummary(list(...), vcov =, exponentiate =, coef_map =, gof_map =) shows.
    """
    columns = _named(fits, names)
    if statistic is not None and statistic not in STATISTICS:
        raise UnknownNameError(f"There is no statistic {statistic!r}. {did_you_mean(statistic, STATISTICS)}")
    columns = _with_covariances(columns, covariance, cluster)
    exponents = dict(zip(columns, _per_column(exponentiate, "exponentiate", len(columns)), strict=True))
    if wrong := [given for given in exponents.values() if not isinstance(given, bool | np.bool_)]:
        raise OptionError(f"exponentiate= is True or False, or a list of them; got {wrong[0]!r}.")

    shown = selected(merged(fit.params.index for fit in columns.values()), keep, drop)
    rows = labelled(shown, labels)
    places = {name: _places(fit, name, rows) for name, fit in columns.items()}
    parts = {
        name: _numbers(fit, level, bool(exponents[name])).loc[list(places[name])].set_axis(list(places[name].values()))
        for name, fit in columns.items()
    }
    frame = pd.concat({name: part.reindex(list(rows)) for name, part in parts.items()}, axis=1)
    marks = {
        (label, name): mark
        for name, fit in columns.items()
        for label, mark in _marks(fit, places[name], bool(exponents[name]))
    }
    table = facts_of(columns, facts)
    notes = notes_of(columns, exponents, statistic, level, table.index)
    return Comparison(
        title=f"Comparison of {len(columns)} fits" if len(columns) > 1 else "One fit",
        frame=frame,
        facts=table,
        marks=marks,
        statistic=statistic,
        stars=stars,
        notes=(*notes, *([STARS_LEGEND] if stars else [])),
    )


def _named(fits: Any, names: Sequence[str] | None) -> dict[str, Any]:
    """The fits by the names of their columns."""
    if isinstance(fits, Fitted) or not isinstance(fits, Iterable):
        raise OptionError(f"A comparison takes a list of fits, as [fit1, fit2]; got {type(fits).__name__}.")
    if isinstance(fits, Mapping):
        names = list(fits) if names is None else names
        fits = fits.values()
    fits = list(fits)
    if not fits:
        raise OptionError("A comparison needs one fit or more; the list is empty.")
    for place, fit in enumerate(fits, 1):
        if not isinstance(fit, Fitted) or isinstance(fit, type):
            raise OptionError(f"A comparison takes fits; number {place} of {len(fits)} is {type(fit).__name__}.")
    if names is None:
        return {f"({place})": fit for place, fit in enumerate(fits, 1)}
    names = _per_column(list(names) if not isinstance(names, str) else [names], "names", len(fits))
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise OptionError(f"names= are text, one a fit; got {wrong[0]!r}.")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise OptionError(f"names= tell columns apart, and {twice[0]!r} stands there twice.")
    return dict(zip(names, fits, strict=True))


def _per_column(given: Any, option: str, count: int) -> list[Any]:
    """One value a column, from a list of them or one for all."""
    if not isinstance(given, list | tuple):
        return [given] * count
    if len(given) != count:
        raise OptionError(f"{option}= has one value a fit: {count} fits, {len(given)} values.")
    return list(given)


def _with_covariances(fits: dict[str, Any], covariance: Any, cluster: Any) -> dict[str, Any]:
    """The fits with the covariances asked for."""
    if covariance is None and cluster is not None:
        covariance = "cluster"
    kinds = _per_column(covariance, "covariance", len(fits))
    clusters = [cluster] * len(fits)
    if cluster is not None and isinstance(covariance, list | tuple):
        clusters = [cluster if _takes_clusters(kind) else None for kind in kinds]
        if not any(given is not None for given in clusters):
            raise OptionError(
                f'cluster= is given, and covariance= has nothing clustered, as "cluster": {covariance!r}.'
            )
    return {
        name: _with_covariance(fit, name, kind, given)
        for (name, fit), kind, given in zip(fits.items(), kinds, clusters, strict=True)
    }


def _takes_clusters(kind: Any) -> bool:
    if isinstance(kind, str):
        kind = COVARIANCES.get(kind)
    return is_dataclass(kind) and "cluster" in {field.name for field in fields(kind)}


def _with_covariance(fit: Any, name: str, kind: Any, cluster: Any) -> Any:
    if kind is None:
        return fit
    try:
        return fit.with_covariance(kind) if cluster is None else fit.with_covariance(kind, cluster=cluster)
    except TorchGLMError as error:
        error.add_note(f"This was asked of the column {name!r} by covariance={kind!r}.")
        raise


def _numbers(fit: Any, level: float, exponentiate: bool) -> pd.DataFrame:
    """The numbers of one column, unrounded."""
    ends = fit.conf_int(level=level)
    out = pd.DataFrame(
        {
            "estimate": fit.params,
            "std.error": fit.bse,
            "statistic": fit.tvalues,
            "p.value": fit.pvalues,
            "conf.low": ends.iloc[:, 0],
            "conf.high": ends.iloc[:, 1],
        }
    )
    if exponentiate:
        with np.errstate(over="ignore", invalid="ignore"):  # exp(710) is inf, and is shown so
            points = ["estimate", "conf.low", "conf.high"]
            out[points] = np.exp(out[points])
            out["std.error"] *= out["estimate"]
    return out


def _places(fit: Any, column: str, rows: Mapping[str, list[str]]) -> dict[str, str]:
    """Each coefficient of a fit that is shown -> its row.

    Raises: OptionError where two of them have one label.
    """
    own = set(fit.params.index)
    out = {}
    for label, names in rows.items():
        here = [name for name in names if name in own]
        if len(here) > 1:
            raise OptionError(f"labels= gives {label!r} to {' and '.join(here)}, and {column} has them both.")
        out.update(dict.fromkeys(here, label))
    return out


def _marks(fit: Any, places: Mapping[str, str], exponentiate: bool) -> list[tuple[str, str]]:
    """The rows where a word stands for a number."""
    ends = {"+": "inf", "-": "0" if exponentiate else "-inf"}
    infinite = [(places[name], ends[sign]) for name, sign in fit.infinite.items() if name in places]
    return [*infinite, *((places[name], "-") for name in fit.aliased if name in places)]
