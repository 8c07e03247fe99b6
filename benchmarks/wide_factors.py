"""The regression of statsmodels issue 3379: two factors that would be 4,825 columns if they were written out."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.problem import Problem
from benchmarks.report import Options, Section

CONTEST = Contest(
    Problem("negative_binomial", rows=1_988_834, levels=(4762, 64)),
    targets={"glum": 15},
    others=("glum-tight", "glum-fit", "R"),
    absent=(
        (
            "statsmodels",
            "never run here: it writes every level out, 77 GB of model matrix and a peak of 582 GB in its issue 3379",
        ),
        ("scikit-learn, pyfixest", "have no negative binomial"),
    ),
    peak_mb=1500,
)


def run(options: Options) -> list[Section]:
    return [CONTEST.run(options)]
