"""Calibration: whether responses come out as often, or as large, as their fitted means say, in groups of like means."""

from __future__ import annotations

import numpy as np
import pandas as pd

from torchglm.diagnostics.rows import Rows, used_rows
from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.record import Record
from torchglm.inference.wald import check_level
from torchglm.numerics.weighted_quantiles import quantiles


def check_groups(groups: object) -> int:
    """The number of groups.

    Raises: OptionError for what is no whole number of at least 2.
    """
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 2:
        raise OptionError(f"groups= is a whole number of at least 2; got {groups!r}.")
    return groups


def group_of(rows: Rows, counts: np.ndarray, groups: int) -> np.ndarray:
    """(rows,) the group of each row, cut at the quantiles of the means; equal quantiles leave fewer groups.

    Source: R's cut(mu, unique(quantile(mu, probs)), include.lowest = TRUE), a row standing there `counts` times.
    """
    breaks = np.unique(quantiles(rows.mu, counts, np.linspace(0.0, 1.0, groups + 1)))
    return np.clip(np.searchsorted(breaks, rows.mu, side="left") - 1, 0, max(len(breaks) - 2, 0))


def calibration_curve(record: Record, estimate: Estimate, groups: int, level: float) -> pd.DataFrame:
    """A row a group of fitted means, from the lowest: n, predicted, observed, std.error, lower, upper.

    predicted and observed are means over the group (over trials for a binomial), std.error is that of `observed` if the
    model is true, and lower to upper is predicted -+ a normal quantile of it: where `observed` should lie.
    Raises: OptionError.
    """
    from scipy import special

    check_level(level)
    rows, phi = used_rows(estimate), record.numbers.phi
    w = rows.w * rows.copies
    counts = w if estimate.family.kernel.name == "binomial" else rows.copies
    group = group_of(rows, counts, check_groups(groups))
    sums = {
        name: np.bincount(group, values)
        for name, values in (("n", counts), ("w", w), ("mu", w * rows.mu), ("y", w * rows.y), ("v", w * rows.variance))
    }
    used = sums["w"] > 0
    n, w, mu, y, v = (sums[name][used] for name in ("n", "w", "mu", "y", "v"))
    error = np.sqrt(phi * v) / w
    columns = {"n": n, "predicted": mu / w, "observed": y / w, "std.error": error}
    half = special.ndtri(0.5 + level / 2.0) * error
    columns |= {"lower": mu / w - half, "upper": mu / w + half}
    return pd.DataFrame(columns, index=pd.RangeIndex(1, len(w) + 1, name="group"))
