"""The checks, under a short name: `torchglm.checks.Calibration(groups=8)`."""

from __future__ import annotations

from torchglm.diagnostics.checks.calibration import Calibration
from torchglm.diagnostics.checks.check import Check, Finding, Subject
from torchglm.diagnostics.checks.collinearity import Collinearity
from torchglm.diagnostics.checks.dispersion import Overdispersion
from torchglm.diagnostics.checks.link import LinkTest
from torchglm.diagnostics.checks.outliers import InfluentialRows, Outliers
from torchglm.diagnostics.checks.separation import Separation
from torchglm.diagnostics.checks.simulated import Simulated
from torchglm.diagnostics.checks.zeros import ZeroInflation

__all__ = [
    "Calibration",
    "Check",
    "Collinearity",
    "Finding",
    "InfluentialRows",
    "LinkTest",
    "Outliers",
    "Overdispersion",
    "Separation",
    "Simulated",
    "Subject",
    "ZeroInflation",
]
