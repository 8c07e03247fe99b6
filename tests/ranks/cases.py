"""Fits that one process and two must answer alike: name -> numbers. Run by both, so it decides nothing itself."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

import torchglm as tg
from torchglm import placing
from torchglm.design import among_ranks, prepare, prepare_many
from torchglm.design.design import Design
from torchglm.numerics.ranks import Ranks

negative_binomial = sys.modules["torchglm.negative_binomial"]  # the function of that name hides the module
RIGHT = "a*g + b + C(h, contr.sum):c + I(b**2)"
Numbers = dict[str, list[float]]


def made(rows: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.uniform(-1.0, 1.0, size=(rows, 3)), columns=list("abc"))
    data["g"] = rng.choice(["p", "q", "r"], rows)
    data["h"] = pd.Categorical(rng.choice(["one", "two"], rows))
    eta = 1.0 + 0.3 * data["a"] - 0.2 * data["b"] + 0.2 * (data["g"] == "q")
    data["y"] = np.exp(eta) + 0.3 * rng.normal(size=rows)
    data["count"] = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, rows))
    data["yes"] = (rng.random(rows) < 1.0 / (1.0 + np.exp(0.7 - eta))).astype(int)
    data["no"] = rng.integers(0, 4, rows)
    data["positive"] = rng.gamma(5.0, np.exp(eta) / 5.0)
    data["w"] = rng.integers(0, 4, size=rows).astype(float)
    data["firm"] = rng.integers(0, 17, rows)
    data["year"] = rng.choice(["y1", "y2", "y3", "y4", "y5", "y6"], rows)
    data["day"] = np.arange(rows)
    data["grade"] = pd.cut(data["y"], [-np.inf, 1.8, 2.6, 3.4, np.inf], labels=list("abcd"))
    data["share"] = 1.0 / (1.0 + np.exp(-data["y"] + 2.5))
    data.loc[[3, rows - 2], "a"] = np.nan
    return data


DATA = made(400)
LARGE = made(60_000)


def numbers(fit: Any) -> Numbers:
    facts = fit.record.facts
    null = [] if isinstance(fit, tg.VectorFit) else [fit.null_deviance]
    return {
        "params": fit.params.tolist(),
        "bse": fit.bse.tolist(),
        "totals": [fit.llf, fit.deviance, *null],
        "counts": [fit.nobs, float(facts.steps), float(facts.passes), float(facts.rank)],
    }


def errors(fit: tg.Fit, *args: Any, **how: Any) -> Numbers:
    return {"cov": fit.with_covariance(*args, **how).cov_params().to_numpy().ravel().tolist()}


def _poisson() -> tg.Fit:
    return tg.glm(f"count ~ {RIGHT}", DATA, "poisson")


def _many() -> tg.Fit:
    return tg.glm("count ~ a + b + g + year", LARGE, "poisson", cluster=["firm", "year"])


def _nearly() -> tg.Fit:
    data = DATA.assign(year=2000.0 + DATA["a"].fillna(0.0), copy=DATA["b"] + 1e-6 * DATA["c"])
    return tg.glm("y ~ year + b + copy", data)


def _separated() -> Numbers:
    data = pd.DataFrame({"x": np.arange(20.0), "y": (np.arange(20) > 9) * 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        infinite = tg.glm("y ~ x", data, "binomial").infinite
        return {"infinite": [{"+": 1.0, "-": -1.0}[sign] for sign in infinite.values()]}


def _zeros() -> tg.VectorFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tg.zero_inflated("count ~ a + g | b", DATA)


def _resampled() -> Numbers:
    fit = tg.glm("count ~ a + b", DATA, "poisson")
    return {
        "bootstrap": fit.bootstrap(8, seed=3).bse.tolist(),
        "wild": fit.bootstrap(8, kind="wild", seed=3).bse.tolist(),
        "profile": fit.conf_int(method="profile").to_numpy().ravel().tolist(),
        "influence": fit.get_influence().cooks_distance.dropna().tolist(),
    }


EXACT: dict[str, Callable[[], Numbers]] = {
    "poisson": lambda: numbers(_poisson()),
    "precision weights": lambda: numbers(tg.glm(f"positive ~ {RIGHT}", DATA, "gamma", "log", weights="w")),
    "frequency weights": lambda: numbers(tg.glm(f"yes ~ {RIGHT}", DATA, "binomial", freq_weights="w")),
    "sampling weights": lambda: numbers(tg.glm("y ~ a + g", DATA, prob_weights="w + 0.5")),
    "trials": lambda: numbers(tg.glm("cbind(yes, no) ~ a + b", DATA, "binomial", "probit")),
    "offset": lambda: numbers(tg.glm("count ~ a + offset(b)", DATA, "poisson", exposure="positive")),
    "many rows": lambda: numbers(_many()),
    "few digits": lambda: numbers(_nearly()),
    "firth": lambda: numbers(tg.glm("yes ~ a + g", DATA, "binomial", penalty="firth")),
    "HC0": lambda: errors(_poisson(), "HC0"),
    "HC1": lambda: errors(_poisson(), "HC1"),
    "HC2": lambda: errors(_poisson(), "HC2"),
    "HC3": lambda: errors(_poisson(), "HC3"),
    "cluster": lambda: errors(_poisson(), cluster="firm"),
    "two ways": lambda: errors(_poisson(), cluster=["firm", "year"]),
    "CR1S": lambda: errors(_poisson(), "CR1S", cluster="year"),
    "panel": lambda: errors(_poisson(), "driscoll_kraay", time="firm"),
    "negative binomial": lambda: numbers(tg.negative_binomial("count ~ a + g", DATA)),
    "multinomial": lambda: numbers(tg.multinomial("g ~ a + b", DATA)),
    "ordinal": lambda: numbers(tg.ordinal("grade ~ a + b", DATA)),
    "zero-inflated": lambda: numbers(_zeros()),
    "beta": lambda: numbers(tg.beta_regression("share ~ a + g | b", DATA)),
    "dispersion": lambda: numbers(tg.glm("positive ~ a + g", DATA, "gamma", "log", dispersion="~ b")),
    "separated": _separated,
}
ALONE: dict[str, Callable[[], Numbers]] = {  # every rank computes the whole
    "CR2": lambda: errors(_poisson(), "CR2", cluster="firm"),
    "CR3": lambda: errors(_poisson(), "CR3", cluster="firm"),
    "HAC": lambda: errors(_poisson(), "HAC", order="day"),
    "resampled": _resampled,
}
SOLVERS: dict[str, Callable[[], Numbers]] = {
    name: lambda name=name: {"params": tg.glm("count ~ a + g", DATA, "poisson", solver=name).params.tolist()}
    for name in ("lbfgs", "newton_cg", "sgd")
}
IN_SHARES = (
    *("poisson", "precision weights", "frequency weights", "trials", "many rows", "few digits"),
    *("HC0", "HC3", "cluster", "two ways", "CR1S", "panel", "separated"),
    *("zero-inflated", "negative binomial", "multinomial", "sgd"),
)


@contextmanager
def in_shares() -> Iterator[None]:
    """Every rank keeps its own rows of each frame only, as of a stream: a third of them, or the rest."""
    whole, both = prepare.prepare.__wrapped__, prepare.held_by_all

    def own_rows(parsed: Any, source: Any, request: Any, caller: Any) -> Any:
        first = source.rows // 3
        mine = np.arange(source.rows) < first if Ranks.current().rank == 0 else np.arange(source.rows) >= first
        mine = mine if request.subset is None else mine & request.subset
        return whole(parsed, source, replace(request, subset=mine), caller)

    def joined(design: Design, formula: str) -> Design:
        design, ranks = among_ranks.held_in_shares(design), Ranks.current()
        (columns,) = design.columns
        centers = torch.stack(ranks.gather(columns.dense.centers, "centring"))
        share = torch.tensor(design.shares, dtype=torch.float64) / design.n
        return replace(design, columns=(replace(columns, dense=replace(columns.dense, centers=share @ centers)),))

    homes = (placing, prepare_many, negative_binomial)
    prepare.held_by_all = joined
    for home in homes:
        home.prepare = own_rows
    try:
        yield
    finally:
        prepare.held_by_all = both
        for home in homes:
            home.prepare = prepare.prepare
