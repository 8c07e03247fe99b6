"""Stochastic gradient descent: its options, and an epoch a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchglm import SGD, errors, glm
from torchglm.progress import Bar

OPTIONS = [
    ({"optimizer": "adm"}, errors.UnknownNameError, "Did you mean 'adam'"),
    ({"optimizer": 3}, errors.OptionError, "optimizer="),
    ({"optimizer": dict}, errors.OptionError, "dict is none"),
    ({"optimizer": torch.optim.LBFGS}, errors.OptionError, 'solver="lbfgs"'),
    ({"learning_rate": 0.0}, errors.OptionError, "learning_rate="),
    ({"learning_rate": float("nan")}, errors.OptionError, "learning_rate="),
    ({"learning_rate": "1"}, errors.OptionError, "learning_rate="),
    ({"optimizer": torch.optim.SGD.__call__, "learning_rate": 0.1}, errors.OptionError, "no effect"),
    ({"momentum": 1.0}, errors.OptionError, "momentum="),
    ({"momentum": -0.1}, errors.OptionError, "momentum="),
    ({"batch_rows": 0}, errors.OptionError, "batch_rows="),
    ({"batch_rows": 10.0}, errors.OptionError, "batch_rows="),
    ({"epochs": 0}, errors.OptionError, "epochs="),
    ({"epochs": 1.5}, errors.OptionError, "epochs="),
    ({"epochs": True}, errors.OptionError, "epochs="),
    ({"polish": 3}, errors.OptionError, "polish= is True or False; got 3"),
    ({"average": None}, errors.OptionError, "average="),
]


@pytest.mark.parametrize("options, error, words", OPTIONS)
def test_options_that_mean_nothing(options, error, words):
    with pytest.raises(error, match=words):
        SGD(**options)


def test_a_function_that_returns_no_optimizer(data):
    with pytest.raises(errors.OptionError, match="returned None"):
        glm("count ~ a", data, "poisson", solver=SGD(optimizer=lambda parameters: None))


def test_optimizers_that_take_no_such_step(data):
    with pytest.raises(errors.OptionError, match='solver="lbfgs"'):
        glm("count ~ a", data, "poisson", solver=SGD(optimizer=lambda parameters: torch.optim.LBFGS(parameters)))
    with pytest.raises(errors.OptionError, match="takes no vector of coefficients"):
        glm("count ~ a", data, "poisson", solver=SGD(optimizer=torch.optim.Muon))


@pytest.mark.parametrize("true", [True, np.True_, torch.tensor(True)])
def test_a_callback_stops_the_epochs(data, true):
    solvers = [SGD(epochs=9, batch_rows=64, callbacks=lambda epoch, said=said: said) for said in (true, 1)]
    stopped, going = (glm("count ~ a", data, "poisson", solver=solver).trace for solver in solvers)
    epochs = [int(np.isinf(trace["step_in_se"]).sum()) - 1 for trace in (stopped, going)]  # the start is a row too
    assert epochs == [0, 9]


def test_metrics_without_a_name_are_numbered(data):
    one = lambda y, z: torch.ones_like(y)  # noqa: E731
    two = lambda y, z: 2.0 * torch.ones_like(y)  # noqa: E731
    trace = glm("count ~ a", data, "poisson", solver=SGD(epochs=2, batch_rows=64, metrics=[one, two])).trace
    assert trace.loc[1, ["lambda", "lambda_2"]].tolist() == [1.0, 2.0]


def test_a_step_is_an_epoch(data):
    fit = glm("count ~ a + b + g", data, "poisson", solver=SGD(epochs=4, batch_rows=64))
    trace = fit.trace
    assert fit.converged
    assert len(trace) == fit.n_steps + 1 > 4
    assert list(trace["step"]) == list(range(len(trace)))
    assert np.isinf(trace["step_in_se"][:4]).all()
    assert list(trace["passes"][:5].diff()[1:]) == [2, 2, 2, 2]  # the rows in minibatches, and the loss after them
    assert np.isfinite(trace["loss"]).all()
    assert trace["loss"].iloc[-1] <= trace["loss"][:5].min()


def test_epochs_do_not_count_against_the_largest_number_of_steps(data):
    fit = glm("count ~ a", data, "poisson", solver=SGD(epochs=9, batch_rows=64), max_steps=8)
    assert fit.converged
    assert fit.n_steps > 9
    with pytest.warns(errors.ConvergenceWarning, match="after 10 steps"):
        glm("count ~ a", data, "poisson", solver=SGD(epochs=9, batch_rows=64), max_steps=1)


def test_a_rate_that_diverges_is_named(data):
    with pytest.raises(errors.DomainError, match="diverged at learning rate 1000"):
        glm("count ~ a + b", data, "poisson", solver=SGD(learning_rate=1e3, batch_rows=64))


def test_the_bar_shows_the_loss_while_the_distance_is_unknown():
    shown = []

    class Line:
        def set_postfix_str(self, text: str) -> None:
            shown.append(text)

        def update(self, steps: int) -> None:
            pass

    bar = Bar()
    bar.bar = Line()
    for distance in (float("inf"), 0.5):
        bar([{"seconds": 9.0, "step_in_se": distance, "loss": 12.25}], torch.zeros(2))
    assert shown == ["loss 12.25", "next step 5.0e-01 standard errors"]
