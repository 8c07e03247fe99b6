"""`fit` is the function of the library, with the options as arguments."""

from __future__ import annotations

import gzip
import io
import sys

import pandas as pd
import pytest

import torchglm
from torchglm import glm


def test_the_summary_is_printed_and_nothing_else(run, csv, frame):
    done = run("fit", "y ~ x + g", csv, "--family", "poisson", "--exposure", "e")
    fit = glm("y ~ x + g", frame, "poisson", exposure="e")
    assert (done.status, done.err) == (0, "")
    assert done.out == str(fit.summary()) + "\n"


OPTIONS = [
    (["--family", "binomial", "--link", "probit"], {"family": "binomial", "link": "probit"}, "{y > 1} ~ x"),
    (["--family", "poisson", "--cov", "HC3"], {"family": "poisson", "covariance": "HC3"}, "y ~ x"),
    (["--family", "poisson", "--cluster", "firm"], {"family": "poisson", "cluster": "firm"}, "y ~ x"),
    (["--cluster", "firm", "--cluster", "g"], {"cluster": ["firm", "g"]}, "y ~ x"),
    (["--family", "quasipoisson", "--offset", "log(e)"], {"family": "quasipoisson", "offset": "log(e)"}, "y ~ x"),
    (["--family", "poisson", "--freq-weights", "w"], {"family": "poisson", "freq_weights": "w"}, "y ~ x"),
    (["--prob-weights", "w + 1", "--dispersion", "2.5"], {"prob_weights": "w + 1", "dispersion": 2.5}, "y ~ x"),
    (["--family", "poisson", "--penalty", "firth"], {"family": "poisson", "penalty": "firth"}, "y ~ x"),
    (["--subset", "firm > 3", "--dispersion", "deviance"], {"subset": "firm > 3", "dispersion": "deviance"}, "y ~ x"),
    (["--solver", "lbfgs", "--tolerance", "1e-6"], {"solver": "lbfgs", "tolerance": 1e-6}, "y ~ x"),
    (["--device", "cpu", "--dtype", "float32"], {"device": "cpu", "dtype": "float32"}, "y ~ x"),
]


@pytest.mark.parametrize("options, arguments, formula", OPTIONS, ids=str)
def test_options_are_the_arguments_of_that_name(run, csv, frame, options, arguments, formula):
    done = run("fit", formula, csv, *options)
    assert (done.status, done.err) == (0, "")
    assert done.out == str(glm(formula, frame, **arguments).summary()) + "\n"


def test_names_take_options_of_their_own(run, csv, frame):
    done = run("fit", "y ~ x", csv, "--family", "tweedie(power=1.4, link='log')", "--cov", "HAC(lag=2)")
    family = torchglm.families.Tweedie(power=1.4, link="log")
    fit = glm("y ~ x", frame, family, covariance=torchglm.covariances.HAC(lag=2))
    assert (done.status, done.out) == (0, str(fit.summary()) + "\n")


MODELS = [
    ("ordinal", "C(rating, levels=['low', 'mid', 'top']) ~ x", [], {}),
    ("multinomial", "rating ~ x", ["--base", "mid"], {"base": "mid"}),
    ("negative_binomial", "y ~ x", ["--kind", "NB1"], {"kind": "NB1"}),
    ("zero_inflated", "y ~ x | 1", [], {}),
    ("hurdle", "y ~ x | 1", ["--count", "negative_binomial"], {"count": "negative_binomial"}),
]


@pytest.mark.filterwarnings("ignore::torchglm.errors.BoundaryWarning")
@pytest.mark.parametrize("model, formula, options, arguments", MODELS, ids=lambda value: str(value)[:20])
def test_other_models(run, csv, frame, model, formula, options, arguments):
    done = run("fit", formula, csv, "--model", model, *options)
    assert done.status == 0
    assert done.out == str(getattr(torchglm, model)(formula, frame, **arguments).summary()) + "\n"


@pytest.mark.parametrize("name", ["data.csv.gz", "data.tsv", "data.parquet"])
def test_kinds_of_files(run, csv, frame, name):
    if name.endswith("parquet"):
        frame.to_parquet(name)
    else:
        frame.to_csv(name, index=False, sep="\t" if "tsv" in name else ",")
    assert run("fit", "y ~ x + g", name) == run("fit", "y ~ x + g", csv)


def test_standard_input_is_csv(run, csv, frame, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(frame.to_csv(index=False).encode())))
    assert run("fit", "y ~ x + g", "-") == run("fit", "y ~ x + g", csv)


@pytest.mark.parametrize(
    "form, method", [("text", "as_text"), ("md", "as_markdown"), ("html", "as_html"), ("latex", "as_latex")]
)
def test_forms_of_the_summary(run, csv, frame, form, method):
    done = run("fit", "y ~ x", csv, "--summary", form, "--exponentiate", "--level", "0.9")
    page = glm("y ~ x", frame).summary(exponentiate=True, level=0.9)
    assert done.out.rstrip("\n") == getattr(page, method)().rstrip("\n")


def test_tables(run, csv, frame, tmp_path):
    fit = glm("y ~ x + g", frame, "poisson")
    done = run("fit", "y ~ x + g", csv, "--family", "poisson", "--tidy", "-", "--glance", "facts.parquet")
    assert done.err == ""
    read = pd.read_csv(io.StringIO(done.out))  # no summary among the rows
    pd.testing.assert_frame_equal(read, fit.tidy(conf_int=True), rtol=1e-14)
    pd.testing.assert_frame_equal(pd.read_parquet("facts.parquet"), fit.glance())
    assert run("fit", "y ~ x", csv, "--summary", "none", "--tidy", "table.csv.gz").out == ""
    with gzip.open("table.csv.gz", "rt") as file:
        assert file.readline().startswith("term,estimate")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "facts.parquet", "table.csv.gz"]


def test_a_model_a_group(run, csv, frame):
    fits = glm("y ~ x", frame, "poisson", by="g")
    done = run("fit", "y ~ x", csv, "--family", "poisson", "--by", "g")
    assert (done.status, done.err) == (0, "")
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(done.out)), fits.tidy(), rtol=1e-12)
    assert run("fit", "y ~ x", csv, "--by", "g", "--glance", "facts.csv").out == ""
    assert len(pd.read_csv("facts.csv")) == 3
    assert run("fit", "y ~ x", csv, "--by", "g", "--out", "fit.tglm").status == 2


def test_data_read_piece_by_piece(run, csv, frame):
    frame.to_parquet("data.parquet")
    done = run("fit", "y ~ x + g", "data.parquet", "--memory-limit", "200 MB", "--tidy", "-")
    assert (done.status, done.err) == (0, "")
    expected = glm("y ~ x + g", frame).tidy(conf_int=True)
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(done.out)), expected, rtol=1e-9)


def test_a_formula_sees_the_data_and_no_variable_of_the_program(run, csv):
    for name in ("asked", "arguments", "torchglm", "sys", "frame"):
        done = run("fit", f"y ~ {name}", csv)
        assert done.status == 1
        assert f"{name!r} is neither a column" in done.err
