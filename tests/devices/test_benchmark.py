"""The benchmark of GPUs runs, here on the processor, at a size that says nothing of speed."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("statsmodels", "glum", "sklearn", "pyfixest", "matplotlib")


@pytest.fixture
def gpu(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("benchmarks.gpu")


@pytest.fixture
def options(gpu) -> Any:
    return import_module("benchmarks.report").Options(quick=True, repeats=2, peers=None, save=False)


def test_the_tables(gpu, options, monkeypatch):
    problem = import_module("benchmarks.problem").Problem
    monkeypatch.setattr(problem, "quick", problem.tiny)
    monkeypatch.setattr(gpu, "GROUPS", 400)
    monkeypatch.setattr(gpu, "COPIED", 1 << 24)
    fits, passes = gpu.measured(torch.device("cpu"), options)
    assert len(fits.rows) == 4
    assert all(len(row) == len(fits.columns) for row in fits.rows)
    assert all(float(row[-2]) < 1e-6 for row in fits.rows)
    assert len(passes.rows) == 3 * 3 + 1
    assert "copy bandwidth" in passes.text()


def test_it_is_not_run_without_a_gpu(gpu, options, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (section,) = gpu.run(options)
    assert "not run" in section.text()


def test_no_other_package_is_needed():
    program = f"import sys, benchmarks.gpu; print([name for name in {OTHERS} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
