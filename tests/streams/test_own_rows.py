"""Code over pieces of a stream: refused where pieces would not give what the whole does, learned from all else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm, stream
from torchglm.errors import DataError, FormulaError

ROWS = 4_000
CLOSE = 1e-11


def made() -> pd.DataFrame:
    """Half of the rows differ from the others: `flat` is constant there, `late` is zero, `whole` has other values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=ROWS), "whole": rng.integers(0, 10, ROWS) * 1.0})
    frame["sorted"] = np.sort(rng.normal(size=ROWS))
    frame["flat"] = np.r_[np.ones(ROWS // 2), rng.normal(3.0, 1.0, ROWS // 2)]
    frame["late"] = np.r_[np.zeros(ROWS // 2), rng.normal(size=ROWS // 2)]
    frame["town"] = np.where(np.arange(ROWS) % 3 > 0, "Ayr", "Bath")
    frame.loc[ROWS // 2 :, "whole"] += 50.0
    frame["y"] = rng.poisson(np.exp(0.1 * frame["x"] + 0.1 * frame["flat"]))
    return frame


FRAME = made()
HALVES = [FRAME[: ROWS // 2], FRAME[ROWS // 2 :]]
CUTS = {
    "halves": HALVES,
    "one row first": [FRAME[:1], FRAME[1 : ROWS // 2], FRAME[ROWS // 2 :]],
    "no row first": [FRAME[:0], FRAME[:1], FRAME[1:]],
    "missing first": [FRAME[:100].assign(x=np.nan), FRAME[100:]],
}
LOOK_ELSEWHERE = [
    "I(x - x.mean())",
    "lag(x)",
    "np.cumsum(late)",
    "I(whole / whole.max())",
    "x.rank()",
    "pd.cut(whole, 3)",
    "C(pd.qcut(x, 4))",
    "np.clip(whole, None, whole.quantile(0.9))",
    "I((whole == whole.max()) * 1)",
    "I(flat - flat.mean())",
    "I(sorted - sorted.min())",
    "np.arange(len(x))",
    "I(town.map(town.value_counts()) > 1000)",
    "I(scale(x) - x.mean())",
]


@pytest.mark.parametrize("cut", ["halves", "one row first"])
@pytest.mark.parametrize("term", LOOK_ELSEWHERE)
def test_code_that_looks_at_other_rows_is_refused(term, cut):
    with pytest.raises(
        FormulaError, match=r"looks at more than its own row|cannot be evaluated: ValueError: Bin edges"
    ):
        glm(f"y ~ {term}", lambda: iter(CUTS[cut]), "poisson")


@pytest.mark.parametrize(
    "options",
    [
        {"subset": "whole > whole.mean()"},
        {"cluster": "pd.qcut(x, 4)"},
        {"weights": "whole / whole.max()"},
        {"offset": "scale(x)"},
        {"exposure": "flat - flat.min() + 1"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_so_is_such_code_beside_the_formula(tmp_path, options):
    for k, half in enumerate(HALVES):
        half.to_parquet(tmp_path / f"{k}.parquet")
    for data in (lambda: iter(HALVES), stream(tmp_path)):
        with pytest.raises(FormulaError, match="looks at more than its own row"):
            glm("y ~ x", data, "poisson", **options)


def test_so_is_a_response_that_would_be_centred_by_pieces():
    with pytest.raises(FormulaError, match=r"'center\(y\)' looks at more than its own row"):
        glm("center(y) ~ x", lambda: iter(HALVES))


def test_pieces_that_are_alike_within_are_told_apart():
    days = [FRAME[k : k + 100].assign(day=float(k % 300)) for k in range(0, ROWS, 100)]
    with pytest.raises(FormulaError, match="looks at more than its own row"):
        glm("y ~ x + I(day - day.mean())", lambda: iter(days), "poisson")


def test_predictions_by_pieces_are_those_of_the_whole():
    with pytest.raises(FormulaError, match="looks at more than its own row"):
        glm("y ~ I(x - x.mean())", FRAME, "poisson").predict(lambda: iter(HALVES))
    fit = glm("y ~ log(x + 9) + scale(flat)", FRAME, "poisson", exposure="flat + 9")
    assert np.array_equal(fit.predict(lambda: iter(HALVES)), fit.predict(FRAME))


LEARN = [
    "center(flat) * x",
    "scale(flat)",
    "scale(flat, scale=False)",
    "bs(flat, df=4)",
    "cr(flat, df=4) - 1",
    "poly(flat, 2)",
    "scale(center(flat))",
    "center(np.sign(late))",
    "center(flat == 1)",
    "bs(x, df=4)",
    "log(x + 9) + I(x**2) + np.where(x > 0, 1, 0) + pd.cut(x, [-9, 0, 9]) + town.str.upper() + C(whole > 3)",
]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("term", LEARN)
def test_transforms_learn_from_all_rows_and_own_rows_are_enough(term, cut):
    frames = CUTS[cut]
    one = glm(f"y ~ {term}", pd.concat(frames), "poisson")
    other = glm(f"y ~ {term}", lambda: iter(frames), "poisson")
    assert list(one.params.index) == list(other.params.index)
    assert np.allclose(one.params, other.params, rtol=CLOSE, atol=CLOSE, equal_nan=True)
    assert np.allclose(one.bse, other.bse, rtol=CLOSE, equal_nan=True)


def write(folder, rows=60_000):
    frame = pd.concat([FRAME] * (rows // ROWS))
    frame.to_parquet(folder / "0.parquet", index=False)
    return frame, stream(folder, memory_limit="1 MB")


def test_a_transform_that_does_not_fit_in_memory(tmp_path):
    with pytest.raises(DataError, match=r"learns from all 60,000 rows at once.*memory_limit= allows 0.001 GB"):
        glm("y ~ scale(x)", write(tmp_path)[1], "poisson")


@pytest.mark.parametrize(
    "term", ["bs(x, knots=[-1, 0, 1], lower_bound=-6, upper_bound=6)", "scale(x, center=1, scale=2)"]
)
def test_a_transform_whose_code_says_all_needs_no_memory(tmp_path, term):
    frame, streamed = write(tmp_path)
    one, other = (glm(f"y ~ {term}", data, "poisson") for data in (frame, streamed))
    assert np.allclose(one.params, other.params, rtol=CLOSE)
