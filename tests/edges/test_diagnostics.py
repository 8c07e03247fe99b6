"""Influence and checks asked for what is not there."""

from __future__ import annotations

import pytest

from torchglm import glm, load
from torchglm.checks import Calibration, Simulated
from torchglm.diagnostics import influence
from torchglm.errors import DataError, OptionError, UnknownNameError


@pytest.fixture
def fit(data):
    return glm("y ~ x + g", data, "poisson")


def test_a_residual_that_is_none(fit):
    with pytest.raises(UnknownNameError, match="studentized"):
        fit.residuals("student")


def test_a_coefficient_that_is_none(fit):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        fit.influence(["g[T.d]"])
    assert fit.influence("x").columns[-1] == "dfb_x"


def test_more_numbers_than_memory(fit, monkeypatch):
    monkeypatch.setattr(influence, "LARGEST_TABLE", 100)
    with pytest.raises(OptionError, match=r"coefficients=\['Intercept'\]"):
        fit.influence()
    assert len(fit.influence([])) == 60


def test_variables_that_cannot_be_added(fit, data):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        fit.added_variable("xx")
    with pytest.raises(OptionError, match="score"):
        fit.added_variable("x", kind="wang")
    with pytest.raises(OptionError, match="coefficient"):
        fit.added_variable("z", kind="working")
    with pytest.raises(DataError, match="missing"):
        glm("y ~ x", data.assign(z=data["z"].where(data.index > 0)), "poisson").added_variable("z")
    with pytest.raises(OptionError, match="aliased"):
        glm("y ~ x + I(2 * x)", data).added_variable("I(2 * x)")
    with pytest.raises(DataError):
        fit.added_variable("g")


def test_a_term_that_is_none(fit):
    with pytest.raises(UnknownNameError, match="no term"):
        fit.partial_residuals("h")
    assert fit.partial_residuals("x").columns.tolist() == ["x"]


def test_checks_that_are_none(fit):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        fit.check("overdispersed")
    with pytest.raises(OptionError, match="check"):
        fit.check([3])
    for wrong in (1, 2.5, True):
        with pytest.raises(OptionError, match="groups="):
            Calibration(groups=wrong)
        with pytest.raises(OptionError, match="groups="):
            fit.calibration_curve(wrong)
    with pytest.raises(OptionError, match="draws="):
        Simulated(draws=1)
    with pytest.raises(OptionError, match="level="):
        fit.calibration_curve(level=95)


def test_without_data(fit, tmp_path):
    fit.save(tmp_path / "a.fit")
    loaded = load(tmp_path / "a.fit")
    for ask in (loaded.influence, loaded.check, loaded.partial_residuals, loaded.calibration_curve):
        with pytest.raises(OptionError, match="without its data"):
            ask()


def test_data_written_over(data):
    x = data["x"].to_numpy(copy=True)
    fit = glm("y ~ x", {"y": data["y"].to_numpy(), "x": x}, "poisson")
    x[3] += 1.0
    for ask in (fit.influence, fit.check, fit.partial_residuals):
        with pytest.raises(DataError, match="written over"):
            ask()


@pytest.mark.parametrize("seed", ["a", -1, 1.5, None])
def test_a_seed_that_is_none(fit, seed):
    for ask in (fit.simulate, fit.quantile_residuals, fit.check, fit.bootstrap):
        with pytest.raises(OptionError, match="seed= is a whole number from 0"):
            ask(seed=seed)


def test_checks_of_the_wrong_type(fit):
    with pytest.raises(OptionError, match="checks= names checks, or holds them; got 3"):
        fit.check(3)


def test_a_level_that_is_no_number(fit):
    with pytest.raises(OptionError, match="level= lies between 0 and 1"):
        fit.conf_int(level="95%")
