"""What only a CUDA device can tell: streams, pinned memory, tensor cores, and the same bits at every call."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import torchglm
import torchglm.design.transfer as transfer
from torchglm import IRLS, glm, placing
from torchglm.design.design import Design
from torchglm.numerics.products import long_product
from torchglm.solvers import irls

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

FORMULA = "count ~ a*g + b + h + a:h"


@pytest.fixture
def cuda() -> torch.device:
    return torch.device("cuda")


def test_twice_the_same_bits(many):
    fits = [glm(FORMULA, many, "poisson", device="cuda", cluster="firm") for _ in range(3)]
    for fit in fits[1:]:
        assert fit.params.equals(fits[0].params)
        assert fit.bse.equals(fits[0].bse)
        assert fit.llf == fits[0].llf


@pytest.mark.parametrize("block", [1_000, 16_384])
@pytest.mark.parametrize("stage", [4_096, 16 << 20])
def test_rows_of_the_host(many, monkeypatch, block, stage):
    expected = glm(FORMULA, many, "poisson", device="cpu", weights="w + 1", offset="log(e)")
    monkeypatch.setattr(transfer, "STAGE_BYTES", stage)
    monkeypatch.setattr(placing, "room_on", lambda device: 0.0)
    monkeypatch.setattr(Design, "block_rows", property(lambda self: block))
    found = glm(FORMULA, many, "poisson", device="cuda", weights="w + 1", offset="log(e)")
    assert found.estimate.objective.design.y.device.type == "cpu"
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-8, atol=1e-10)
    pd.testing.assert_series_equal(found.bse, expected.bse, rtol=1e-8)


def test_streamed_rows_stay_within_a_few_blocks(cuda, many):
    design = glm("count ~ a + b + c", many, "poisson", device="cpu").estimate.objective.design.streamed(cuda)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, rows = torch.cuda.memory_allocated(), 2_000
    total = sum(float(block.y.sum()) for block in design.blocks(rows))
    assert total == pytest.approx(float(many["count"].sum()))
    assert torch.cuda.max_memory_allocated() - before < 8 * rows * 8 * 6


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_rough_curvatures_end_at_the_same_place(many, precision):
    expected = glm("count ~ a*b + c", many, "poisson", device="cuda", solver=IRLS(reuse=False), tolerance=1e-11)
    solver = IRLS(curvature=precision, reuse=False)
    found = glm("count ~ a*b + c", many, "poisson", device="cuda", solver=solver, tolerance=1e-11)
    assert ((found.params - expected.params).abs() / expected.bse).max() < 1e-10
    pd.testing.assert_series_equal(found.bse, expected.bse, rtol=1e-10)
    assert found.estimate.solution.point.precision == "float64"


def test_tensor_cores_are_left_as_they_were(cuda):
    before = torch.backends.cuda.matmul.allow_tf32
    left, right = (torch.randn(30, 100_000, dtype=torch.float64, device=cuda) for _ in range(2))
    rough, exact = long_product(left, right, "tf32"), left @ right.T
    assert torch.backends.cuda.matmul.allow_tf32 == before
    assert 0.0 < float((rough - exact).abs().max()) < 2.0  # of sums whose terms have length 300


def test_columns_arrive_whole(cuda, monkeypatch):
    monkeypatch.setattr(transfer, "STAGE_BYTES", 1 << 12)
    courier = transfer.Courier(transfer.Onto(cuda))
    columns = [torch.randn(3, 50_000, dtype=torch.float64), torch.arange(70_000, dtype=torch.int16)[::2]]
    sent = [courier.send(column) for column in columns]
    courier.ready().arrived()
    for column, there in zip(columns, sent, strict=True):
        assert torch.equal(there.cpu(), column)


MODELS = [
    ("ordinal", "rating ~ a + g", {}),
    ("ordinal", "rating ~ a + b", {"nominal": "~ c", "scale": "~ a"}),
    ("multinomial", "rating ~ a + g", {"freq_weights": "w"}),
    ("negative_binomial", "zeros ~ a + h", {}),
    ("zero_inflated", "zeros ~ a + g | b", {"cluster": "firm"}),
    ("hurdle", "zeros ~ a + g | b", {"covariance": "HC0"}),
    ("beta_regression", "share ~ a + g | b", {}),
    ("tweedie", "zeros ~ a + g", {}),
    ("glm", "y ~ a + I(b**2)", {"dispersion": "~ c"}),
    ("glm", "yes ~ a + I(a + 1e-4 * b)", {"family": "binomial"}),
    ("glm", "yes ~ a + g", {"family": "binomial", "penalty": "firth"}),
]


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
@pytest.mark.parametrize("model, formula, arguments", MODELS, ids=lambda value: str(value)[:30])
def test_every_model(data, model, formula, arguments):
    fit = getattr(torchglm, model)
    found, expected = (fit(formula, data, device=device, **arguments) for device in ("cuda", "cpu"))
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-5, atol=1e-7)
    pd.testing.assert_series_equal(found.bse, expected.bse, rtol=1e-5)
    assert str(found.summary())


def test_responses_of_one_design(data):
    named = ["count", "zeros"]
    found, expected = (glm("~ a + g", data, "poisson", responses=named, device=device) for device in ("cuda", "cpu"))
    pd.testing.assert_frame_equal(found.params, expected.params, rtol=1e-7, atol=1e-9)
    pd.testing.assert_frame_equal(found.bse, expected.bse, rtol=1e-7)


def test_a_stream(many, tmp_path):
    many.to_parquet(tmp_path / "rows.parquet", row_group_size=7_000)
    formula, path = "count ~ a*g + bs(b, df=4) + h", str(tmp_path / "*.parquet")
    found = glm(formula, path, "poisson", weights="w + 1", device="cuda", memory_limit="200 MB")
    expected = glm(formula, many, "poisson", weights="w + 1", device="cpu")
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-7, atol=1e-9)
    pd.testing.assert_series_equal(found.bse, expected.bse, rtol=1e-7)


def test_missing_values_are_seen_there(many):
    data = many.assign(a=many["a"].where(many.index % 1_000 > 0))
    found, expected = (glm("count ~ a + g", data, "poisson", device=device) for device in ("cuda", "cpu"))
    assert found.nobs == expected.nobs == 39_960
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-8, atol=1e-10)


def test_a_sample_gives_the_start(many, monkeypatch):
    monkeypatch.setattr(irls, "DEVICE_ROWS", 30_000)
    found, expected = (glm("count ~ a + b + h", many, "poisson", device=device) for device in ("cuda", "cpu"))
    assert found.passes == expected.passes
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-7, atol=1e-9)


def test_in_a_stream_of_the_caller(many):
    expected = glm("count ~ a + b + h", many, "poisson", device="cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(5):
            found = glm("count ~ a + b + h", many, "poisson", device="cuda")
            assert found.params.equals(expected.params)
            assert found.bse.equals(expected.bse)


def test_the_memory_of_a_fit_is_used_by_the_next(cuda, many):
    data = {name: np.tile(many[name], 50) for name in ("count", "a", "b", "c")}  # 64 MB
    held = []
    for _ in range(8):
        glm("count ~ a + b + c", data, "poisson", device="cuda")
        held.append(torch.cuda.memory_reserved(cuda))
    assert held[-1] < 1.5 * held[1]


def test_room_counts_what_torch_keeps(cuda):
    before = transfer.room_on(cuda)
    free = torch.cuda.mem_get_info(cuda)[0]
    torch.empty(free // 4, dtype=torch.uint8, device=cuda)  # free again, and kept for the next
    assert transfer.room_on(cuda) == pytest.approx(before, rel=0.05)


def test_a_model_a_group(data):
    found, expected = (glm("count ~ a + b", data, "poisson", by="firm", device=device) for device in ("cuda", "cpu"))
    pd.testing.assert_frame_equal(found.params, expected.params, rtol=1e-7, atol=1e-9)
    pd.testing.assert_frame_equal(found.bse, expected.bse, rtol=1e-7)
