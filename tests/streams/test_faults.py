"""What can go wrong with data on disk: nothing wrong is returned, and nothing is left behind."""

from __future__ import annotations

import errno
import os
import threading

import numpy as np
import pandas as pd
import pytest
import torch

import torchglm
from torchglm import glm, stream
from torchglm.design.streams import spool
from torchglm.design.streams.stream import Stream
from torchglm.errors import DataError, LevelError, OptionError, UnknownNameError, WeightError

pq = pytest.importorskip("pyarrow.parquet")


def write(folder, *frames):
    for k, frame in enumerate(frames):
        frame.to_parquet(folder / f"{k}.parquet", row_group_size=200, index=False)
    return folder


def part(rows=500, seed=0, **columns):
    rng = np.random.default_rng(seed)
    made = {"y": rng.poisson(2.0, rows), "x": rng.normal(size=rows), "g": rng.choice(["a", "b"], rows)}
    return pd.DataFrame(made | columns)


def fitted(data, formula="y ~ x + g", **options):
    return glm(formula, data, "poisson", memory_limit="1 MB", **options)


def test_a_truncated_file(tmp_path):
    write(tmp_path, part(), part())
    path = tmp_path / "1.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"1\.parquet' is not a Parquet file, or is damaged"):
        fitted(tmp_path)


def test_a_file_damaged_inside(tmp_path):
    write(tmp_path, part(rows=5_000))
    path = tmp_path / "0.parquet"
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(1).data_page_offset
    data[place : place + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        fitted(tmp_path)


@pytest.mark.parametrize(
    "other, message",
    [
        (part().rename(columns={"x": "z"}), "has no column 'x', which"),
        (part(x=["text"] * 500), "column 'x' is .*string in .* and double"),
    ],
)
def test_a_file_with_another_schema(tmp_path, other, message):
    with pytest.raises(DataError, match=message):
        fitted(write(tmp_path, part(), other))


@pytest.mark.parametrize("inside", ["_temporary/0", ".ipynb_checkpoints", "_delta_log", "."])
def test_names_that_begin_with_an_underscore_or_a_point_are_no_data(tmp_path, inside):
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    write(tmp_path, part())
    part(seed=1).to_parquet(tmp_path / inside / ("_0.parquet" if inside == "." else "0.parquet"))
    assert fitted(tmp_path).nobs == 500


def test_values_of_a_column_in_names_are_refused(tmp_path):
    dataset = pytest.importorskip("pyarrow.dataset").dataset
    frame = part().assign(k=np.arange(500) % 2)
    frame.to_parquet(tmp_path, partition_cols=["k"])
    with pytest.raises(DataError, match=r"Names like 'k=0' in .* partitioning='hive'"):
        fitted(tmp_path)
    fit = fitted(dataset(tmp_path, partitioning="hive"), "y ~ x + k")
    assert np.allclose(fit.params, glm("y ~ x + k", frame, "poisson").params, rtol=1e-12)
    assert fitted(str(tmp_path / "**" / "*.parquet"), "y ~ x").nobs == 500


def test_numbers_may_differ_in_width(tmp_path):
    whole, floats = part(x=np.arange(500) % 7), part(seed=1)
    both = pd.concat([whole, floats])
    fit = fitted(write(tmp_path, whole, floats))
    assert np.allclose(fit.params, glm("y ~ x + g", both, "poisson").params, rtol=1e-12)


def test_a_level_only_in_the_last_file(tmp_path):
    frames = [part(), part(seed=1), part(seed=2, g=["zz"] * 500)]
    one, other = glm("y ~ x + g", pd.concat(frames), "poisson"), fitted(write(tmp_path, *frames))
    assert "g[T.zz]" in other.params
    assert np.allclose(one.params, other.params, rtol=1e-12)
    assert list(one.params.index) == list(other.params.index)


def test_categories_keep_their_order_in_streams_of_every_kind(tmp_path):
    sizes = pd.Categorical(["small", "large", "huge", "large"] * 125, ["small", "large", "huge"])
    frames = [part(g=sizes), part(seed=1, g=sizes)]
    data = write(tmp_path, *frames)
    dataset = pytest.importorskip("pyarrow.dataset").dataset(data)
    one = glm("y ~ x + g", pd.concat(frames), "poisson")
    for other in (fitted(data), fitted(dataset), fitted(lambda: iter(frames)), glm("y ~ x + g", dataset.to_table())):
        assert list(other.params.index) == list(one.params.index)
        assert [name for name in other.params.index if name.startswith("g")] == ["g[T.large]", "g[T.huge]"]


@pytest.mark.parametrize("kind", ["files", "frames"])
def test_ordered_categories_in_two_orders(tmp_path, kind):
    sizes = [pd.Categorical(list(order[-2:]) * 250, list(order), ordered=True) for order in ("sml", "lms", "ml")]
    frames = [part(seed=k, g=size) for k, size in enumerate(sizes)]
    data = write(tmp_path, *frames[:2]) if kind == "files" else lambda: iter(frames[:2])
    with pytest.raises(
        DataError, match=r"'g' has the ordered categories .*'s', 'm', 'l'.*'l', 'm', 's'.*C\(g, levels="
    ):
        fitted(data)
    declared = fitted(data, "y ~ x + C(g, levels=['m', 's', 'l'])")
    whole = pd.concat([frame.assign(g=frame["g"].astype(str)) for frame in frames[:2]])
    assert np.allclose(
        declared.params, glm("y ~ x + C(g, levels=['m', 's', 'l'])", whole, "poisson").params, rtol=1e-12
    )
    assert "g[T.l]" in fitted(lambda: iter([frames[0], frames[2]])).params  # some of them, in the same order


@pytest.mark.parametrize("kind", ["files", "frames"])
def test_categories_in_one_piece_and_text_in_the_next(tmp_path, kind):
    frames = [part(g=pd.Categorical(["b", "a"] * 250, ["b", "a"])), part(seed=1, g=["a", "new"] * 250)]
    data = write(tmp_path, *frames) if kind == "files" else lambda: iter(frames)
    one, other = glm("y ~ x + g", pd.concat(frames), "poisson"), fitted(data)
    assert list(one.params.index) == list(other.params.index)
    assert np.allclose(one.params, other.params, rtol=1e-12)


@pytest.mark.parametrize("kind", ["files", "dataset", "frames"])
@pytest.mark.parametrize("formula, options", [("y ~ x + g", {}), ("y ~ x + C(g)", {}), ("y ~ x", {"cluster": "g"})])
def test_text_that_is_missing_in_a_whole_file(tmp_path, kind, formula, options):
    frames = [part(), part(seed=1).assign(g=pd.array([None] * 500, dtype="string"))]
    whole, files = pd.concat(frames), write(tmp_path, *frames)
    dataset = pytest.importorskip("pyarrow.dataset").dataset
    data = {"files": files, "dataset": dataset(files), "frames": lambda: frames}[kind]
    one, other = glm(formula, whole, "poisson", **options), fitted(data, formula, **options)
    assert np.allclose(one.params, other.params, rtol=1e-12)
    assert (one.nobs, one.rows_dropped) == (other.nobs, other.rows_dropped)


def test_integers_that_may_be_missing_name_levels_as_in_memory(tmp_path):
    whole = part(k=pd.array([1, 2, 3, None] * 125, "Int64"))
    data = write(tmp_path, whole)
    one, other = glm("y ~ C(k)", whole, "poisson"), fitted(data, "y ~ C(k)")
    assert list(one.params.index) == list(other.params.index) == ["Intercept", "C(k)[T.2]", "C(k)[T.3]"]
    assert np.allclose(one.params, other.params, rtol=1e-12)
    for table in (pq.read_table(data / "0.parquet"), pytest.importorskip("pyarrow.dataset").dataset(data)):
        assert list(glm("y ~ C(k)", table, "poisson").params.index) == list(one.params.index)


def test_a_level_only_in_rows_that_are_dropped(tmp_path):
    last = part(seed=1)
    last["g"] = last["g"].where(last.index != 7, "rare")
    last.loc[7, "x"] = np.nan
    one, other = glm("y ~ x + g", pd.concat([part(), last]), "poisson"), fitted(write(tmp_path, part(), last))
    assert "g[T.rare]" not in other.params
    assert np.allclose(one.params, other.params, rtol=1e-12)


def test_a_transform_learns_from_the_rows_used(tmp_path):
    last = part(seed=1)
    last.loc[[7, 450], "g"] = None
    last.loc[9, "y"] = -1
    frames = [part(), last]
    options = {"formula": "y ~ scale(x) + g", "subset": "y >= 0"}
    one = glm(options["formula"], pd.concat(frames), "poisson", subset=options["subset"])
    other = fitted(write(tmp_path, *frames), **options)
    assert np.allclose(one.params, other.params, rtol=1e-12)
    assert (one.nobs, one.rows_dropped) == (other.nobs, other.rows_dropped)


@pytest.mark.parametrize("lost", [150, 3], ids=["the first piece", "a part of it"])
def test_a_spline_needs_no_row_that_is_not_used(lost):
    whole = pd.concat([part(rows=150), part(seed=1)], ignore_index=True)
    whole["x"], whole["z"] = np.linspace(5.0, 0.0, len(whole)), np.random.default_rng(2).normal(size=len(whole))
    whole.loc[: lost - 1, "z"] = np.nan
    one = glm("y ~ bs(x, df=4) + z", whole, "poisson")
    other = glm("y ~ bs(x, df=4) + z", lambda: [whole.iloc[:150], whole.iloc[150:]], "poisson")
    assert np.allclose(one.params, other.params, rtol=1e-12)
    assert one.rows_dropped == other.rows_dropped > 0


def test_missing_values_only_in_the_last_block(tmp_path):
    last = part(seed=1)
    last.loc[499, "x"] = np.nan
    assert fitted(write(tmp_path, part(), last)).rows_dropped == 1
    with pytest.raises(DataError, match="the first in 'x' at row 999"):
        fitted(tmp_path, missing="raise")


def test_an_infinite_value_in_the_last_block(tmp_path):
    last = part(seed=1)
    last.loc[499, "x"] = np.inf
    with pytest.raises(DataError, match=r"'x' is infinite .* in row 999"):
        fitted(write(tmp_path, part(), last))


def test_a_negative_weight_in_the_last_block(tmp_path):
    with pytest.raises(WeightError, match=r"weights=w is -1\.0 in row 999"):
        fitted(write(tmp_path, part(w=1.0), part(w=[1.0] * 499 + [-1.0])), weights="w")


def test_the_disk_has_no_room(tmp_path, monkeypatch):
    write(tmp_path, part())
    full = os.statvfs(tmp_path)
    small = os.statvfs_result([*full[:4], 1, *full[5:]])
    monkeypatch.setattr(spool.os, "statvfs", lambda path: small)
    with pytest.raises(DataError, match=r"needs .* GB in .* Name a directory on a larger disk: cache="):
        fitted(tmp_path)


@pytest.mark.parametrize("call", ["pwrite", "ftruncate"])
@pytest.mark.parametrize("number, message", [(errno.ENOSPC, "larger disk: cache="), (errno.EFBIG, "ulimit -f")])
def test_the_disk_fills_up(tmp_path, monkeypatch, call, number, message):
    write(tmp_path, part())

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(spool.os, call, refuse)
    with pytest.raises(DataError, match=message):
        fitted(tmp_path)


def test_the_cache_may_be_larger_than_memory(tmp_path):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with spool.Spool(tmp_path, memory) as made:  # rows of 8 bytes, in a file full of holes
        made.add("x", torch.float64)
        made.write({"x": torch.arange(5.0)}, 5)
        tensors, pages = made.finish()
    assert tensors["x"].tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0]]
    pages.release()
    assert tensors["x"].tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0]]


def test_a_file_that_changes_between_passes(tmp_path, monkeypatch):
    write(tmp_path, part(), part())
    data = stream(tmp_path, memory_limit="1 MB")
    pieces, passes = Stream.pieces, []

    def changing(self, names, plain=()):
        yield from pieces(self, names, plain)
        if len(passes) == 0:
            part(seed=5).to_parquet(tmp_path / "1.parquet")
        passes.append(names)

    monkeypatch.setattr(Stream, "pieces", changing)
    with pytest.raises(DataError, match=r"1\.parquet' has changed since it was opened"):
        glm("y ~ x + g", data, "poisson")


def test_frames_that_change_between_passes():
    calls = []

    def make():
        calls.append(0)
        return iter([part(), part(rows=500 - len(calls))])

    with pytest.raises(DataError, match=r"gave 99. rows where it had 999 before"):
        glm("y ~ x + g", make, "poisson")


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    data = write(tmp_path, part(), part())
    cache = tmp_path / "cache"
    cache.mkdir()
    written = spool.Spool.write

    def interrupted(self, columns, rows):
        written(self, columns, rows)
        assert list(cache.iterdir()) == []  # the file has no name: a kill leaves nothing either
        raise KeyboardInterrupt

    monkeypatch.setattr(spool.Spool, "write", interrupted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        fitted(data, cache=cache)
    assert list(cache.iterdir()) == []
    assert threading.active_count() == before


def test_an_error_of_the_readers_thread_is_raised(tmp_path):
    frames = [part(), part().drop(columns="x")]
    with pytest.raises(DataError, match="Frame 1 has no column 'x'"):
        glm("y ~ x + g", lambda: frames, "poisson")


def test_one_level_is_refused(tmp_path):
    with pytest.raises(LevelError, match="'g' has one level only"):
        fitted(write(tmp_path, part(g="a"), part(g="a")))


def test_no_complete_row(tmp_path):
    with pytest.raises(DataError, match=r"No row is complete: every row has a missing value in 'x' \(500 rows\)"):
        fitted(write(tmp_path, part(x=np.nan)))
    with pytest.raises(DataError, match="subset= leaves none of the 500 rows"):
        fitted(tmp_path, "y ~ g", subset="y > 1000")


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"memory_limit": "much"}, OptionError, 'memory_limit= is bytes, .* or text as "512 MB"'),
        ({"memory_limit": 10}, OptionError, "a million at least"),
        ({"memory_limit": "1.2.3 MB"}, OptionError, r"got '1\.2\.3 MB'"),
        ({"memory_limit": ". MB"}, OptionError, r"got '\. MB'"),
        ({"memory_limit": float("inf")}, OptionError, "got inf"),
        ({"cache": "/no/such/directory"}, OptionError, "cache= is a directory that is there"),
        ({"cache": 5}, OptionError, "cache= is a directory that is there; got 5"),
    ],
)
def test_options_of_a_stream(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        glm("y ~ x", write(tmp_path, part()), "poisson", **options)


def test_what_is_no_stream(tmp_path):
    with pytest.raises(DataError, match="is in memory already"):
        stream(part())
    with pytest.raises(DataError, match="No file matches"):
        stream(str(tmp_path / "*.parquet"))
    with pytest.raises(DataError, match="holds no Parquet file"):
        stream(tmp_path)
    with pytest.raises(DataError, match="data is an empty path"):
        stream("")
    with pytest.raises(DataError, match="makes no frame"):
        stream(lambda: [])
    with pytest.raises(DataError, match="data must be"):
        stream(iter([part()]))
    once = iter([part()])
    with pytest.raises(DataError, match=r"gave no row where it had 500 before\. .* a new iterator at every call"):
        glm("y ~ x", lambda: once, "poisson")
    with pytest.raises(UnknownNameError, match="neither a column of the data"):
        fitted(write(tmp_path, part()), "y ~ xx")


def test_only_the_columns_needed_are_read(tmp_path, monkeypatch):
    write(tmp_path, part(z=1.0, w=2.0))
    read, pieces = [], Stream.pieces

    def noted(self, names, plain=()):
        read.append(list(names))
        return pieces(self, names, plain)

    monkeypatch.setattr(Stream, "pieces", noted)
    fitted(tmp_path)
    assert read == [["g"], ["y", "x", "g"]]  # levels, then everything used
    read.clear()
    fitted(tmp_path, "y ~ x")
    assert read == [["y", "x"]]


def test_memory_bounds_the_pieces(tmp_path):
    data = write(tmp_path, pd.concat([part(rows=5_000, seed=k) for k in range(8)]))
    sizes = [piece.rows for piece in stream(data, memory_limit="1 MB").stream.pieces(["y", "x", "g"])]
    assert max(sizes) == 4_096
    assert sum(sizes) == 40_000


def test_predictions_for_a_stream(tmp_path):
    data = write(tmp_path, part())
    fit = glm("y ~ x + g", part(), "poisson")
    assert np.array_equal(fit.predict(str(data / "0.parquet")), fit.predict(stream(data)))
    assert isinstance(torchglm.stream(data).rows, int)
