"""Formulas of several parts: where they are split, and which rows their models share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm.design.parts_of import split_parts
from torchglm.design.prepare import Request, prepare
from torchglm.design.prepare_many import prepare_many
from torchglm.design.sources import open_source
from torchglm.design.terms import parse
from torchglm.errors import DataError, FormulaError


@pytest.mark.parametrize(
    "text, parts",
    [
        ("y ~ x", ["y ~ x"]),
        ("y ~ x | z + w", ["y ~ x", "y ~ z + w"]),
        ("y~x|1|C(g)", ["y ~ x", "y ~ 1", "y ~ C(g)"]),
        ("y ~ I(a | b) | z", ["y ~ I(a | b)", "y ~ z"]),
        ("y ~ d[a | b] | z", ["y ~ d[a | b]", "y ~ z"]),
        ("y ~ `a|b` | z", ["y ~ `a|b`", "y ~ z"]),
        ("y ~ f('|') | g(\"(|\")", ["y ~ f('|')", 'y ~ g("(|")']),
        ("cbind(a, b) ~ x | z", ["cbind(a, b) ~ x", "cbind(a, b) ~ z"]),
    ],
)
def test_bars_outside_of_brackets_and_quotes_separate_parts(text, parts):
    assert split_parts(text) == parts


@pytest.mark.parametrize("text", ["y ~ x |", "y ~ | z", "y ~ x || z", "x | z", 3])
def test_what_has_no_parts_is_refused(text):
    with pytest.raises(FormulaError):
        split_parts(text)


@pytest.fixture
def frame() -> pd.DataFrame:
    frame = pd.DataFrame({"y": np.arange(8.0), "x": np.arange(8.0) ** 2, "z": np.arange(8.0) ** 3, "k": range(8)})
    frame.loc[1, "x"] = np.nan
    frame.loc[[3, 4], "z"] = np.nan
    return frame


def together(frame, formulas, **options):
    source = open_source(frame)
    return prepare_many([parse(text, source.names) for text in formulas], source, Request(**options), {})


def test_what_one_part_misses_all_leave_out_before_transforms_learn(frame):
    parts = together(frame, ["y ~ center(x)", "y ~ z"]).parts
    complete = frame.dropna()
    for part in parts:
        assert part.design.n == 5
        assert part.missing == 3
        np.testing.assert_array_equal(part.design.y, complete["y"])
    alone = open_source(complete)
    expected = prepare(parse("y ~ center(x)", alone.names), alone, Request(), {})
    np.testing.assert_allclose(parts[0].design.columns[0].to_dense(5), expected.design.columns[0].to_dense(5))


def test_a_subset_is_not_counted_as_missing(frame):
    parts = together(frame, ["y ~ x", "y ~ z"], subset="k > 1").parts
    assert [(part.design.n, part.missing) for part in parts] == [(4, 2), (4, 2)]


def test_parts_without_a_common_row_are_refused(frame):
    frame["x"], frame["z"] = frame["x"].where(frame["k"] < 4), frame["z"].where(frame["k"] > 4)
    with pytest.raises(DataError, match="No row is complete in all parts"):
        together(frame, ["y ~ x", "y ~ z"])
