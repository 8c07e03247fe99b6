"""Frames of a function, queries of DuckDB and polars, datasets: how they are read, and what they do wrong."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from torchglm import glm, stream
from torchglm.design.streams.readers import scan_options
from torchglm.errors import DataError
from torchglm.numerics.ranks import Ranks

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


def test_the_callers_code_runs_in_the_callers_thread():
    threads = set()

    def make():
        for k in range(0, 60, 20):
            threads.add(threading.current_thread())
            yield FRAME[k : k + 20]

    assert glm("y ~ x + text", make).nobs == 60
    assert threads == {threading.current_thread()}


def test_a_pass_that_is_left_early_is_closed(tmp_path):
    FRAME.to_parquet(tmp_path / "0.parquet", row_group_size=10)
    data, before = stream(tmp_path, memory_limit="1 MB").stream, threading.active_count()
    with closing(data.pieces(["x"])) as pieces:
        assert next(pieces).rows == 60
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert data.head(["x"]).rows == 60
    assert threading.active_count() == before


def test_a_file_that_is_given_twice_is_read_twice(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, part in zip(paths, (FRAME[:40], FRAME[40:].assign(x=7.0)), strict=True):
        part.to_parquet(path, row_group_size=9)
    frame = pd.concat([pd.read_parquet(paths[k]) for k in (0, 1, 0)], ignore_index=True)
    data = stream([paths[0], paths[1], paths[0]], memory_limit="1 MB")
    assert data.column("x").equals(frame["x"])
    one, other = (glm("y ~ scale(x)", each, subset="y < 3", cluster="x // 5") for each in (frame, data))
    assert np.allclose(one.params, other.params, rtol=1e-12)
    assert np.allclose(one.bse, other.bse, rtol=1e-12)
    assert np.array_equal(one.fittedvalues, other.fittedvalues, equal_nan=True)
    shares = [data.stream.share(Ranks(rank, 3)) for rank in range(3)]
    parts = [piece.column("x") for share in shares for piece in share.pieces(["x"])]
    assert np.array_equal(np.concatenate(parts), frame["x"])


def test_a_dataset_of_local_parquet_files_is_not_read_ahead(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    local = pads.dataset(tmp_path / "a.parquet")
    assert scan_options(local)["fragment_scan_options"].pre_buffer is False
    own = pads.ParquetFileFormat(default_fragment_scan_options=pads.ParquetFragmentScanOptions(buffer_size=4096))
    others = {
        "options of its own": pads.dataset(tmp_path / "a.parquet", format=own),
        "csv": pads.dataset(tmp_path / "a.csv", format="csv"),
        "in memory": pads.dataset([pa.Table.from_pandas(FRAME)]),
        "union": pads.dataset([local, pads.dataset(tmp_path / "a.parquet")]),
    }
    expected = glm("y ~ x", FRAME).params
    for name, dataset in others.items():
        assert scan_options(dataset) == {}, name
        times = 2 if name == "union" else 1
        assert stream(dataset).rows == 60 * times
        pd.testing.assert_series_equal(glm("y ~ x", dataset).params, expected, rtol=1e-9)
