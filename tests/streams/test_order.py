"""Sources whose rows come in another order, or with other values, at every pass: refused wherever rows are matched."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from torchglm import add1, glm, stream
from torchglm.errors import DataError

ROWS = 3_000


def made() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=ROWS), "z": rng.normal(size=ROWS), "firm": rng.integers(0, 50, ROWS)})
    frame["town"] = rng.choice(["Ayr", "Bath", "Cork"], ROWS)
    frame["count"] = rng.integers(0, 5, ROWS).astype(float)
    frame.loc[rng.choice(ROWS, 20), "count"] = np.nan
    frame["place"] = frame["town"].where(frame["count"].notna(), "Deal")
    frame["y"] = rng.poisson(np.exp(0.1 * frame["x"]))
    return frame


FRAME = made()


class Passes:
    """Makes frames anew at every call, as `change(frame, rng)` has it; `rng` goes on from call to call."""

    def __init__(self, change, seed=0):
        self.change, self.rng = change, np.random.default_rng(seed)

    def __call__(self):
        return self.change(FRAME, self.rng)


def shuffled(frame, rng):
    return [frame.iloc[rng.permutation(ROWS)]]


def swapped(frame, rng):
    """Two halves, each in its own order: which one is first changes."""
    return [frame[: ROWS // 2], frame[ROWS // 2 :]][:: rng.choice([-1, 1])]


def cut_anew(frame, rng):
    places = [0, *np.sort(rng.choice(ROWS, 5, replace=False)), ROWS]
    return [frame[first:last] for first, last in itertools.pairwise(places)]


def noisy(frame, rng):
    """As a database that adds up in parallel."""
    return [frame.assign(x=frame["x"] * (1.0 + 1e-15 * rng.normal(size=ROWS)), z=frame["z"] + 1e-17 * rng.normal())]


MATCHED = {
    "clusters": lambda data: glm("y ~ x", data, "poisson", cluster="firm"),
    "clusters of text": lambda data: glm("y ~ x", data, "poisson", cluster="town"),
    "clusters later": lambda data: glm("y ~ x", data, "poisson").with_covariance("cluster", cluster="firm"),
    "a subset and a transform": lambda data: glm("y ~ scale(x)", data, "poisson", subset="z > 0"),
    "a level of dropped rows": lambda data: glm("y ~ count + place", data, "poisson"),
    "a further term": lambda data: add1(glm("y ~ x", data, "poisson"), "z"),
}


@pytest.mark.parametrize("change", [shuffled, swapped])
@pytest.mark.parametrize("ask", MATCHED.values(), ids=MATCHED)
def test_rows_in_another_order_are_refused_where_they_are_matched(ask, change):
    with pytest.raises(DataError, match=r"in another order than before, .* \(ORDER BY"):
        asked_often(ask, change)


def asked_often(ask, change):
    for seed in range(8):  # what is random may come out alike
        ask(Passes(change, seed))


@pytest.mark.parametrize("formula", ["y ~ x + z", "y ~ x + town", "y ~ scale(x) * town"])
def test_where_none_is_matched_any_order_will_do(formula):
    data = stream(Passes(shuffled))
    one = glm(formula, FRAME, "poisson")
    for _ in range(2):  # of another fit, the order may be another
        other = glm(formula, data, "poisson")
        assert np.allclose(one.params, other.params, rtol=1e-11)
        assert np.allclose(one.bse, other.bse, rtol=1e-11)


@pytest.mark.parametrize("change", [cut_anew, noisy])
@pytest.mark.parametrize("ask", MATCHED.values(), ids=MATCHED)
def test_other_pieces_and_other_last_digits_are_no_other_order(ask, change):
    ask(Passes(change))


def test_integers_with_missing_values_in_some_pieces_are_no_other_values():
    for _ in range(3):
        glm("y ~ x + count", Passes(cut_anew), "poisson", cluster="count")


def test_values_that_change_after_the_fit_are_refused():
    held = [FRAME]
    data = stream(lambda: held)
    fit = glm("y ~ x", data, "poisson")
    held[0] = FRAME.assign(x=FRAME["x"].where(FRAME.index != 7, 3.0))
    for ask in (lambda: fit.update(". ~ . + z"), lambda: glm("y ~ x", data, "poisson")):
        with pytest.raises(DataError, match="has other values of 'x' than before: it has changed meanwhile"):
            ask()
    assert glm("y ~ x", lambda: held, "poisson").nobs == ROWS


def test_a_query_that_changes_is_refused():
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        database.execute(
            "CREATE TABLE t AS SELECT range AS k, sin(range) AS x, range % 3 AS y, range // 9 AS w FROM range(1000)"
        )
        fit = glm("y ~ x", database.sql("SELECT * FROM t ORDER BY k"), memory_limit="1 MB")
        assert np.isfinite(fit.with_covariance("cluster", cluster="k // 10").bse).all()
        database.execute("UPDATE t SET k = 999 - k")
        with pytest.raises(DataError, match="in another order than before"):
            fit.with_covariance("cluster", cluster="w")
