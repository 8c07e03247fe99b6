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
    assert gpu.llf == pytest.approx(cpu.llf, rel=1e-10)
    assert str(gpu.summary(exponentiate=True))


def test_many_rows_on_a_device(many, response):
    formula = f"{response['poisson']} ~ a + b + c + g"
    cpu, gpu = (glm(formula, many, "poisson", device=device) for device in ("cpu", "cuda"))
    pd.testing.assert_series_equal(gpu.params, cpu.params, rtol=1e-8, atol=1e-10)
    pd.testing.assert_series_equal(gpu.bse, cpu.bse, rtol=1e-6)
