"""The same fit on a CUDA device."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from torchglm import glm

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("solver", ["irls", "lbfgs", "newton_cg", "sgd"])
def test_a_device_gives_the_numbers_of_the_cpu(data, response, family, link, solver):
    formula = f"{response[family]} ~ a*g + b"
    cpu = glm(formula, data, family, link, device="cpu")
    gpu = glm(formula, data, family, link, device="cuda", solver=solver)
    assert gpu.converged
    pd.testing.assert_series_equal(gpu.params, cpu.params, rtol=1e-8, atol=1e-10)
    pd.testing.assert_series_equal(gpu.bse, cpu.bse, rtol=1e-8)
    pd.testing.assert_series_equal(gpu.fittedvalues, cpu.fittedvalues, rtol=1e-8)
    assert gpu.llf == pytest.approx(cpu.llf, rel=1e-10, nan_ok=True)  # quasi families have none
    assert str(gpu.summary(exponentiate=True))


def test_many_rows_on_a_device(many, response):
    formula = f"{response['poisson']} ~ a + b + c + g"
    cpu, gpu = (glm(formula, many, "poisson", device=device) for device in ("cpu", "cuda"))
    pd.testing.assert_series_equal(gpu.params, cpu.params, rtol=1e-8, atol=1e-10)
    pd.testing.assert_series_equal(gpu.bse, cpu.bse, rtol=1e-6)


@pytest.mark.parametrize("covariance", ["HC0", "HC3", "cluster", "CR2", "CR3", "HAC"])
def test_covariances_on_a_device(data, response, covariance):
    formula = f"{response['poisson']} ~ a*g + b"
    cpu, gpu = (glm(formula, data, "poisson", device=device) for device in ("cpu", "cuda"))
    clusters = {"cluster": [k % 11 for k in range(len(data))]} if covariance in ("cluster", "CR2", "CR3") else {}
    found, expected = (fit.with_covariance(covariance, **clusters).cov_params() for fit in (gpu, cpu))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-7)


@pytest.mark.parametrize("method", ["profile", "score"])
def test_inverted_intervals_on_a_device(data, response, method):
    cpu, gpu = (glm(f"{response['poisson']} ~ a*g + b", data, "poisson", device=d) for d in ("cpu", "cuda"))
    pd.testing.assert_frame_equal(gpu.conf_int(method=method), cpu.conf_int(method=method), rtol=1e-7)


@pytest.mark.parametrize("kind", ["rows", "wild"])
def test_the_bootstrap_on_a_device(data, response, kind):
    cpu, gpu = (glm(f"{response['poisson']} ~ a + b", data, "poisson", device=d) for d in ("cpu", "cuda"))
    found, expected = (fit.bootstrap(20, kind=kind, seed=3).replicates for fit in (gpu, cpu))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
