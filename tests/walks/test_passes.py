"""How often a fit walks over its rows."""

from __future__ import annotations

import numpy as np
import pytest

from torchglm import glm
from torchglm.counts import zero_inflated
from torchglm.design.design import Design

BESIDE = 2  # the check of the responses, which needs no column, and a look at the first block for separation


@pytest.fixture
def loops(monkeypatch) -> list[int]:
    """The rows of every data loop, as they happen."""
    walked: list[int] = []
    blocks = Design.blocks

    def counted(self, rows=None):
        walked.append(self.n)
        return blocks(self, rows)

    monkeypatch.setattr(Design, "blocks", counted)
    return walked


def test_least_squares_is_two_passes(data):
    fit = glm("y ~ a*g + b", data)
    assert (fit.passes, fit.n_steps) == (2, 0)  # the step from the start, and the certificate of its end


@pytest.mark.parametrize("family, most", [("poisson", 7), ("binomial", 7)])
def test_a_canonical_fit_is_a_pass_a_step(data, response, family, most):
    fit = glm(f"{response[family]} ~ a*g + b", data, family)
    assert fit.passes == fit.n_steps + 2 <= most


@pytest.mark.parametrize(
    "name, with_link, most", [("gaussian", None, 4), ("poisson", None, 5), ("binomial", None, 5), ("gamma", "log", 8)]
)
def test_many_rows_take_few_passes(many, response, loops, name, with_link, most):
    fit = glm(f"{response[name]} ~ a + b + c + g", many, name, with_link)
    assert fit.converged
    assert fit.passes <= most
    assert sum(rows == len(many) for rows in loops) <= fit.passes + BESIDE


def test_a_fit_from_its_own_coefficients_is_a_pass(many):
    fit = glm("count ~ a + b + c + g", many, "poisson")
    again = glm("count ~ a + b + c + g", many, "poisson", start=fit.params)
    assert (again.passes, again.n_steps) == (1, 0)
    np.testing.assert_allclose(again.params, fit.params, rtol=0.0, atol=1e-9 * float(fit.bse.min()))


@pytest.mark.parametrize("rows", [400, 40_000])
def test_a_likelihood_that_is_not_convex_takes_newtons_steps(data, many, rows):
    found = many if rows == 40_000 else data
    drawn = np.random.default_rng(1).random(len(found)) < 0.7
    fit = zero_inflated("zeros ~ a + b | c", found.assign(zeros=found["count"] * drawn))
    estimate = fit.estimate
    assert estimate is not None
    assert estimate.solution.point.information == "observed"
    assert fit.passes <= 8
    left = estimate.objective.quadratic(estimate.solution.theta, information="observed")
    assert float(-left.gradient.dot(left.step)) ** 0.5 < 1e-8


@pytest.mark.parametrize("solver", ["irls", "newton_cg", "lbfgs"])
def test_no_pass_is_forgotten(data, response, loops, solver):
    fit = glm("count ~ a*g + b", data, "poisson", solver=solver)
    assert sum(rows == len(data) for rows in loops) <= fit.passes + BESIDE


def test_what_is_shown_twice_is_computed_once(data, loops):
    fit = glm("count ~ a*g + b", data, "poisson")
    str(fit.summary())
    loops.clear()
    str(fit.summary())
    assert (fit.aic, fit.bic, fit.deviance, fit.null_deviance, fit.pearson_chi2) is not None
    assert loops == []


def test_the_trace_counts_what_the_fit_counts(data):
    fit = glm("count ~ a*g + b", data, "poisson")
    assert len(fit.trace) == fit.n_steps + 1
    assert fit.trace["passes"].iloc[-1] <= fit.passes
    assert fit.trace["loss"].is_monotonic_decreasing
    assert fit.trace["seconds"].is_monotonic_increasing
