"""Frames of a function, queries of DuckDB and polars, datasets: how they are read, and what they do wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm, stream
from torchglm.errors import DataError

FRAME = pd.DataFrame({"y": [1.0, 2.0, 4.0] * 20, "x": np.arange(60.0), "text": ["1"] * 59 + ["b"]})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: None, "returned NoneType, not an iterable of frames"),
        (lambda: 5, "returned int, not an iterable of frames"),
        (lambda: FRAME, r"returned DataFrame, .* Of one frame it is \[frame\]"),
        (lambda: [5], "data must be .*; got int"),
        (lambda frame: [frame], "is called without arguments: missing a required argument: 'frame'"),
    ],
)
def test_functions_that_make_no_frames(make, message):
    with pytest.raises(DataError, match=message):
        glm("y ~ x", make)


def test_errors_of_duckdb(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        database.register("t", FRAME)
        with pytest.raises(DataError, match="The DuckDB relation cannot be read: ConversionException"):
            glm("y ~ x", database.sql("SELECT y, text::INT AS x FROM t"))
        FRAME.to_parquet(tmp_path / "gone.parquet")
        gone = database.sql(f"SELECT * FROM '{tmp_path}/gone.parquet'")
        (tmp_path / "gone.parquet").unlink()
        with pytest.raises(DataError, match="The DuckDB relation cannot be read: IOException"):
            stream(gone)


def test_errors_of_polars(tmp_path):
    pl = pytest.importorskip("polars")
    lazy = pl.LazyFrame(FRAME)
    for bad in (pl.col("none").alias("x"), pl.col("text").cast(pl.Int64).alias("x")):
        with pytest.raises(
            DataError, match=r"The polars LazyFrame cannot be read: (ColumnNotFound|InvalidOperation)Error"
        ):
            glm("y ~ x", lazy.select("y", bad))
    FRAME.to_parquet(tmp_path / "gone.parquet")
    gone = pl.scan_parquet(tmp_path / "gone.parquet")
    (tmp_path / "gone.parquet").unlink()
    with pytest.raises(DataError, match="The polars LazyFrame cannot be read"):
        stream(gone)
