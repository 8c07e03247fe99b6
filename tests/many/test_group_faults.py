"""What can be wrong with a group is said of it, and leaves the others as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from tests.many.conftest import quietly
from torchglm import api, glm
from torchglm.diagnostics import separation
from torchglm.errors import DataError, OptionError, StatusWarning, UnknownNameError
from torchglm.many import groups as groups_file
from torchglm.objective import grouped
from torchglm.objective.batch import Batch
from torchglm.solvers.batch import solve
from torchglm.solvers.solver import Stop


@pytest.fixture(scope="module")
def shops() -> pd.DataFrame:
    """Seven groups: two good, one separated, one without an event, one of three rows, one constant in x, one empty."""
    rng = np.random.default_rng(5)
    sizes = {"good": 80, "other": 50, "split": 40, "never": 30, "few": 3, "flat": 30}
    frame = pd.DataFrame({"shop": np.repeat(list(sizes), list(sizes.values()))})
    frame["x"] = rng.normal(size=len(frame))
    frame["yes"] = (rng.random(len(frame)) < 0.5).astype(float)
    frame.loc[frame["shop"] == "split", "yes"] = (frame["x"] > 0.0).astype(float)
    frame.loc[frame["shop"] == "never", "yes"] = 0.0
    frame.loc[frame["shop"] == "flat", "x"] = 1.5
    frame["shop"] = pd.Categorical(frame["shop"], [*sizes, "empty"])
    return frame.sample(frac=1.0, random_state=2, ignore_index=True)


def test_each_fault_is_named_and_warned_of_once(shops):
    with pytest.warns(StatusWarning) as caught:
        fits = glm("yes ~ x", shops[shops["shop"] != "few"], "binomial", by="shop")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.startswith("4 of 7 models have not simply converged. ")
    assert "Separated: 2 ('split', 'never')" in message
    assert "No rows: 2 ('few', 'empty')" in message
    assert fits.infinite["split"]["x"] == "+"
    assert fits.infinite["never"] == {"Intercept": "-"}
    assert fits.params.loc["split", "x"] == np.inf
    assert fits.params.loc["never", "Intercept"] == -np.inf
    assert np.isnan(fits.bse.loc["split", "x"])
    assert fits.aliased == {"flat": ["x"]}
    assert list(fits.converged[fits.converged].index) == ["good", "other", "flat"]
    assert fits.params.loc["empty"].isna().all()
    assert np.isnan(fits.glance().set_index("shop").loc["empty", "deviance"])
    for name in ("good", "other"):
        alone = glm("yes ~ x", shops[shops["shop"] == name].assign(shop=0), "binomial")
        np.testing.assert_allclose(fits.params.loc[name], alone.params, rtol=1e-8)


def test_groups_that_cannot_be_had(shops):
    fits = quietly(lambda: glm("yes ~ x", shops, "binomial", by="shop"))
    with pytest.raises(DataError, match="no rows"):
        fits["empty"]
    with pytest.raises(UnknownNameError, match=r"'godo'.*'good'"):
        fits["godo"]


def test_a_group_that_cannot_be_fitted_says_why():
    frame = pd.DataFrame({"g": ["a"] * 6 + ["b"] * 6, "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] * 2})
    frame["y"] = [1.0, 2.0, 2.5, 4.0, 5.5, 6.0, -1.0, -2.0, -2.5, -4.0, -5.5, -6.0]
    with pytest.warns(StatusWarning, match=re.escape("Failed: 1 ('b')")):
        fits = glm("y ~ x", frame, "gaussian", "log", by="g")
    assert fits.status["a"] == "Converged."
    assert "mean leaves its domain" in fits.status["b"]
    assert fits.params.loc["b"].isna().all()


@pytest.fixture(scope="module")
def crops() -> pd.DataFrame:
    """Forty groups whose columns say little: steps of a search lead out of the domain of a mean."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.arange(2000) % 40, "year": 2000.0 + rng.integers(0, 20, 2000)})
    frame["size"] = np.exp(rng.normal(size=2000) + 0.2 * (frame["year"] - 2010))
    frame["yes"] = (rng.random(2000) < 0.02 + 0.03 * (frame["g"] % 3)).astype(float)
    return frame


@pytest.mark.parametrize("response, family, link", [
    ("size", "gamma", "inverse"), ("size", "inverse_gaussian", "inverse_squared"), ("yes", "binomial", "identity"),
])  # fmt: skip
def test_no_group_is_said_to_converge_outside_of_the_domain(crops, response, family, link):
    fits = quietly(lambda: glm(f"{response} ~ year", crops, family, link, by="g"))
    good = fits.converged.to_numpy()
    assert good.sum() > 4
    eta = fits.params["Intercept"].to_numpy()[:, None] + fits.params["year"].to_numpy()[:, None] * np.arange(2000, 2020)
    years = crops.groupby("g")["year"].unique()
    for key in np.flatnonzero(good):
        rows = crops[crops["g"] == key]
        assert (eta[key][years[key].astype(int) - 2000] > -1e-12).all()
        alone = quietly(lambda rows=rows: glm(f"{response} ~ year", rows, family, link))
        assert alone.converged
        np.testing.assert_allclose((fits.params.loc[key] - alone.params) / alone.bse, 0.0, atol=1e-6)
        np.testing.assert_allclose(fits.bse.loc[key], alone.bse, rtol=1e-6)


@pytest.mark.parametrize("worse", ["infinite", "rank one"])
def test_sums_that_overflow_are_no_convergence(worse):
    """The second problem's curvature overflows; or, at its third point only, one row hides all columns but one."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=30), "y": rng.poisson(2.0, 30).astype(float)})
    objective = glm("y ~ x", frame, "poisson").estimate.objective
    points = []

    @dataclass(frozen=True)
    class Spoiled(Batch):
        def quadratic(self, thetas, values=True):
            found = super().quadratic(thetas, values)
            points.append(len(thetas))
            if len(thetas) == 2:
                if worse == "infinite":
                    found.curvature[1, 1, 1] = np.inf
                elif len(points) == 3:
                    found.curvature[1] = 1e4
            return found

        def of(self, which):
            return Spoiled(**vars(super().of(which)))

    batch = Spoiled(objective, responses=torch.tensor([frame["y"].tolist()] * 2, dtype=torch.float64))
    found = solve(batch, torch.zeros(2, 2, dtype=torch.float64), Stop(1e-8, 25), values=False)
    assert found.converged.tolist() == [True, False]
    theta = objective.layout.to_user(found.theta.T).T[0]
    np.testing.assert_allclose(theta, glm("y ~ x", frame, "poisson").params, rtol=1e-10)


def test_groups_of_few_rows_over_many_levels(monkeypatch):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"s": rng.integers(0, 12, 120), "c": rng.integers(0, 150, 120), "y": rng.poisson(2.0, 120)})
    sizes, eigh = [], torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: sizes.append(len(matrix)) or eigh(matrix))
    fits = quietly(lambda: glm("y ~ C(c)", data, "poisson", by="s"))
    sizes.clear()
    empty = data.groupby(["s", "c"])["y"].sum().eq(0).groupby("s").any()
    assert set(fits.infinite) == set(empty[empty].index)
    one = quietly(lambda: fits[empty[empty].index[0]])
    direction = separation.recession(one.estimate)
    assert sizes == [one.record.facts.rank]  # not all levels of all groups
    assert {name for name, d in zip(fits.names, direction.tolist(), strict=True) if d} == set(one.infinite)


def test_a_group_whose_algebra_fails_says_so(shops, monkeypatch):
    def fails(*_: object) -> None:
        raise torch.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(separation, "recession", fails)
    monkeypatch.setattr(separation, "never_rises", lambda *_: False)
    fits = quietly(lambda: glm("yes ~ x", shops, "binomial", by="shop"))
    assert fits.status["split"] == "Failed: no convergence"
    assert fits.converged[["good", "other"]].all()


def test_too_few_rows():
    frame = pd.DataFrame({"g": ["a"] * 5 + ["b", "b", "c"], "x": [1.0, 2.0, 4.0, 3.0, 5.0, 1.0, 2.0, 3.0]})
    frame["y"] = [1.0, 3.0, 2.0, 5.0, 4.0, 2.0, 3.0, 1.0]
    with pytest.warns(StatusWarning, match=re.escape("Too few rows: 2 ('b', 'c')")):
        fits = glm("y ~ x", frame, by="g")
    assert fits.status["c"].startswith("Too few rows: 1 for 1 coefficients")
    assert np.isnan(fits.bse.loc["b"]).all()
    assert np.isnan(fits.glance().loc[1, "dispersion"])
    np.testing.assert_allclose(fits.params.loc["b"], [1.0, 1.0])


def test_nearly_collinear_groups_keep_the_digits_of_a_fit_alone():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"g": np.repeat(["a", "b"], 60), "x": rng.normal(size=120)})
    frame["z"] = frame["x"] + np.where(frame["g"] == "a", 1e-5, 1.0) * rng.normal(size=120)
    frame["y"] = frame["x"] + rng.normal(size=120)
    fits = glm("y ~ x + z", frame, by="g")
    # an orthogonal factorisation in extended steps: the least-squares solution by numpy's SVD
    rows = frame[frame["g"] == "a"]
    design = np.column_stack([np.ones(60), rows["x"], rows["z"] - rows["x"]])
    b = np.linalg.lstsq(design, rows["y"], rcond=None)[0]
    np.testing.assert_allclose(fits.params.loc["a"], [b[0], b[1] - b[2], b[2]], rtol=1e-7)


def test_a_giant_group_goes_alone_and_unpadded(shops, monkeypatch):
    whole = quietly(lambda: glm("yes ~ x", shops, "binomial", by="shop"))
    padded, together = [], grouped._padded

    def watched(objective, groups, some, rooms):
        padded.extend(some.tolist())
        return together(objective, groups, some, rooms)

    monkeypatch.setattr(grouped, "_padded", watched)
    monkeypatch.setattr(groups_file, "ENTRIES", 150)  # 80 rows x 2 columns are more
    fits = quietly(lambda: glm("yes ~ x", shops, "binomial", by="shop"))
    assert list(fits).index("good") not in padded
    assert list(fits).index("other") in padded
    np.testing.assert_allclose(fits.params.loc["good"], whole.params.loc["good"], rtol=1e-8)
    assert fits.status["good"] == "Converged."


def test_rows_without_a_key_are_left_out_or_refused(shops):
    frame = shops.assign(shop=shops["shop"].astype(object))
    frame.loc[0, "shop"] = None
    name = shops.loc[0, "shop"]
    fits = quietly(lambda: glm("yes ~ x", frame, "binomial", by="shop"))
    assert fits.glance().set_index("shop").loc[name, "nobs"] == (shops["shop"] == name).sum() - 1
    assert fits.rows_without_key == 1
    assert ", 1 row(s) without a key left out, " in repr(fits)
    twice = frame.assign(half=np.where(np.arange(len(frame)) < 3, np.nan, 1.0))
    some = quietly(lambda: glm("yes ~ x", twice, "binomial", by=["shop", "half"], subset=np.arange(len(frame)) > 1))
    assert some.rows_without_key == 1  # row 2; rows 0 and 1 were not asked for
    with pytest.raises(DataError, match="by=shop is missing in 1 row"):
        glm("yes ~ x", frame, "binomial", by="shop", missing="raise")


def test_covariances_that_no_batch_has_are_those_of_each_fit(shops):
    frame = shops[shops["shop"].isin(["good", "other"])].assign(firm=lambda d: np.arange(len(d)) % 12)
    frame["shop"] = frame["shop"].astype(str)
    for arguments in ({"covariance": "HC3"}, {"cluster": "firm"}, {"penalty": "firth"}, {"solver": "lbfgs"}):
        fits = glm("yes ~ x", frame, "binomial", by="shop", **arguments)
        alone = glm("yes ~ x", frame[frame["shop"] == "other"], "binomial", **arguments)
        np.testing.assert_allclose(fits.bse.loc["other"], alone.bse, rtol=1e-9)


def test_what_has_no_meaning_for_many_models(shops):
    with pytest.raises(OptionError, match="start="):
        glm("yes ~ x", shops, "binomial", by="shop", start=[0.0, 0.0])
    with pytest.raises(OptionError, match="loop over the groups"):
        glm("~ x", shops, "binomial", by="shop", responses=["yes"])
    with pytest.raises(UnknownNameError, match="'shpo'"):
        glm("yes ~ x", shops, "binomial", by="shpo")


def test_a_key_of_another_kind_is_told():
    data = {"x": np.tile(np.arange(8.0), 3), "y": np.tile([0, 1, 0, 2, 3, 1, 2, 4], 3), "k": np.repeat([1, 2, 3], 8)}
    fits = glm("y ~ x", data, "poisson", by="k")
    with pytest.raises(UnknownNameError, match=r"no model '3' among 3\. Keys are int, not str\."):
        fits["3"]
    assert fits[3].nobs == 8


def test_data_written_over_are_refused():
    rng = np.random.default_rng(3)
    data = {"g": np.repeat([1, 2], 20), "x": rng.normal(size=40), "y": rng.normal(size=40)}
    fits = glm("y ~ x", data, by="g")
    data["x"] += 1.0
    with pytest.raises(DataError, match="written over"):
        fits.glance()
    with pytest.raises(DataError, match="written over"):
        fits[1]


def test_many_separated_groups_cost_little(monkeypatch):
    """They go on from where the batch has taken them, and a search that falls on and on needs no linear program."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 15), "x": rng.normal(size=600), "z": rng.normal(size=600)})
    data["y"] = (rng.random(600) < 1.0 / (1.0 + np.exp(-4.0 * data["x"] - data["z"]))).astype(float)
    steps, run = [], api.run
    monkeypatch.setattr(api, "run", lambda *given: steps.append(run(*given)) or steps[-1])
    monkeypatch.setattr(separation, "program", lambda *given: pytest.fail("a linear program was run"))
    fits = quietly(lambda: glm("y ~ x + z", data, "binomial", by="g"))
    monkeypatch.undo()
    assert len(steps) >= len(fits.infinite) > 5
    assert max(solution.steps for solution in steps) <= 2
    for group in [*fits.infinite][:6]:
        one = quietly(lambda group=group: glm("y ~ x + z", data[data["g"] == group], "binomial"))
        assert fits.infinite[group] == one.infinite
        finite = np.isfinite(fits.params.loc[group])
        np.testing.assert_allclose(fits.params.loc[group][finite], one.params[finite], rtol=1e-6)
        assert fits.glance().loc[group, "deviance"] == pytest.approx(one.deviance, abs=1e-9)


@pytest.mark.parametrize("covariance", ["HC2", "HC3"])
def test_a_row_of_leverage_one_is_named(covariance, monkeypatch):
    """The other groups need no fit of their own."""
    data = pd.DataFrame({"g": list("aaaaaabbbbbb"), "y": [1.0, 2, 4, 3, 5, 9, 7, 8, 2, 3, 4, 7]})
    data["x"] = [1.0, 2, 3, 4, 5, 6, 0, 0, 0, 9, 0, 0]
    alone, fit = [], groups_file.fit_prepared
    monkeypatch.setattr(groups_file, "fit_prepared", lambda *given: alone.append(1) or fit(*given))
    fits = quietly(lambda: glm("y ~ x", data, by="g", covariance=covariance))
    assert fits.status["b"].startswith(f"Failed: {covariance} is not defined: the fit goes through row 9 whatever")
    assert alone == [1]
    expected = glm("y ~ x", data[:6], covariance=covariance).bse
    np.testing.assert_allclose(fits.bse.loc["a"], expected, rtol=1e-9)
