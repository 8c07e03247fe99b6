"""What a fit touches, keeps alive and shares."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import errors, glm
from torchglm.families import Binomial


def test_the_users_data_are_not_changed(data):
    data.loc[4, "x"] = np.nan
    data["c"] = data["g"].astype("category")
    before = data.copy(deep=True)
    arguments = {"weights": np.array(data["w"]), "offset": data["z"].copy(), "subset": np.array(data["k"] < 4)}
    kept = copy.deepcopy(arguments)
    fit = glm("y ~ scale(x) + c + C(k) + bs(z, df=4)", data, "poisson", **arguments)
    assert fit.summary() is not None
    used = data[data["k"] < 4]
    assert len(fit.predict(used, offset=used["z"], se=True)) == len(used)
    assert len(fit.resid_deviance) == 60
    assert len(fit.with_covariance("HC1").bse)
    pd.testing.assert_frame_equal(data, before, check_exact=True)
    for name, value in arguments.items():
        np.testing.assert_array_equal(value, kept[name])


def test_tensors_and_arrays_are_not_changed():
    rng = np.random.default_rng(0)
    columns = {"y": torch.tensor(rng.poisson(2.0, 40).astype(float)), "x": rng.normal(size=40) + 1e6}
    before = {name: copy.deepcopy(values) for name, values in columns.items()}
    glm("y ~ x", columns, "poisson").summary()
    assert list(columns) == list(before)
    assert torch.equal(columns["y"], before["y"])
    np.testing.assert_array_equal(columns["x"], before["x"])


def test_read_only_memory_is_read(data):
    x = data["x"].to_numpy().copy()
    x.flags.writeable = False
    expected = glm("y ~ x", data).params
    np.testing.assert_array_equal(glm("y ~ x", {"y": data["y"].to_numpy(), "x": x}).params, expected)


class Local:
    """Something of the caller that a fit has no use for."""


def test_the_callers_frame_is_not_kept_and_its_table_goes_with_the_fit(data):
    def caller():
        unused, column = Local(), np.array(data["x"])
        fit = glm("y ~ x + C(g)", {**data, "x": column}, "poisson")
        return fit, weakref.ref(unused), weakref.ref(column)

    fit, unused, column = caller()
    gc.collect()
    assert unused() is None
    assert np.isfinite(fit.llf)
    stored = pickle.loads(pickle.dumps(fit))
    del fit
    gc.collect()
    assert column() is None
    assert np.isfinite(stored.llf)


def test_what_happens_to_the_frame_later_does_not_reach_the_fit(data):
    frame = data.copy()
    fit = glm("y ~ x + C(g)", frame, "poisson")
    frame["new"] = 1.0
    frame.loc[0, "g"] = "changed"
    kept = fit.estimate.prepared.source
    assert "new" not in kept
    pd.testing.assert_series_equal(kept.column("g"), data["g"])


def test_a_failed_fit_keeps_nothing(data):
    def caller():
        unused = Local()
        with pytest.raises(errors.UnknownNameError):
            glm("y ~ nothing", data)
        return weakref.ref(unused)

    unused = caller()
    gc.collect()
    assert unused() is None


@pytest.mark.parametrize("again", [lambda f: pickle.loads(pickle.dumps(f)), copy.copy, copy.deepcopy])
def test_copies_have_the_numbers(data, again):
    fit = glm("y ~ scale(x) + C(g)", data, "poisson")
    other = again(fit)
    pd.testing.assert_series_equal(other.params, fit.params, check_exact=True)
    pd.testing.assert_series_equal(other.bse, fit.bse, check_exact=True)
    pd.testing.assert_series_equal(other.predict(data), fit.predict(data), check_exact=True)
    assert str(other.summary()) == str(fit.summary())
    assert other.llf == fit.llf


def test_one_family_instance_serves_many_fits(data):
    shared = Binomial()
    first = glm("b ~ x", data, shared)
    before = first.llf
    glm("b ~ z + g", data[:40], shared, weights="w")
    assert first.llf == before == glm("b ~ x", data, "binomial").llf


def test_threads_fit_at_once_and_leave_the_warning_filters_alone(data):
    expected = glm("y ~ scale(x) + C(g)", data, "poisson")
    x = data["x"].to_numpy().copy()
    x.flags.writeable = False
    before, found, interval = list(warnings.filters), [], sys.getswitchinterval()

    def work():
        found.extend(glm("y ~ scale(x) + C(g)", {**data, "x": x}, "poisson") for _ in range(10))

    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 60
    for fit in found:
        np.testing.assert_array_equal(fit.params, expected.params)
        assert fit.llf == expected.llf
    assert list(warnings.filters) == before


@pytest.mark.parametrize("holes, evaluations", [(None, 1), ("x", 1), ("made", 2)])
def test_a_formulas_code_runs_no_more_often_than_needed(data, holes, evaluations):
    if holes == "x":
        data.loc[3, "x"] = np.nan
    calls = []

    def slow(v):
        calls.append(len(v))
        return np.log(v + 9.0) if holes != "made" else v.where(v > 0)

    fit = glm("y ~ slow(x) + slow(x):z + slow(x):g", data, "poisson")
    assert fit.null_deviance > 0
    assert len(fit.resid_deviance) == 60
    assert fit.summary() is not None
    assert len(calls) == evaluations
    fit.predict(data)
    assert len(calls) == evaluations + 1


def test_fits_are_the_same_every_time(data):
    one, two = (glm("y ~ x + C(g) + bs(z, df=4)", data, "poisson") for _ in range(2))
    pd.testing.assert_series_equal(one.params, two.params, check_exact=True)
    pd.testing.assert_series_equal(one.bse, two.bse, check_exact=True)
