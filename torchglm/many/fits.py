"""Fits: many models of one formula, their numbers side by side, and each as a Fit when it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from torchglm.errors import DataError, OptionError, StatusWarning, UnknownNameError, did_you_mean
from torchglm.families.family import Family
from torchglm.fit import Fit
from torchglm.inference.wald import Reference, check_level, statistics

SHOWN = 5  # models named in a warning
CONVERGED = "Converged."


@dataclass(frozen=True)
class ManyArrays:
    """What is known of G models. Shapes: theta, bse (G, p), NaN where aliased; phi, n, rank, converged, status (G,).

    `infinite`, `aliased`: model -> names; `estimated`: name -> values (G,) and standard errors (G,) beside theta.
    """

    theta: np.ndarray
    bse: np.ndarray
    phi: np.ndarray
    n: np.ndarray
    rank: np.ndarray
    converged: np.ndarray
    status: np.ndarray
    infinite: dict[int, dict[str, str]]
    estimated: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class ManyCriteria:
    """What the likelihood says of G models. Shapes: (G,) each."""

    deviance: np.ndarray
    null_deviance: np.ndarray
    llf: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Fits(Mapping[Any, Fit]):
    """Many fits of one formula, one a group of rows or one a response; `fits[key]` is one of them as a Fit.

    Its tables have a row a model, or a row a model and term, in the order of `keys()`.
    """

    index: pd.Index
    names: tuple[str, ...]
    family: Family
    formula: str
    use_t: bool
    has_intercept: bool
    arrays: ManyArrays
    refit: Callable[[int], Any]
    criteria_of: Callable[[], ManyCriteria]
    title: str = ""
    rows_without_key: int = 0  # of by=: in no group, as of pandas' groupby

    # one model

    def __getitem__(self, key: Any) -> Fit:
        """The fit of one model, made by the ordinary search from the estimates that are known.

        Raises: UnknownNameError for a key that is none; OptionError for fits that were pickled; what glm() raises, for
        a model that cannot be fitted.
        """
        place = self._place(key)
        if place is None:
            raise UnknownNameError(f"There is no model {key!r} among {len(self):,}. {self._known(key)}")
        return self.refit(place)

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.index)

    def __contains__(self, key: object) -> bool:
        return self._place(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        """The fit of that key, or `default`."""
        place = self._place(key)
        return default if place is None else self.refit(place)

    def _place(self, key: Any) -> int | None:
        """Where the model of that key is; None for what is no key, as part of one."""
        try:
            place = self.index.get_loc(key) if key in self.index else None
        except TypeError:
            return None
        return int(place) if isinstance(place, int | np.integer) else None

    def _known(self, key: Any) -> str:
        names = self.index.names
        if len(names) > 1 and not (isinstance(key, tuple) and len(key) == len(names)):
            return f"Its keys are tuples ({', '.join(map(str, names))}), as {_plain(self.index[0])!r}."
        alike = [one for one in self.index if str(one) == str(key)]
        if alike:
            return f"Keys are {type(alike[0]).__name__}, not {type(key).__name__}."
        return did_you_mean(str(key), map(str, self.index))

    # copies

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        return self

    def __getstate__(self) -> Mapping[str, Any]:
        return {**vars(self), "_criteria": self._criteria, "refit": _without_data, "criteria_of": None}

    # tables

    @cached_property
    def params(self) -> pd.DataFrame:
        """Coefficients, a row a model; NaN where aliased or not fitted, infinite where separation makes them so."""
        theta = self.arrays.theta.copy()
        for row, column, sign in self._infinite_places:
            theta[row, column] = sign * np.inf
        return self._frame(theta)

    @cached_property
    def bse(self) -> pd.DataFrame:
        """Standard errors, a row a model; NaN where a coefficient is infinite."""
        bse = self.arrays.bse.copy()
        for row, column, _ in self._infinite_places:
            bse[row, column] = np.nan
        return self._frame(bse)

    @property
    def status(self) -> pd.Series:
        """How each search ended, a sentence each."""
        return pd.Series(self.arrays.status, index=self.index, name="status")

    @property
    def converged(self) -> pd.Series:
        """Which models have the finite maximum that was looked for."""
        return pd.Series(self.arrays.converged, index=self.index, name="converged")

    @property
    def infinite(self) -> dict[Any, dict[str, str]]:
        """Key -> the coefficients that separation makes infinite, with their signs."""
        return {self.index[place]: names for place, names in self.arrays.infinite.items()}

    @property
    def aliased(self) -> dict[Any, list[str]]:
        """Key -> the coefficients that are not defined, since the columns before them span theirs."""
        lost = np.isnan(self.arrays.theta) & (self.arrays.rank > 0)[:, None]
        return {
            self.index[row]: [name for name, left in zip(self.names, lost[row], strict=True) if left]
            for row in np.flatnonzero(lost.any(1))
        }

    @cached_property
    def estimated(self) -> pd.DataFrame:
        """What is estimated beside the coefficients, as theta of negative binomials, and its standard error."""
        columns = {}
        for name, (value, error) in self.arrays.estimated.items():
            columns |= {name: value, f"{name}.std.error": error}
        return pd.DataFrame(columns, index=self.index)

    def tidy(self, *, exponentiate: bool = False, conf_int: bool = True, level: float = 0.95) -> pd.DataFrame:
        """One row a model and term: term, estimate, std.error, statistic, p.value, conf.low, conf.high.

        Raises: OptionError for a level outside of (0, 1).
        Source: broom::tidy.glm of each model, as after tidyr::nest.
        """
        check_level(level)
        p = len(self.names)
        estimate, error = self.params.to_numpy().ravel(), self.bse.to_numpy().ravel()
        df = np.repeat(self.df_resid, p) if self.use_t else np.inf
        reference = Reference(df)
        statistic = statistics(estimate, error)
        columns = {"estimate": estimate, "std.error": error, "statistic": statistic}
        columns["p.value"] = reference.p_values(statistic)
        if conf_int:
            half = reference.quantile(0.5 + level / 2.0) * error
            columns |= {"conf.low": estimate - half, "conf.high": estimate + half}
        if exponentiate:
            for name in {"estimate", "conf.low", "conf.high"} & columns.keys():
                with np.errstate(over="ignore"):
                    columns[name] = np.exp(columns[name])
        keys = self.index.repeat(p).to_frame(index=False)
        return pd.concat([keys, pd.DataFrame({"term": np.tile(self.names, len(self)), **columns})], axis=1)

    def glance(self) -> pd.DataFrame:
        """One row a model: the columns of broom's glance(), the dispersion, and how the search ended.

        Raises: DataError where the data were written over since.
        """
        numbers, found = self.arrays, self._criteria
        counted = numbers.rank + int(self.family.counts_dispersion)
        counted = counted + sum(np.isfinite(value) for value, _ in numbers.estimated.values())
        with np.errstate(divide="ignore", invalid="ignore"):
            bic = -2.0 * found.llf + np.log(numbers.n) * counted
        columns = {
            "null.deviance": found.null_deviance,
            "df.null": numbers.n - float(self.has_intercept),
            "logLik": found.llf,
            "AIC": -2.0 * found.llf + 2.0 * counted,
            "BIC": bic,
            "deviance": found.deviance,
            "df.residual": self.df_resid,
            "nobs": numbers.n,
            "dispersion": numbers.phi,
            **{name: self.estimated[name].to_numpy() for name in self.estimated},
            "converged": numbers.converged,
            "status": numbers.status,
        }
        return pd.concat([self.index.to_frame(index=False), pd.DataFrame(columns)], axis=1)

    @property
    def df_resid(self) -> np.ndarray:
        """(G,) observations less rank."""
        return self.arrays.n - self.arrays.rank

    @cached_property
    def _criteria(self) -> ManyCriteria:
        return self.criteria_of()

    @cached_property
    def _infinite_places(self) -> list[tuple[int, int, float]]:
        place = {name: column for column, name in enumerate(self.names)}
        return [
            (row, place[name], 1.0 if sign == "+" else -1.0)
            for row, signs in self.arrays.infinite.items()
            for name, sign in signs.items()
            if name in place
        ]

    def _frame(self, values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=self.index, columns=pd.Index(self.names, name="term"))

    def __repr__(self) -> str:
        wrong = int((self.arrays.status != CONVERGED).sum())
        note = f", {self.rows_without_key:,} row(s) without a key left out" if self.rows_without_key else ""
        note += f", {wrong:,} to look at: see .status" if wrong else ""
        return f"<Fits {self.formula}: {self.title or self.family.name}, {len(self):,} models{note}>"


def written_over(argument: str) -> DataError:
    """The error of data that are no longer those of the fit."""
    return DataError(
        "The data have been written over since the fit, so that what was not computed yet no longer can be. "
        f"Call glance() first, or fit a copy: glm(formula, data.copy(), {argument}=...)."
    )


def warn_of(index: pd.Index, status: np.ndarray, stacklevel: int) -> None:
    """Nothing; one warning, where some models have not simply converged."""
    wrong = np.flatnonzero(status != CONVERGED)
    if not len(wrong):
        return
    kinds: dict[str, list[int]] = {}
    for place in wrong:
        kinds.setdefault(str(status[place]).partition(":")[0].rstrip("."), []).append(int(place))
    parts = []
    for kind, places in kinds.items():
        named = ", ".join(repr(_plain(index[place])) for place in places[:SHOWN])
        parts.append(f"{kind}: {len(places):,} ({named}{', ...' if len(places) > SHOWN else ''})")
    warnings.warn(
        f"{len(wrong):,} of {len(index):,} models have not simply converged. {'; '.join(parts)}. "
        "fits.status says why, for each.",
        StatusWarning,
        stacklevel=stacklevel,
    )


def _without_data(_: int) -> Fit:
    raise OptionError("These models were loaded without their data: the tables are all that there is of them.")


def _plain(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_plain, key))
    return key.item() if isinstance(key, np.generic) else key
