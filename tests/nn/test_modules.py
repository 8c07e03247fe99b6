"""Heads and fits as modules: they train, predict what the fit predicts, and export."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import custom, errors, glm, load, multinomial, ordinal
from torchglm.counts import hurdle, zero_inflated
from torchglm.nn import GLMHead, GLMLoss

F64 = torch.float64


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"a": rng.normal(size=120), "b": rng.uniform(1.0, 2.0, 120), "time": rng.uniform(1, 2, 120)})
    data["g"] = rng.choice(["p", "q", "r"], 120)
    data["count"] = rng.poisson(np.exp(0.3 * data["a"] + (data["g"] == "q")) * data["time"])
    data["grade"] = pd.Categorical(rng.choice(["low", "mid", "high"], 120), ["low", "mid", "high"], ordered=True)
    data["caught"] = data["count"] * rng.integers(0, 2, 120)
    data.loc[7, "a"] = np.nan
    return data


@pytest.fixture(scope="module")
def fit(data):
    return glm("count ~ a*g + np.log(b)", data, "poisson", exposure="time")


def shown(module, *inputs) -> np.ndarray:
    with torch.no_grad():
        return module(*inputs).numpy()


def test_a_fit_as_a_module_predicts_what_the_fit_predicts(fit, data):
    module, x, offset = fit.to_module(), fit.model_matrix(data), fit.model_offset(data)
    assert list(module.names) == list(fit.params.index)
    assert x.shape == (120, len(module.names))
    assert np.isnan(shown(module, x, offset)).nonzero()[0].tolist() == [7]
    np.testing.assert_allclose(shown(module, x, offset), fit.predict(data), rtol=1e-13)
    np.testing.assert_allclose(shown(module, x, offset), fit.fittedvalues, rtol=1e-13)
    np.testing.assert_allclose(shown(module.linear_predictor, x, offset), fit.predict(data, scale="link"), rtol=1e-12)
    new = data.iloc[[3, 90]]  # levels of g are missing from it, and are still columns
    np.testing.assert_allclose(
        shown(module, fit.model_matrix(new), fit.model_offset(new)), fit.predict(new), rtol=1e-13
    )


def test_the_matrix_is_written_in_the_order_of_the_names(fit, data):
    x = pd.DataFrame(fit.model_matrix(), columns=list(fit.params.index))
    assert bool((x["Intercept"].drop(index=7) == 1.0).all())
    np.testing.assert_array_equal(x["a:g[T.q]"], data["a"] * (data["g"] == "q"))
    assert bool(x.loc[7].isna().all())
    without = glm("count ~ a", data, "poisson")
    assert without.model_offset(data).tolist() == [0.0] * 120


def test_offsets_of_every_kind(data):
    new = data.iloc[[1, 2]]
    inside = glm("count ~ a + offset(np.log(time)) + offset(b)", data, "poisson")
    np.testing.assert_allclose(inside.model_offset(new), np.log(new["time"]) + new["b"], rtol=1e-15)
    array = glm("count ~ a", data, "poisson", exposure=data["time"].to_numpy())
    with pytest.raises(errors.DataError, match="exposure="):
        array.model_offset(new)
    np.testing.assert_allclose(array.model_offset(new, exposure=[2.0, 3.0]), np.log([2.0, 3.0]), rtol=1e-15)


def test_a_loaded_fit(fit, data, tmp_path):
    fit.save(tmp_path / "fit")
    again = load(tmp_path / "fit")
    assert torch.equal(again.model_matrix(data.iloc[:5]), fit.model_matrix(data.iloc[:5]))
    assert torch.equal(again.to_module().coefficients, fit.to_module().coefficients)
    with pytest.raises(errors.OptionError, match="without its data"):
        again.model_matrix()


def test_an_aliased_coefficient_counts_as_dropped(data):
    fit = glm("count ~ a + I(2 * a) + b", data, "poisson")
    module = fit.to_module()
    assert float(module.coefficients[2].detach()) == 0.0
    np.testing.assert_allclose(shown(module, fit.model_matrix()), fit.fittedvalues, rtol=1e-13)


def test_a_level_that_the_fit_has_not_seen(fit, data):
    new = data.iloc[:3].assign(g=["p", "z", "q"])
    with pytest.raises(errors.LevelError, match="z"):
        fit.model_matrix(new)
    assert torch.isnan(fit.model_matrix(new, new_levels="nan")).any(1).tolist() == [False, True, False]
    with pytest.raises(errors.OptionError, match="new_levels"):
        fit.model_matrix(new, new_levels="drop")


def test_wrong_matrices(fit):
    with pytest.raises(errors.DataError, match="last dimension holds 7 columns"):
        fit.to_module()(torch.ones(4, 6, dtype=F64))


@pytest.mark.parametrize("kind", ["multinomial", "ordinal", "nominal", "hurdle"])
def test_several_predictors(kind, data):
    fit = {
        "multinomial": lambda: multinomial("grade ~ a + g", data),
        "ordinal": lambda: ordinal("grade ~ a + g", data),
        "nominal": lambda: ordinal("grade ~ b", data, nominal="~ a", scale="~ g"),
        "hurdle": lambda: hurdle("count ~ a + b | b", data),
    }[kind]()
    module, x = fit.to_module(), fit.model_matrix(data)
    assert len(x) == {"nominal": 3, "hurdle": 2}.get(kind, 1)
    assert list(module.names) == list(fit.params.index)
    np.testing.assert_allclose(shown(module, *x), fit.predict(data), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(shown(module, *fit.model_matrix()), fit.predict(data), rtol=1e-12, atol=1e-15)
    with pytest.raises(errors.DataError, match="one a formula"):
        module(*x, x[0])


@pytest.mark.parametrize("kind", ["zero_inflated", "hurdle", "multinomial", "ordinal", "custom"])
def test_offsets_of_several_predictors(kind, data):
    fit = {
        "zero_inflated": lambda: zero_inflated("caught ~ a | b", data, exposure="time"),
        "hurdle": lambda: hurdle("count ~ a | b + offset(time)", data, offset="np.log(b)"),
        "multinomial": lambda: multinomial("grade ~ a", data, offset="time"),
        "ordinal": lambda: ordinal("grade ~ a + offset(b)", data, nominal="~ g", scale="~ time"),
        "custom": lambda: custom("count ~ a", data, lambda y, m: m.exp() - y * m, mean=torch.exp, exposure="time"),
    }[kind]()
    module, x, offset = fit.to_module(), fit.model_matrix(data), fit.model_offset(data)
    assert offset.shape == (120, len(x))
    np.testing.assert_allclose(shown(lambda *x: module(*x, offset=offset), *x), fit.predict(data), rtol=1e-12)
    with pytest.raises(errors.DataError, match=r"has an offset or an exposure: give the module offset=fit\.model_off"):
        module(*x)


def test_offsets_of_other_shapes(fit, data):
    zeros = torch.zeros(120, dtype=F64)
    several = hurdle("count ~ a | b", data)
    module, x = fit.to_module(), fit.model_matrix(data)
    with pytest.raises(errors.DataError, match=r"offset has shape \(120, 1\); fit.model_offset\(data\) gives \(120,\)"):
        module(x, zeros[:, None])
    with pytest.raises(errors.DataError, match=r"offset has shape \(120,\); .* gives \(120, 2\)"):
        several.to_module()(*several.model_matrix(data), offset=zeros)
    with pytest.raises(errors.DataError, match="takes torch tensors; got list as offset"):
        module(x, [0.0] * 120)
    with pytest.raises(errors.DataError, match=r"zeros of that shape, \(120,\)"):
        module(x)
    assert several.model_offset(data).tolist() == [[0.0, 0.0]] * 120
    once = glm("count ~ a", data, "poisson").to_module()
    assert torch.equal(once(x[:, :2], zeros).isnan(), once(x[:, :2]).isnan())


def test_it_exports(fit, data):
    whole = data.drop(index=7)
    module, x, offset = fit.to_module(), fit.model_matrix(whole), fit.model_offset(whole)
    rows = torch.export.Dim("rows")
    program = torch.export.export(module, (x, offset), dynamic_shapes=({0: rows}, {0: rows}))
    np.testing.assert_array_equal(shown(program.module(), x[:11], offset[:11]), shown(module, x[:11], offset[:11]))
    for classes in (
        multinomial("grade ~ a + g", data),
        ordinal("grade ~ a", data, nominal="~ g"),
        hurdle("count ~ a", data),
    ):
        x = classes.model_matrix(whole)
        program = torch.export.export(classes.to_module(), x, dynamic_shapes=(tuple({0: rows} for _ in x),))
        few = [matrix[:11] for matrix in x]
        np.testing.assert_array_equal(shown(program.module(), *few), shown(classes.to_module(), *few))
    zeros = zero_inflated("caught ~ a | b", whole, exposure="time")
    x, offset = zeros.model_matrix(whole), zeros.model_offset(whole)
    shapes = {"x": ({0: rows}, {0: rows}), "offset": {0: rows}}
    program = torch.export.export(zeros.to_module(), x, {"offset": offset}, dynamic_shapes=shapes).module()
    found = program(*[matrix[:11] for matrix in x], offset=offset[:11]).detach()
    np.testing.assert_allclose(found, zeros.predict(whole.iloc[:11]), rtol=1e-12)


def test_training_goes_on_from_a_fit(fit):
    module, x = fit.to_module(), fit.model_matrix()
    keep = ~torch.isnan(x).any(1)
    data = fit.estimate.prepared
    y, offset = data.design.y.to(F64), data.design.offsets[0]
    loss = GLMLoss(fit.family)(module.linear_predictor(x[keep], offset), y)
    loss.backward()
    assert float(module.coefficients.grad.abs().max()) < 1e-9  # it is the maximum


def test_a_head_alone_trains_to_the_fit(data):
    whole = data.drop(index=7)
    x = torch.tensor(whole[["a", "b"]].to_numpy())
    y = torch.tensor(whole["count"].to_numpy(), dtype=F64)
    head = GLMHead(2, "poisson", dtype=F64)
    criterion = GLMLoss(head.family)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200, tolerance_grad=1e-12, tolerance_change=0.0)

    def closure():
        optimizer.zero_grad()
        loss = criterion(head.linear_predictor(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    fit = glm("count ~ a + b", whole, "poisson")
    found = [float(head.linear.bias.detach()), *head.linear.weight.detach()[0].tolist()]
    np.testing.assert_allclose(found, fit.params, atol=1e-6)
    np.testing.assert_allclose(shown(head, x), fit.predict(whole), rtol=1e-5)


def test_heads_that_mean_nothing():
    with pytest.raises(errors.UnknownNameError, match="binomial"):
        GLMHead(3, "binomal")
    with pytest.raises(errors.DataError, match="3 features"):
        GLMHead(3, "binomial")(torch.ones(5, 2))
    head = GLMHead(3, "gamma", "log", bias=False)
    assert head.linear.bias is None
    assert head(torch.zeros(2, 4, 3)).tolist() == [[1.0] * 4] * 2
