"""What a table of fits can be asked for: rows, columns, covariances; and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import torchglm
from torchglm import glm
from torchglm.errors import OptionError, UnknownNameError
from torchglm.report.compare import side_by_side
from torchglm.report.compare_rows import merged, selected


@pytest.mark.parametrize(
    "orders, rows",
    [
        (["Iab", "Iabc"], "Iabc"),
        (["Iac", "Iabc"], "Iabc"),
        (["Ib", "Iab", "Ic"], "Iabc"),
        (["ab", "Ia"], "Iab"),
        (["Iad", "Ibcd", "Ide"], "Iabcde"),
        (["ba", "ab"], "ba"),
    ],
)
def test_rows_keep_the_order_of_the_formulas(orders, rows):
    lists = [["Intercept" if c == "I" else c for c in order] for order in [*orders, rows]]
    assert merged(lists[:-1]) == lists[-1]


def test_keep_and_drop(fits):
    names = ["Intercept", "District[T.D2]", "District[T.D3]", "Age[T.>35]"]
    assert selected(names, "District[T.D2]", None) == ["District[T.D2]"]
    assert selected(names, "^Dist", None) == names[1:3]
    assert selected(names, ["Age", r"D\d"], "D2") == ["Age[T.>35]", "District[T.D3]"]
    assert list(side_by_side(fits, drop=["Intercept", "Age"]).frame.index) == [*names[1:3], "District[T.D4]"]


def test_labels_rename_and_bring_rows_together(claims):
    plain = glm("Claims ~ Holders", claims, family="poisson")
    logs = glm("Claims ~ log(Holders)", claims, family="poisson")
    labels = {"Holders": "Size", "log(Holders)": "Size", "Intercept": "Constant", "unused": "x"}
    comparison = side_by_side([plain, logs], labels=labels)
    assert list(comparison.frame.index) == ["Constant", "Size"]
    assert comparison.frame["(1)"].loc["Size", "estimate"] == plain.params["Holders"]
    assert comparison.frame["(2)"].loc["Size", "estimate"] == logs.params["log(Holders)"]
    with pytest.raises(OptionError, match=r"'Size' to Intercept and Holders, and \(1\) has them both"):
        side_by_side([plain], labels={"Intercept": "Size", "Holders": "Size"})


def test_names_are_given_or_keys_or_numbers(fits):
    assert side_by_side(fits[:2]).names == ("(1)", "(2)")
    assert side_by_side(fits[:2], names=["A", "B"]).names == ("A", "B")
    assert side_by_side({"A": fits[0], "B": fits[1]}).names == ("A", "B")
    assert side_by_side(fit for fit in fits).names == ("(1)", "(2)", "(3)")


def test_a_loaded_fit_has_its_saved_covariance(fits, tmp_path):
    fits[1].with_covariance("HC1").save(tmp_path / "fit")
    loaded = torchglm.load(tmp_path / "fit")
    fresh = side_by_side([fits[1], fits[1]], covariance=["model", "HC1"])
    mixed = side_by_side([fits[1], loaded], covariance=["model", None])
    assert str(mixed) == str(fresh)
    with pytest.raises(OptionError, match="loaded without its data") as raised:
        side_by_side([fits[1], loaded], covariance="HC0")
    assert raised.value.__notes__ == ["This was asked of the column '(2)' by covariance='HC0'."]


def test_clusters_go_to_the_clustered_columns(fits, in_r):
    mixed = side_by_side([fits[1]] * 4, covariance=["model", "cluster", None, "CR0"], cluster="Group")
    errors = [mixed.frame[(name, "std.error")] for name in mixed.names]
    wanted = [in_r[1]["std.error"], in_r[1]["cluster"], in_r[1]["std.error"]]
    wanted.append([error * (3 / 4) ** 0.5 for error in in_r[1]["cluster"]])  # less G / (G - 1) of four groups
    np.testing.assert_allclose(errors, wanted, rtol=1e-7)
    assert list(mixed.facts.loc["Covariance"]) == [
        "model-based",
        "clustered by Group",
        "model-based",
        "CR0 clustered by Group",
    ]
    assert any("clustered by Group (4 clusters)" in note for note in mixed.notes)


@pytest.mark.parametrize("covariance", [None, "cluster", torchglm.covariances.Cluster()])
def test_clusters_by_themselves_ask_for_their_sandwich(fits, in_r, covariance):
    frame = side_by_side(fits[1:2], covariance=covariance, cluster="Group").frame
    np.testing.assert_allclose(frame["(1)"]["std.error"], in_r[1]["cluster"], rtol=1e-7)


@pytest.mark.parametrize(
    "asked, error, words",
    [
        ({"names": ["a"]}, OptionError, "names= has one value a fit: 2 fits, 1 values"),
        ({"names": "ab"}, OptionError, "names= has one value a fit"),
        ({"names": ["a", "a"]}, OptionError, "'a' stands there twice"),
        ({"names": ["a", 2]}, OptionError, "names= are text, one a fit; got 2"),
        ({"statistic": "ste"}, UnknownNameError, "no statistic 'ste'. Did you mean 'se'"),
        ({"covariance": ["HC0"]}, OptionError, "covariance= has one value a fit: 2 fits, 1 values"),
        ({"covariance": "HC9"}, UnknownNameError, "HC9"),
        ({"covariance": ["model", "HC1"], "cluster": "Group"}, OptionError, "has nothing clustered"),
        ({"covariance": "HC1", "cluster": "Group"}, OptionError, "has no use for cluster="),
        ({"exponentiate": [True]}, OptionError, "exponentiate= has one value a fit"),
        ({"exponentiate": "yes"}, OptionError, "exponentiate= is True or False"),
        ({"level": 95}, OptionError, "level= lies between 0 and 1"),
        ({"keep": "Distrct"}, UnknownNameError, "keep='Distrct' finds no coefficient"),
        ({"keep": "["}, OptionError, "no regular expression"),
        ({"drop": [1]}, OptionError, "drop= takes names or regular expressions"),
        ({"drop": "."}, OptionError, "leave no coefficient to show"),
        ({"labels": ["a"]}, OptionError, "labels= is a dictionary"),
        ({"facts": ["nob"]}, UnknownNameError, "no fact 'nob' to show. Did you mean 'nobs'"),
        ({"facts": "nobs"}, OptionError, "facts= is a list of names"),
        ({"facts": [3]}, OptionError, "a name or a function of a fit; got 3"),
    ],
)
def test_bad_options(fits, asked, error, words):
    with pytest.raises(error, match=words):
        side_by_side(fits[:2], **asked)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda fit: [], "the list is empty"),
        (lambda fit: fit, "takes a list of fits, as .*; got Fit"),
        (lambda fit: 3, "takes a list of fits"),
        (lambda fit: [fit, fit.params], "number 2 of 2 is Series"),
        (lambda fit: [fit, torchglm.Fit], "number 2 of 2 is type"),
        (lambda fit: [fit.summary()], "number 1 of 1 is Summary"),
    ],
)
def test_what_is_no_fit(fits, make, words):
    with pytest.raises(OptionError, match=words):
        side_by_side(make(fits[0]))
