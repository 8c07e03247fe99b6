"""Small-sample corrections of robust covariances, by the program whose numbers they give.

n observations, k the rank, G clusters, G_min the fewest over the ways of a multiway clustering; "regress" is the
gaussian family with its identity link.

            rows (HC1)                  clusters, each part of a multiway sum
"r"         n / (n - k)                 G / (G - 1), G the part's own     sandwich::vcovHC, vcovCL(type = "HC0")
"stata"     n / (n - 1), and            G / (G - 1), and with regress     vce(robust), vce(cluster g); vcemway
            n / (n - k) with regress    (n - 1) / (n - k) besides
"fixest"    n / (n - k)                 G_min / (G_min - 1)               ssc(K.adj = TRUE, G.adj = TRUE, G.df = "min")
                                        (n - 1) / (n - k)

What tests refer to where clusters are few: "stata" with regress, and "fixest" where phi is estimated: t(G_min - 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torchglm.errors import OptionError, did_you_mean
from torchglm.inference.estimate import Estimate


@dataclass(frozen=True)
class Correction:
    """The factors of one program: `of_rows` of HC1, `of_clusters` of a part with G clusters, G_min over the ways."""

    of_rows: Callable[[Estimate], float]
    of_clusters: Callable[[int, int, Estimate], float]
    rows_text: Callable[[Estimate], str]
    clusters_text: Callable[[Estimate], str]
    few_clusters: Callable[[Estimate, bool], bool]  # whether tests refer to t(G_min - 1), where phi is estimated or not


def ratio(n: float, df: float) -> float:
    """n / df; NaN with no degrees of freedom left."""
    return n / df if df > 0 else math.nan


def parameters(estimate: Estimate) -> float:
    """(n - 1) / (n - k)."""
    return ratio(estimate.n - 1.0, estimate.df_resid)


def is_regress(estimate: Estimate) -> bool:
    """Whether the model is least squares, which Stata has a command of its own for."""
    return (estimate.family.name, estimate.family.link.name) == ("gaussian", "identity")


def _stata_rows(estimate: Estimate) -> float:
    return ratio(estimate.n, estimate.df_resid if is_regress(estimate) else estimate.n - 1.0)


CORRECTIONS = {
    "r": Correction(
        lambda e: ratio(e.n, e.df_resid),
        lambda g, g_min, e: ratio(g, g - 1),
        lambda e: "n / (n - rank)",
        lambda e: "G / (G - 1)",
        lambda e, estimated: False,
    ),
    "stata": Correction(
        _stata_rows,
        lambda g, g_min, e: ratio(g, g - 1) * (parameters(e) if is_regress(e) else 1.0),
        lambda e: "n / (n - rank)" if is_regress(e) else "n / (n - 1)",
        lambda e: "G / (G - 1) (n - 1) / (n - rank)" if is_regress(e) else "G / (G - 1)",
        lambda e, estimated: is_regress(e),
    ),
    "fixest": Correction(
        lambda e: ratio(e.n, e.df_resid),
        lambda g, g_min, e: ratio(g_min, g_min - 1) * parameters(e),
        lambda e: "n / (n - rank)",
        lambda e: "G / (G - 1) (n - 1) / (n - rank), G the smallest",
        lambda e, estimated: estimated,
    ),
}


def correction(ssc: str) -> Correction:
    """The corrections of a program.

    Raises: OptionError for a name that is none of "r", "stata", "fixest".
    """
    if not isinstance(ssc, str) or ssc not in CORRECTIONS:
        hint = did_you_mean(str(ssc), CORRECTIONS)
        raise OptionError(f'ssc= is "r", "stata" or "fixest"; got {ssc!r}. {hint}')
    return CORRECTIONS[ssc]
