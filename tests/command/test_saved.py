"""`predict` and `summary` of a saved fit."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

import torchglm
from torchglm import glm


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_the_summary_of_a_saved_fit(run, saved):
    fit = torchglm.load(saved)
    assert run("summary", "fit.tglm").out == str(fit.summary()) + "\n"
    assert run("summary", "fit.tglm", "--format", "md").out.rstrip() == fit.summary().as_markdown().rstrip()
    pd.testing.assert_frame_equal(
        read(run("summary", "fit.tglm", "--tidy", "-").out), fit.tidy(conf_int=True), rtol=1e-14
    )


@pytest.mark.parametrize(
    "options, arguments",
    [
        ([], {}),
        (["--kind", "link", "--se"], {"scale": "link", "se": True}),
        (["--interval", "prediction", "--level", "0.8"], {"interval": "prediction", "level": 0.8}),
    ],
    ids=["means", "link", "interval"],
)
def test_predictions_are_those_of_the_fit(run, saved, csv, frame, options, arguments):
    done = run("predict", "fit.tglm", csv, *options)
    expected = torchglm.load(saved).predict(frame, **arguments)
    expected = expected.to_frame("predicted") if isinstance(expected, pd.Series) else expected
    assert (done.status, done.err) == (0, "")
    pd.testing.assert_frame_equal(read(done.out), expected, rtol=1e-14)
    assert done.out.splitlines()[1 + 5].strip(',"') == ""  # the row with a missing value has its line


def test_predictions_behind_the_data(run, saved, csv, frame):
    run("predict", "fit.tglm", csv, "--append", "--out", "out.parquet")
    expected = frame.assign(predicted=torchglm.load(saved).predict(frame))
    pd.testing.assert_frame_equal(pd.read_parquet("out.parquet"), expected)
    again = run("predict", "fit.tglm", "out.parquet", "--append")
    assert again.status == 1
    assert "'predicted' already" in again.err


def test_data_stay_as_they_are_written(run, saved, tmp_path):
    lines = ["zip,x,g,e,price,id,note", '01234,0.50,"a, b",1,1.10,9007199254740993,NA', "00001,,c,1.0,2,,"]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    done = run("predict", "fit.tglm", "new.csv", "--append")
    predicted = [str(torchglm.load(saved).predict(pd.read_csv("new.csv"))[0]), ""]
    assert (done.status, done.err) == (0, "")
    wanted = [",".join(both) for both in zip(lines, ["predicted", *predicted], strict=True)]
    assert done.out.splitlines() == wanted
    gz = tmp_path / "new.csv.gz"
    pd.read_csv("new.csv", dtype=str, keep_default_na=False).to_csv(gz, index=False)
    assert run("predict", "fit.tglm", "new.csv.gz", "--append").out == done.out
    os.mkfifo("pipe.csv")
    writer = threading.Thread(target=lambda: Path("pipe.csv").write_text("\n".join(lines) + "\n"))
    writer.start()
    assert run("predict", "fit.tglm", "pipe.csv", "--append").out == done.out
    writer.join()


def test_predictions_are_not_written_over_the_data(run, saved, csv):
    before = Path(csv).read_text()
    done = run("predict", "fit.tglm", csv, "--append", "--out", f"./{csv}")
    assert (done.status, done.out) == (2, "")
    assert "--out would write over the data" in done.err
    assert Path(csv).read_text() == before


def test_predictions_for_parquet(run, saved, csv, frame):
    frame.to_parquet("new.parquet")
    expected = run("predict", "fit.tglm", csv)
    assert run("predict", "fit.tglm", "new.parquet") == expected
    Path("parts").mkdir()
    for k, part in enumerate((frame[:50], frame[50:])):
        part.to_parquet(f"parts/{k}.parquet", index=False)
    assert run("predict", "fit.tglm", "parts/*.parquet") == run("predict", "fit.tglm", "parts") == expected
    assert "No file matches 'none/*.parquet'" in run("predict", "fit.tglm", "none/*.parquet").err


def test_a_kind_that_there_is_not(run, saved, csv):
    done = run("predict", "fit.tglm", csv, "--kind", "bogus")
    assert done.status == 2
    assert "--kind of this fit is response or link; got 'bogus'" in done.err


def test_new_levels(run, saved, frame):
    frame.assign(g="z").to_csv("new.csv", index=False)
    refused = run("predict", "fit.tglm", "new.csv")
    assert refused.status == 1
    assert refused.out == ""
    assert "'z'" in refused.err
    assert read(run("predict", "fit.tglm", "new.csv", "--new-levels", "nan").out)["predicted"].isna().all()


def test_classes(run, csv, frame):
    run("fit", "rating ~ x", csv, "--model", "multinomial", "--out", "classes.tglm")
    fit = torchglm.multinomial("rating ~ x", frame)
    found = read(run("predict", "classes.tglm", csv, "--kind", "probabilities", "--se").out)
    assert list(found) == [f"{what}.{level}" for what in ("predicted", "se") for level in ("low", "mid", "top")]
    expected = fit.predict(frame, "probabilities", se=True).to_numpy()
    assert found.to_numpy() == pytest.approx(expected, rel=1e-12, nan_ok=True)
    classes = read(run("predict", "classes.tglm", csv, "--kind", "class").out)["predicted"]
    assert classes.dropna().tolist() == fit.predict(frame, "class").dropna().astype(str).tolist()
    assert run("predict", "classes.tglm", csv, "--interval", "confidence").status == 2


def test_a_fit_of_the_library_serves_too(run, csv, frame, tmp_path):
    glm("y ~ x", frame).save(tmp_path / "own.fit")
    assert run("summary", "own.fit").out == str(glm("y ~ x", frame).summary()) + "\n"
