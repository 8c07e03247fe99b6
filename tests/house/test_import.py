"""`import torchglm` costs little more than `import torch, formulaic`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"scipy", "matplotlib", "statsmodels", "pyarrow", "polars", "sklearn", "glum", "sympy", "IPython"}
HEAVY_PARTS = ("torch._dynamo", "torch._inductor", "torch.distributed.tensor")
PROGRAM = """
import json, sys
import torch, formulaic
before = set(sys.modules)
import torchglm
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture(scope="module")
def loaded(root) -> list[str]:
    """The modules that torchglm loads beyond torch and formulaic."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_nothing_heavy_is_loaded(loaded):
    heavy = [name for name in loaded if name.split(".")[0] in HEAVY or name.startswith(HEAVY_PARTS)]
    assert heavy == []


def test_nothing_that_only_unix_has_is_loaded(loaded):
    assert {"resource", "fcntl", "pwd", "termios"}.isdisjoint(loaded)


def test_few_foreign_modules_are_loaded(loaded):
    foreign = [name for name in loaded if name.split(".")[0] != "torchglm"]
    assert len(foreign) <= 60, foreign


def test_the_package_itself_is_loaded(loaded):
    assert "torchglm.errors" in loaded
