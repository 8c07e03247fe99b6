"""Offsets in every form, in fits and in predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm

FORMS = [
    ("y ~ x + offset(log(w))", {}),
    ("y ~ x", {"offset": "log(w)"}),
    ("y ~ x", {"exposure": "w"}),
    ("y ~ x + offset(log(w) - z)", {"offset": "z"}),
    ("y ~ x + offset(z) + offset(0.0 - z)", {"exposure": "2 * w / 2"}),
    ("y ~ x + offset(0)", {"exposure": "w"}),
]


@pytest.mark.parametrize("formula, arguments", FORMS)
def test_all_forms_agree_in_the_fit_and_in_predictions(data, formula, arguments):
    expected = glm("y ~ x", data.assign(o=np.log(data["w"])), "poisson", offset="o")
    found = glm(formula, data, "poisson", **arguments)
    np.testing.assert_allclose(found.params, expected.params, rtol=1e-9)
    for number in ("llf", "deviance", "null_deviance", "llnull"):
        assert getattr(found, number) == pytest.approx(getattr(expected, number), rel=1e-10), number
    new = pd.DataFrame({"x": [0.0, 1.0], "w": [2.0, 7.0], "z": [0.3, -0.4]})
    by_hand = np.exp(expected.params["Intercept"] + expected.params["x"] * new["x"]) * new["w"]
    np.testing.assert_allclose(found.predict(new), by_hand, rtol=1e-9)
    np.testing.assert_allclose(found.predict(new, scale="link"), np.log(by_hand), rtol=1e-9)
    np.testing.assert_allclose(found.predict(data), found.fittedvalues, rtol=1e-12)
    with pytest.raises(errors.UnknownNameError, match="'w'"):
        found.predict(new[["x", "z"]])
    with pytest.raises(errors.OptionError, match="this fit has none"):
        found.predict(new, offset=np.zeros(2))


@pytest.mark.parametrize("role", ["offset", "exposure"])
@pytest.mark.parametrize("kind", [np.array, list, pd.Series])
def test_an_array_must_be_given_again(data, role, kind):
    values = kind(np.log(data["w"]) if role == "offset" else data["w"])
    found = glm("y ~ x", data, "poisson", **{role: values})
    np.testing.assert_allclose(found.params, glm("y ~ x", data, "poisson", exposure="w").params, rtol=1e-9)
    new = data[:4]
    with pytest.raises(errors.DataError, match=f"Give {role}="):
        found.predict(new)
    with pytest.raises(errors.DataError, match="3 values for 4 rows"):
        found.predict(new, **{role: [1.0] * 3})
    np.testing.assert_allclose(found.predict(new, **{role: list(values[:4])}), found.fittedvalues[:4], rtol=1e-12)
    holes = new.assign(x=new["x"].mask(new.index == 1))
    again = found.predict(holes, **{role: list(values[:4])})
    np.testing.assert_allclose(again.drop(1), found.fittedvalues[[0, 2, 3]], rtol=1e-12)
    assert np.isnan(again[1])
    by_name = found.predict(new, **{role: "log(w)" if role == "offset" else "w"})
    np.testing.assert_allclose(by_name, found.fittedvalues[:4], rtol=1e-12)


def test_an_argument_the_fit_has_no_use_for_is_refused(data):
    with pytest.raises(errors.OptionError, match="exposure="):
        glm("y ~ x", data, "poisson").predict(data, exposure=data["w"])


def test_a_constant_added_to_the_offset_only_moves_the_intercept(data):
    one, two = (glm("y ~ x", data, "poisson", offset=o) for o in ("z", "z + 3"))
    np.testing.assert_allclose(two.params - one.params, [-3.0, 0.0], atol=1e-9)
    assert two.llf == pytest.approx(one.llf, rel=1e-12)


def test_the_null_model_has_the_offset(data):
    found = glm("y ~ x", data, "poisson", exposure="w")
    mu = data["w"] * data["y"].sum() / data["w"].sum()
    positive = data["y"] > 0
    parts = (data["y"] * np.log(data["y"].where(positive, 1.0) / mu)).where(positive, 0.0) - (data["y"] - mu)
    assert found.null_deviance == pytest.approx(2 * parts.sum(), rel=1e-10)
    assert "log(w)" in str(found.summary())
