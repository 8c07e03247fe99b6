from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from torchglm import glm

INSURANCE = Path(__file__).parents[2] / "docs" / "data" / "insurance.csv"


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class FamilyDouble:
    link: Named = Named("log")
    name: str = "poisson"


@dataclass(frozen=True)
class ModelDouble:
    endog_names: str = "counts"


@dataclass(frozen=True)
class FitDouble:
    """A fit made by hand: three coefficients of the Poisson example of R's help page of glm."""

    title: str = "Generalized linear model"
    formula: str | None = "counts ~ outcome + treatment"
    family: object = FamilyDouble()
    model: ModelDouble = ModelDouble()
    params: pd.Series = field(default_factory=pd.Series)
    bse: pd.Series = field(default_factory=pd.Series)
    use_t: bool = False
    llf: float = -23.38066
    llnull: float = -26.10681
    aic: float = 56.76132
    bic: float = 57.74744
    deviance: float = 5.129141
    null_deviance: float = 10.58145
    pearson_chi2: float = 5.173202
    scale: float = 1.0
    dispersion_kind: str = "fixed at 1"
    estimated_values: dict[str, tuple[float, float]] = field(default_factory=dict)
    df_model: int = 4
    df_resid: int = 4
    df_null: int = 8
    nobs: int = 9
    rows_dropped: int = 0
    rows_zero_weight: int = 0
    converged: bool = True
    status: str = "The next Newton step is shorter than 1e-8 standard errors."
    solver_name: str = "irls"
    n_steps: int = 4
    passes: float = 5.0
    notes: tuple[str, ...] = ()
    infinite_note: str = "Separation: some responses are predicted perfectly, so that these coefficients are infinite"
    weights_note: str | None = None
    offset_note: str | None = None
    penalty_note: str | None = None
    penalised_llf: float = float("nan")
    aliased: dict = field(default_factory=dict)
    covariance_note: str = "model-based, expected information"
    infinite: dict = field(default_factory=dict)

    @property
    def tvalues(self) -> pd.Series:
        return self.params / self.bse

    @property
    def pvalues(self) -> pd.Series:
        tails = stats.t(self.df_resid) if self.use_t else stats.norm()
        return pd.Series(2 * tails.sf(self.tvalues.abs()), self.params.index)

    def conf_int(self, *, level: float) -> pd.DataFrame:
        reach = stats.norm.ppf((1 + level) / 2) * self.bse
        return pd.DataFrame({"lower": self.params - reach, "upper": self.params + reach})

    def pseudo_r2(self, kind: str) -> float:
        return {"mcfadden": 1 - self.llf / self.llnull, "d2": 1 - self.deviance / self.null_deviance}[kind]


@pytest.fixture
def fit_double():
    """A maker of fits whose attributes are set by keyword."""

    def make(**changes) -> FitDouble:
        params = pd.Series({"Intercept": 3.044522, "outcome[T.2]": -0.454255, "outcome[T.3]": -0.292987})
        bse = pd.Series([0.170893, 0.202170, 0.192742], params.index)
        return dataclasses.replace(FitDouble(params=params, bse=bse), **changes)

    return make


@pytest.fixture(scope="session")
def claims() -> pd.DataFrame:
    frame = pd.read_csv(INSURANCE)
    frame["Age"] = pd.Categorical(frame["Age"], ["<25", "25-29", "30-35", ">35"])
    return frame


@pytest.fixture(scope="session")
def fits(claims):
    """Three models of the insurance claims, the last one quasi; in R they are in compare.R."""
    asked = [("District", "poisson"), ("District + Age", "poisson"), ("District + Age", "quasipoisson")]
    return [glm(f"Claims ~ {terms}", claims, family=family, exposure="Holders") for terms, family in asked]


@pytest.fixture(scope="session")
def in_r():
    """The same models in R."""
    return json.loads((Path(__file__).parent / "compare.json").read_text(encoding="utf-8"))
