"""SGD as it is taught: updates written out, schedules, metrics, callbacks, early stopping, and no polishing."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import SGD, errors, glm, load, multinomial, ordinal
from torchglm.solvers import EarlyStopping, Epoch
from torchglm.solvers.epochs import accuracy

SCHEDULERS = torch.optim.lr_scheduler
PLAIN = {"momentum": 0.0, "average": False}


def unpolished(formula, data, family, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ConvergenceWarning)
        return glm(formula, data, family, solver=SGD(polish=False, **options))


@pytest.fixture(scope="module")
def line() -> pd.DataFrame:
    """x of mean 0 and mean square 1, so that standardised coefficients are the coefficients."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=60)
    x = (x - x.mean()) / x.std()
    return pd.DataFrame({"x": x, "y": 1.0 + 2.0 * x + rng.normal(size=60)})


def descended(line, steps, rate, momentum=0.0) -> np.ndarray:
    """Gradient descent on the mean of (y - X b)^2 / 2 from (mean of y, 0), written out."""
    X, y = np.column_stack([np.ones(len(line)), line["x"]]), line["y"].to_numpy()
    beta, velocity = np.array([y.mean(), 0.0]), np.zeros(2)
    for _ in range(steps):
        velocity = momentum * velocity + X.T @ (X @ beta - y) / len(y)
        beta = beta - rate * velocity
    return beta


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_full_batches_are_gradient_descent(line, momentum):
    fit = unpolished(
        "y ~ x", line, "gaussian", learning_rate=0.1, momentum=momentum, batch_rows=60, epochs=7, average=False
    )
    np.testing.assert_allclose(fit.params, descended(line, 7, 0.1, momentum), rtol=1e-12)


def test_an_update_written_out_is_the_same_as_torchs(line):
    seen = []

    def step(theta, gradient, rate):
        seen.append(rate)
        return theta - rate * gradient

    own = unpolished("y ~ x", line, "gaussian", update=step, learning_rate=0.1, batch_rows=16, epochs=3, average=False)
    torchs = unpolished("y ~ x", line, "gaussian", learning_rate=0.1, batch_rows=16, epochs=3, **PLAIN)
    np.testing.assert_array_equal(own.params, torchs.params)
    assert seen == [0.1] * 12  # four batches an epoch


def test_schedules(line):
    def rates(schedule, every="epoch", epochs=4):
        solver = {"learning_rate": 0.1, "batch_rows": 16, "schedule": schedule, "schedule_every": every}
        return unpolished("y ~ x", line, "gaussian", epochs=epochs, **solver, **PLAIN).trace["learning_rate"].tolist()

    assert rates(lambda o: SCHEDULERS.StepLR(o, 2)) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert rates(lambda o: SCHEDULERS.ExponentialLR(o, 0.5), "batch", 2) == pytest.approx([0.1, 0.1 / 16, 0.1 / 256])
    # from the maximum on, no epoch is better than the first
    plateau = rates(lambda o: SCHEDULERS.ReduceLROnPlateau(o, patience=0, threshold=0.5), epochs=5)
    assert plateau[-1] < 0.1


def test_the_trace_has_epochs_and_metrics(data):
    def closeness(y, mean):
        return 1.0 - (y - mean).abs()

    solver = SGD(epochs=4, batch_rows=64, metrics=["accuracy", "mse", closeness])
    fit = glm("yes ~ a + b + g", data, "binomial", solver=solver)
    trace = fit.trace
    assert fit.converged
    assert trace["epoch"].dropna().tolist() == [0, 1, 2, 3, 4]
    assert bool(trace.loc[5:, ["epoch", "learning_rate", "accuracy", "mse", "closeness"]].isna().all(axis=None))
    share = data["yes"].mean()  # at the start every mean is that
    first = trace.iloc[0]
    assert first["accuracy"] == pytest.approx(max(share, 1 - share), rel=1e-12)
    assert first["mse"] == pytest.approx(share * (1 - share), rel=1e-12)
    assert first["closeness"] == pytest.approx(1 - 2 * share * (1 - share), rel=1e-12)


def test_accuracy_by_hand():
    mean = torch.tensor([0.2, 0.7, 0.5], dtype=torch.float64)
    assert accuracy(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), mean).tolist() == [1.0, 0.0, 0.0]
    assert accuracy(torch.tensor([0.25], dtype=torch.float64), mean[:1]).tolist() == [0.75]
    classes = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]], dtype=torch.float64)
    assert accuracy(torch.tensor([1.0, 2.0], dtype=torch.float64), classes).tolist() == [1.0, 0.0]


def test_metrics_are_weighted(data):
    solver = SGD(epochs=1, metrics="accuracy")
    repeated = data.loc[data.index.repeat(data["w"].astype(int))]
    by_weight = glm("yes ~ a", data, "binomial", freq_weights="w", solver=solver).trace["accuracy"][0]
    assert by_weight == pytest.approx(glm("yes ~ a", repeated, "binomial", solver=solver).trace["accuracy"][0])


@pytest.mark.parametrize("model", [multinomial, ordinal], ids=lambda model: model.__name__)
def test_several_predictors(model, data):
    classes = data.assign(k=pd.cut(data["y"], [-np.inf, 1.0, 2.0, np.inf], labels=["low", "mid", "high"]))
    fit = model("k ~ a + b", classes, solver=SGD(epochs=6, batch_rows=64, metrics="accuracy"))
    other = model("k ~ a + b", classes)
    assert fit.converged
    np.testing.assert_allclose(fit.params, other.params, atol=1e-7)
    chosen = (fit.predict(kind="class").astype(str) == classes["k"].astype(str)).mean()
    start = classes["k"].value_counts(normalize=True).max()
    assert fit.trace["accuracy"][0] == pytest.approx(start)
    assert fit.trace["accuracy"].dropna().iloc[-1] == pytest.approx(chosen, abs=0.05)


def test_callbacks_see_every_epoch(line):
    seen: list[list[Epoch]] = []
    options = {"learning_rate": 0.1, "batch_rows": 60, "epochs": 9, **PLAIN}
    fit = unpolished("y ~ x", line, "gaussian", callbacks=lambda h: seen.append(h) or h[-1].number == 4, **options)
    assert [len(history) for history in seen] == [1, 2, 3, 4, 5]
    assert [epoch.number for epoch in seen[-1]] == [0, 1, 2, 3, 4]
    assert fit.n_steps == 4
    np.testing.assert_allclose(fit.params, descended(line, 4, 0.1), rtol=1e-12)
    for epoch in seen[-1]:
        np.testing.assert_allclose(epoch.theta, descended(line, epoch.number, 0.1), rtol=1e-12)
        residual = line["y"] - epoch.theta[0].item() - epoch.theta[1].item() * line["x"]
        assert epoch.loss == pytest.approx(float((residual**2).sum()) / 2, rel=1e-12)


def history(*losses: float) -> list[Epoch]:
    theta = torch.zeros(1)
    return [Epoch(k, loss, 0.1, theta, {"accuracy": -loss}) for k, loss in enumerate(losses)]


def test_early_stopping():
    stop = EarlyStopping(patience=2)
    assert not stop(history(3.0, 2.0, 2.5))
    assert stop(history(3.0, 2.0, 2.5, 2.1))
    assert not stop(history(3.0, 2.0, 2.5, 1.9))
    assert EarlyStopping(patience=2, min_change=0.2)(history(3.0, 2.0, 1.95, 1.9))
    assert EarlyStopping("accuracy", patience=1)(history(-0.5, -0.7, -0.6))
    assert not EarlyStopping("accuracy", patience=1)(history(-0.5, -0.6, -0.7))
    target = EarlyStopping("accuracy", target=0.9, patience=None)
    assert [target(history(-0.8)), target(history(-0.8, -0.9))] == [False, True]
    assert EarlyStopping(target=1.0, patience=None)(history(2.0, 1.0))
    with pytest.raises(errors.UnknownNameError, match="accuracy"):
        EarlyStopping("acuracy")(history(1.0))


@pytest.mark.parametrize("options", [{"mode": "up"}, {"patience": None}, {"patience": 0}, {"min_change": -1.0}])
def test_early_stopping_that_means_nothing(options):
    with pytest.raises(errors.OptionError):
        EarlyStopping(**options)


@pytest.mark.parametrize("rows", [1, 7])
def test_a_found_rate_suits_the_size_of_the_batches(data, rows):
    fit = unpolished("count ~ a + b + g", data, "poisson", batch_rows=rows, epochs=6)
    loss = fit.trace["loss"]
    best = glm("count ~ a + b + g", data, "poisson").trace["loss"].iloc[-1]
    assert loss[6] - best < 0.25 * (loss[0] - best)


def test_a_start_at_the_maximum(data):
    best = glm("count ~ a + b", data, "poisson")
    again = glm("count ~ a + b", data, "poisson", start=best.params, solver=SGD(epochs=1))
    np.testing.assert_allclose(again.params, best.params, rtol=1e-9)


def test_an_early_stop_is_still_polished(data):
    solver = SGD(epochs=500, batch_rows=64, callbacks=[EarlyStopping(patience=2)])
    fit = glm("count ~ a + b", data, "poisson", solver=solver)
    assert fit.converged
    assert fit.n_steps < 100
    np.testing.assert_allclose(fit.params, glm("count ~ a + b", data, "poisson").params, atol=1e-7)


def test_without_polishing_the_fit_says_so(data, tmp_path):
    solver = SGD(epochs=2, batch_rows=64, polish=False)
    with pytest.warns(errors.ConvergenceWarning, match="after 2 steps: Stopped, as asked.*polish=True"):
        fit = glm("count ~ a + b", data, "poisson", solver=solver)
    best = glm("count ~ a + b", data, "poisson")
    assert not fit.converged
    assert fit.n_steps == 2
    assert "Not converged: Stopped, as asked" in str(fit.summary())
    assert fit.llf < best.llf
    # the information at the point reached, by hand
    X = np.column_stack([np.ones(len(data)), data["a"], data["b"]])
    information = X.T @ (X * np.exp(X @ fit.params.to_numpy())[:, None])
    np.testing.assert_allclose(fit.bse, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-9)
    fit.save(tmp_path / "fit")
    pd.testing.assert_frame_equal(load(tmp_path / "fit").trace, fit.trace)


def test_units_and_origins_change_nothing(data):
    moved = data.assign(a=1000.0 + 50.0 * data["a"], b=data["b"] / 300.0 - 4.0)
    fits = [unpolished("yes ~ a + b + g", one, "binomial", epochs=2, batch_rows=32) for one in (data, moved)]
    np.testing.assert_allclose(fits[0].fittedvalues, fits[1].fittedvalues, rtol=1e-9)
    assert np.ptp(fits[0].fittedvalues) > 0.1


def test_it_starts_at_the_constant_that_the_offset_wants(data):
    busy = data.assign(time=1e4 * data["time"])
    start = glm("count ~ a + b", busy, "poisson", exposure="time", solver=SGD(epochs=1)).trace["loss"][0]
    null = glm("count ~ 1", busy, "poisson", exposure="time").trace["loss"].iloc[-1]
    assert start == pytest.approx(null, abs=0.01)  # 0.1 standard errors are half of 0.1^2


@pytest.mark.parametrize("model", [multinomial, ordinal], ids=lambda model: model.__name__)
def test_classes_have_no_mean_to_be_far_from(model, data):
    few = pd.DataFrame({"k": pd.Categorical(["low", "mid", "high"], ["low", "mid", "high"], ordered=True)})
    for metric in ("mse", "mae"):
        with pytest.raises(errors.OptionError, match=f'metrics="{metric}" needs a mean, which classes do not have'):
            model("k ~ 1", few, solver=SGD(epochs=1, metrics=metric))

    def brier(y, chances):
        return ((chances - torch.nn.functional.one_hot(y.long(), 3)) ** 2).sum(1)

    found = model("k ~ 1", few, solver=SGD(epochs=1, metrics=brier)).trace["brier"]
    assert found[0] == pytest.approx(2.0 / 3.0)  # every class a third


def test_the_same_seed_gives_the_same_numbers(data):
    runs = [unpolished("count ~ a", data, "poisson", epochs=2, batch_rows=32, seed=s).params for s in (1, 1, 2)]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def never(theta, gradient, rate):
    return theta


OPTIONS = [
    ({"update": 3}, "update="),
    ({"update": never}, "needs learning_rate"),
    ({"update": never, "optimizer": "adam", "learning_rate": 0.1}, "give one of them"),
    ({"schedule": 0.1}, "schedule="),
    ({"schedule_every": "step"}, "schedule_every="),
    ({"metrics": "acuracy"}, "Did you mean 'accuracy'"),
    ({"metrics": [3]}, "metrics="),
    ({"callbacks": [3]}, "callbacks="),
    ({"seed": -1}, "seed="),
    ({"seed": 1.5}, "seed="),
]


@pytest.mark.parametrize("options, words", OPTIONS)
def test_options_that_mean_nothing(options, words):
    with pytest.raises(errors.OptionError, match=words):
        SGD(**options)


BROKEN = [
    ({"update": lambda theta, gradient, rate: theta[:1], "learning_rate": 0.1}, "update= returns"),
    ({"update": lambda theta, gradient, rate: None, "learning_rate": 0.1}, "got None"),
    ({"update": lambda theta, gradient: theta, "learning_rate": 0.1}, r"update= failed, called as update\(theta, grad"),
    ({"schedule": lambda optimizer: 0.1}, "schedule= is a function"),
    ({"schedule": lambda epoch: 0.1 / epoch}, "schedule= is a function .* of the optimizer alone it fails"),
    ({"schedule": SCHEDULERS.ExponentialLR}, "schedule= is a function .* fails: .* 'gamma'"),
    ({"metrics": "accuracy"}, "models of classes"),
    ({"metrics": lambda y, mean: (y - mean).sum()}, "one number a row"),
]


@pytest.mark.parametrize("options, words", BROKEN)
def test_functions_that_return_something_else(data, options, words):
    with pytest.raises(errors.OptionError, match=words):
        glm("count ~ a", data, "poisson", solver=SGD(**options))


def test_a_search_that_ends_too_far_to_be_polished_names_its_rate(data):
    with pytest.warns(errors.ConvergenceWarning, match="A smaller learning_rate of SGD"):
        fit = glm("yes ~ a + b", data, "binomial", solver=SGD(learning_rate=1e6))
    assert not fit.converged


def test_a_search_that_diverges_names_its_rate_and_epoch(data):
    with pytest.raises(errors.DomainError, match=r"learning rate 50\.0 in epoch \d"):
        glm("count ~ a + b", data, "poisson", solver=SGD(learning_rate=50.0, batch_rows=64))
    with pytest.raises(errors.DomainError, match="the loss is nan"):
        glm(
            "count ~ a",
            data,
            "poisson",
            solver=SGD(update=lambda theta, gradient, rate: theta * np.nan, learning_rate=0.1),
        )
