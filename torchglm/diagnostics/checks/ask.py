"""Asking the checks: those named, or all that are registered. Importing this module registers ours."""

from __future__ import annotations

from collections.abc import Iterable

from torchglm.diagnostics.checks.calibration import Calibration
from torchglm.diagnostics.checks.check import CHECKS, Check, Finding, Subject
from torchglm.diagnostics.checks.collinearity import Collinearity
from torchglm.diagnostics.checks.dispersion import Overdispersion
from torchglm.diagnostics.checks.link import LinkTest
from torchglm.diagnostics.checks.outliers import InfluentialRows, Outliers
from torchglm.diagnostics.checks.separation import Separation
from torchglm.diagnostics.checks.simulated import Simulated
from torchglm.diagnostics.checks.zeros import ZeroInflation
from torchglm.errors import OptionError

OURS = (
    Separation,
    Collinearity,
    Overdispersion,
    ZeroInflation,
    LinkTest,
    Calibration,
    Outliers,
    InfluentialRows,
    Simulated,
)  # as a page shows them; those of other people follow


def ask(
    subject: Subject, checks: str | Check | type[Check] | Iterable[str | Check | type[Check]] | None
) -> tuple[dict[str, Finding], dict[str, str]]:
    """Findings by name, and of the checks that do not apply the reason; None asks all that are registered.

    Raises: UnknownNameError, OptionError.
    """
    if checks is None:
        checks = dict.fromkeys([*(check.name for check in OURS), *CHECKS.names()])
    elif isinstance(checks, str | Check | type):
        checks = [checks]
    elif not isinstance(checks, Iterable):
        raise OptionError(f"checks= names checks, or holds them; got {checks!r}.")
    findings: dict[str, Finding] = {}
    left_out: dict[str, str] = {}
    for check in [CHECKS.resolve(given, Check) for given in checks]:  # pyright: ignore[reportAbstractUsage]
        found = check.run(subject)
        if isinstance(found, str):
            left_out[check.name] = found
        else:
            findings[check.name] = found
    return findings, left_out
