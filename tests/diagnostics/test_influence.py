"""Measures of influence by leaving rows out, and their behaviour under weights, dropped rows and leverage one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import glm
from torchglm.design.design import Design

N = 40
RNG = np.random.default_rng(3)
DATA = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N) + 2000.0,
        "g": np.array(list("abcd"))[np.arange(N) % 4],
        "f": RNG.integers(1, 4, N),
    },
    index=[f"row {k}" for k in range(N)],
)
DATA["y"] = DATA["x"] + (DATA["g"] == "b") + RNG.normal(size=N)
DATA["count"] = RNG.poisson(np.exp(0.3 * DATA["x"] + 1.0))
FORMULA = "y ~ x * g + z"


def test_a_gaussian_row_is_left_out_exactly():
    fit = glm(FORMULA, DATA)
    influence = fit.get_influence()
    for row in DATA.index[[0, 7, 25]]:
        without = glm(FORMULA, DATA.drop(row))
        np.testing.assert_allclose(influence.sigma[row], without.scale**0.5, rtol=1e-9)
        np.testing.assert_allclose(
            influence.dfbeta().loc[row], fit.params - without.params, rtol=1e-6, atol=1e-9 * fit.params.abs().max()
        )
        scaled = (fit.params - without.params) / (fit.bse * without.scale**0.5 / fit.scale**0.5)
        np.testing.assert_allclose(influence.dfbetas().loc[row], scaled, rtol=1e-6, atol=1e-8)
        prediction = without.predict(DATA.loc[[row]], se=True, scale="link")
        gap = fit.linear_predictor[row] - prediction["predicted"].iloc[0]
        se = without.scale**0.5 * influence.leverage[row] ** 0.5
        np.testing.assert_allclose(influence.dffits[row], gap / se, rtol=1e-7)
        deleted = DATA.loc[row, "y"] - prediction["predicted"].iloc[0]
        spread = (without.scale + prediction["se"].iloc[0] ** 2) ** 0.5
        np.testing.assert_allclose(influence.rstudent[row], deleted / spread, rtol=1e-7)
        ratio = np.linalg.slogdet(without.cov_params())[1] - np.linalg.slogdet(fit.cov_params())[1]
        np.testing.assert_allclose(influence.cov_ratio[row], np.exp(ratio), rtol=1e-5)
        moved = (fit.fittedvalues - without.predict(DATA)) ** 2
        np.testing.assert_allclose(influence.cooks_distance[row], moved.sum() / (fit.scale * 9), rtol=1e-7)


def test_a_frequency_leaves_out_one_copy():
    written = DATA.loc[DATA.index.repeat(DATA["f"])]
    one = glm("count ~ x + g", DATA, "poisson", freq_weights="f").influence()
    other = glm("count ~ x + g", written, "poisson").influence()
    pd.testing.assert_frame_equal(one, other[~other.index.duplicated()], rtol=1e-8, atol=1e-10)
    kinds = ("standardized_deviance", "standardized_pearson", "studentized")
    for kind in kinds:
        ours = glm("y ~ x", DATA, freq_weights="f").residuals(kind)
        theirs = glm("y ~ x", written).residuals(kind)
        pd.testing.assert_series_equal(ours, theirs[~theirs.index.duplicated()], rtol=1e-8)


def test_a_frequency_is_written_out_in_plots_too():
    written = DATA.loc[DATA.index.repeat(DATA["f"])]
    one, other = glm("count ~ x + g", DATA, "poisson", freq_weights="f"), glm("count ~ x + g", written, "poisson")
    for ours, theirs in (
        (one.partial_residuals(), other.partial_residuals()),
        (one.added_variable("x"), other.added_variable("x")),
        (one.added_variable("x", kind="working"), other.added_variable("x", kind="working")),
    ):
        pd.testing.assert_frame_equal(ours, theirs[~theirs.index.duplicated()], rtol=1e-7, atol=1e-8)


def test_rows_that_do_not_count_have_none():
    data = DATA.assign(w=np.where(np.arange(N) < 2, 0.0, 1.5))
    data.loc["row 5", "x"] = np.nan
    fit = glm("count ~ x + g", data, "poisson", weights="w")
    frame, without = fit.influence(), glm("count ~ x + g", data[2:], "poisson", weights="w").influence()
    assert frame.index[frame["leverage"].isna()].tolist() == ["row 0", "row 1", "row 5"]
    assert not frame["is_influential"][["row 0", "row 1", "row 5"]].any()
    pd.testing.assert_frame_equal(frame[2:], without, rtol=1e-8)
    assert fit.residuals("studentized").isna().sum() == 3
    assert fit.added_variable("x")["x"].isna().sum() == 3
    assert fit.partial_residuals()["x"].isna().sum() == 1


def test_a_row_that_is_fitted_alone_has_leverage_one():
    data = DATA.assign(own=(np.arange(N) == 4).astype(float))
    frame = glm("y ~ x + own", data).influence()
    assert frame.loc["row 4", "leverage"] == pytest.approx(1.0, abs=1e-12)
    assert frame.loc["row 4"].drop(["leverage", "is_influential"]).isna().all()
    rest = frame.drop("row 4").drop(columns=["is_influential"])
    assert rest.notna().all(axis=None)
    without = glm("y ~ x", data.drop("row 4")).influence()
    np.testing.assert_allclose(rest["rstudent"], without["rstudent"], rtol=1e-7)


def test_statsmodels_has_the_same_leverages():
    sm = pytest.importorskip("statsmodels.api")
    x = np.column_stack([np.ones(N), DATA["x"], DATA["z"] - 2000.0])
    theirs = sm.GLM(DATA["count"].to_numpy(), x, sm.families.Poisson()).fit(tol=1e-14).get_influence()
    ours = glm("count ~ x + I(z - 2000)", DATA, "poisson").get_influence()
    np.testing.assert_allclose(ours.leverage, theirs.hat_matrix_diag, rtol=1e-7)
    np.testing.assert_allclose(ours.rstandard_pearson, theirs.resid_studentized, rtol=1e-7)
    np.testing.assert_allclose(ours.cooks_distance, theirs.cooks_distance[0], rtol=1e-6)


def test_blocks_change_nothing(monkeypatch):
    whole = glm("count ~ x * g + z", DATA, "poisson")
    tables = whole.influence(), whole.partial_residuals(), whole.added_variable("x"), whole.check("link").frame()
    monkeypatch.setattr(Design, "block_rows", 7)
    pieces = glm("count ~ x * g + z", DATA, "poisson")
    again = pieces.influence(), pieces.partial_residuals(), pieces.added_variable("x"), pieces.check("link").frame()
    for a, b in zip(tables, again, strict=True):
        pd.testing.assert_frame_equal(a, b, rtol=1e-7, atol=1e-9)


def test_a_column_that_the_fit_lacks():
    lacking, full = glm("count ~ g", DATA, "poisson"), glm("count ~ g + x", DATA, "poisson")
    wanted = full.added_variable("x")
    for given in ("x", "x * 1", DATA["x"].to_numpy()):
        pd.testing.assert_frame_equal(lacking.added_variable(given), wanted, rtol=1e-7, atol=1e-9)


def test_slopes_of_added_variables():
    fit = glm("count ~ x + g", DATA, "poisson")
    for name in fit.params.index:
        frame = fit.added_variable(name, kind="working")
        np.testing.assert_allclose(frame["x"] @ frame["y"] / (frame["x"] @ frame["x"]), fit.params[name], rtol=1e-9)
    frame = glm("y ~ x + g", DATA).added_variable("x")
    np.testing.assert_allclose(
        frame["x"] @ frame["y"] / (frame["x"] @ frame["x"]), glm("y ~ x + g", DATA).params["x"], rtol=1e-9
    )


def test_some_coefficients_are_enough():
    fit = glm("y ~ x * g", DATA)
    every = fit.influence()
    assert fit.influence(["x"]).columns.tolist() == [*every.columns[:7], "dfb_x"]
    pd.testing.assert_series_equal(fit.influence(["x"])["dfb_x"], every["dfb_x"])
    assert fit.influence([]).columns.tolist() == list(every.columns[:7])


def test_it_takes_two_passes():
    fit = glm("y ~ x * g", DATA)
    assert fit.scale > 0
    seen = []
    blocks = Design.blocks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Design, "blocks", lambda self, rows=None: seen.append(1) or blocks(self, rows))
        fit.influence()
    assert len(seen) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_gives_the_numbers_of_the_cpu():
    cpu, gpu = (glm("count ~ x * g + z", DATA, "poisson", device=device) for device in ("cpu", "cuda"))
    for ask in (
        lambda fit: fit.influence(),
        lambda fit: fit.partial_residuals(),
        lambda fit: fit.added_variable("x"),
        lambda fit: fit.added_variable("x", kind="working"),
        lambda fit: fit.check().frame(),
    ):
        pd.testing.assert_frame_equal(ask(gpu), ask(cpu), rtol=1e-6, atol=1e-8)
