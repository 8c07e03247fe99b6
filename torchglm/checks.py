"""The checks, under a short name: `torchglm.checks.Calibration(groups=8)`."""

from __future__ import annotations

from torchglm.diagnostics.checks import (
    Calibration,
    Check,
    Collinearity,
    Finding,
    InfluentialRows,
    LinkTest,
    Outliers,
    Overdispersion,
    Separation,
    Simulated,
    Subject,
    ZeroInflation,
)

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
