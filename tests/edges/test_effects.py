"""Effects asked for in ways that have no answer, and tables of one level, one row, or odd names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import torchglm
from torchglm import errors, glm
from torchglm.effects import comparisons, emmeans, predictions, slopes


@pytest.fixture
def fit(data):
    return glm("y ~ x * g + log(w) + b", data, "poisson")


REFUSED = [
    (slopes, {"variables": "wx"}, errors.UnknownNameError, "no variable of the fit. Did you mean|'wx'"),
    (slopes, {"variables": "X"}, errors.UnknownNameError, "Did you mean 'x'"),
    (slopes, {"variables": "z"}, errors.UnknownNameError, "a column that the formula does not use"),
    (slopes, {"variables": "g"}, errors.OptionError, "has levels .*comparisons"),
    (slopes, {"variables": "b"}, errors.OptionError, "has levels"),
    (slopes, {"variables": []}, errors.OptionError, "a name or a list of names"),
    (slopes, {"by": "q"}, errors.UnknownNameError, "no column 'q'"),
    (slopes, {"scale": "mu"}, errors.OptionError, "scale="),
    (slopes, {"level": 95}, errors.OptionError, "level="),
    (slopes, {"weights": "x"}, errors.WeightError, "Weights are >= 0"),
    (slopes, {"offset": [1.0]}, errors.OptionError, "belongs to new rows"),
    (comparisons, {"variables": {"g": ("a", "q")}}, errors.LevelError, "no level 'q'"),
    (comparisons, {"variables": {"g": "refrence"}}, errors.OptionError, "Did you mean 'reference'"),
    (comparisons, {"variables": {"g": 1}}, errors.OptionError, "has levels"),
    (comparisons, {"variables": {"x": "range"}}, errors.OptionError, "'minmax'"),
    (comparisons, {"variables": {"x": (1, 2, 3)}}, errors.OptionError, "two values"),
    (comparisons, {"variables": {"x": np.nan}}, errors.OptionError, "finite numbers"),
    (comparisons, {"variables": {"w": -10.0}}, errors.DataError, "infinite|not defined there"),
    (comparisons, {"variables": "x", "kind": "ration"}, errors.UnknownNameError, "Did you mean 'ratio'"),
    (predictions, {"grid": {}}, errors.OptionError, "is a dict"),
    (predictions, {"grid": {"x": []}}, errors.OptionError, "no value of 'x'"),
    (predictions, {"grid": {"x": None}}, errors.OptionError, "numeric: give its values"),
    (predictions, {"grid": {"x": ["low"]}}, errors.OptionError, "finite numbers"),
    (predictions, {"grid": {"g": ["d"]}}, errors.LevelError, "no level 'd'"),
    (predictions, {"grid": {"gg": ["d"]}}, errors.UnknownNameError, "Did you mean 'g'"),
    (predictions, {"by": "g", "average": False}, errors.OptionError, "needs average=True"),
    (predictions, {"by": "g", "grid": {"g": None}}, errors.OptionError, "both name 'g'"),
    (predictions, {"grid": {"x": range(2000), "w": range(1, 2000)}}, errors.OptionError, "combinations"),
    (emmeans, {"specs": "h"}, errors.UnknownNameError, "'h' is no variable of the fit"),
    (emmeans, {"specs": ""}, errors.OptionError, "names"),
    (emmeans, {"specs": "g |"}, errors.OptionError, r"after \|"),
    (emmeans, {"specs": "g", "by": "g"}, errors.OptionError, "nothing beside the groups"),
    (emmeans, {"specs": "g", "at": {"g": "q"}}, errors.LevelError, "no level 'q'"),
    (emmeans, {"specs": "g", "scale": "log"}, errors.OptionError, "scale="),
    (emmeans, {"specs": "g", "at": {"w": -1.0}}, errors.DataError, "The grid has no complete row"),
    (emmeans, {"specs": "g", "at": {"w": [-1.0, 1.0]}}, errors.OptionError, "not defined"),
    (predictions, {"grid": {"w": [-1.0, 1.0]}}, errors.OptionError, "not defined"),
]


@pytest.mark.parametrize("function, call, error, message", REFUSED)
def test_refused(fit, function, call, error, message):
    with pytest.raises(error, match=message):
        function(fit, **call)


@pytest.mark.parametrize(
    "method, adjust, message",
    [
        ("pairwize", "none", "Did you mean 'pairwise'"),
        ("pairwise", "tuckey", "Did you mean 'tukey'"),
        ("reference", "tukey", "for all pairs"),
        ([1, -1], "none", "one finite weight for each of the 3"),
        ([1, 1, -1], "none", "add up to zero"),
        ({"a": "b"}, "none", "a dict of weights"),
    ],
)
def test_contrasts_refused(fit, method, adjust, message):
    with pytest.raises(errors.OptionError, match=message):
        emmeans(fit, "g").contrasts(method, adjust)


def test_formulas_without_an_answer(data):
    levels = glm("y ~ g", data, "poisson")
    with pytest.raises(errors.OptionError, match="no numeric variable"):
        slopes(levels)
    with pytest.raises(errors.OptionError, match="no variable"):
        comparisons(glm("y ~ 1", data, "poisson"))
    cut = glm("y ~ C(k > 2) + x", data, "poisson")
    with pytest.raises(errors.OptionError, match=r"'C\(k > 2\)' makes levels of it"):
        slopes(cut, "k")
    assert list(slopes(cut)["term"]) == ["x"]
    step = comparisons(cut, {"k": (2, 3)})
    mean = [cut.predict(data.assign(k=value)).mean() for value in (2, 3)]
    assert step["estimate"][0] == pytest.approx(mean[1] - mean[0])


def test_a_fit_without_data_asks_for_it(fit, data, tmp_path):
    fit.save(tmp_path / "fit")
    loaded = torchglm.load(tmp_path / "fit")
    for call in (slopes, comparisons, predictions, lambda one: emmeans(one, "g")):
        with pytest.raises(errors.OptionError, match="Give data="):
            call(loaded)
    with pytest.raises(errors.DataError, match="no complete row"):
        slopes(loaded, data=data.assign(x=np.nan))
    columns = {name: data[name].to_numpy().copy() for name in ("y", "x")}
    own = glm("y ~ x", columns, "poisson")
    columns["x"] += 1.0
    with pytest.raises(errors.DataError, match="written over"):
        slopes(own)


def test_an_array_offset_is_asked_for_again(data):
    fit = glm("y ~ x + g", data, "poisson", offset=data["z"].to_numpy())
    with pytest.raises(errors.DataError, match="Give offset="):
        slopes(fit, data=data)
    with pytest.raises(errors.DataError, match="Give offset="):
        predictions(fit, {"g": None})
    assert slopes(fit, data=data, offset=data["z"]).equals(slopes(fit))


def test_odd_names_and_levels(data):
    odd = data.assign(**{"a b": data["x"], "k": data["k"].clip(upper=2)})
    fit = glm("y ~ `a b` + C(k) + I(z**2)", odd, "poisson")
    assert list(slopes(fit)["term"]) == ["a b", "z"]
    table = comparisons(fit, "k")
    assert list(table["contrast"]) == ["1 - 0", "2 - 0"]
    assert list(emmeans(fit, "k").frame["k"]) == [0, 1, 2]
    assert list(predictions(fit, {"k": [2, 0]})["k"]) == [2, 0]


def test_days_as_levels(data):
    day = pd.to_datetime(np.where(data["b"], "2020-01-01", "2020-01-02"))
    fit = glm("y ~ x + C(day)", data.assign(day=day), "poisson")
    table = comparisons(fit, "day")
    assert table["estimate"][0] == pytest.approx(
        fit.predict(data.assign(day=pd.Timestamp("2020-01-02"))).mean()
        - fit.predict(data.assign(day=pd.Timestamp("2020-01-01"))).mean()
    )


def test_a_variable_without_effect_has_no_statistic(data):
    fit = glm("y ~ x + twice", data.assign(twice=2 * data["x"]), "poisson")
    row = slopes(fit, "twice").iloc[0]
    assert row["estimate"] == 0.0
    assert row["std.error"] == 0.0
    assert np.isnan(row["statistic"])


def test_all_pairs_of_many_levels(data):
    wide = data.loc[data.index.repeat(10)].reset_index(drop=True)
    wide["level"] = np.arange(len(wide)) // 2
    fit = glm("z ~ C(level)", wide.assign(z=wide["z"] + 0.01 * np.arange(len(wide))))
    pairs = emmeans(fit, "level").pairs("holm")  # 44,850 x 300: written out by coefficient they were 32 GB
    means = wide["z"] + 0.01 * np.arange(len(wide))
    assert len(pairs) == 300 * 299 // 2
    assert pairs["estimate"].iloc[-1] == pytest.approx(means[-4:-2].mean() - means[-2:].mean(), rel=1e-9)
