"""Score tests of terms that a fit does not have."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from torchglm.design.prepare import Prepared
from torchglm.design.rewrite import term_key
from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.score import linear_predictor, robust_score, score
from torchglm.inference.hypotheses.term_tests import refuse_zero_dispersion
from torchglm.inference.hypotheses.terms import kept_columns, model_terms
from torchglm.inference.record import Record


@dataclass(frozen=True)
class ScoreTest:
    """Rao's test that added terms explain nothing: `statistic` is chi2 with `df` degrees of freedom."""

    statistic: float
    df: int
    pvalue: float
    terms: str
    robust: bool = False

    def __str__(self) -> str:
        kind = "Robust score" if self.robust else "Score"
        return f"{kind} test of {self.terms}: chi2({self.df}) = {self.statistic:.4f}, p = {self.pvalue:.4g}"


def score_test(record: Record, estimate: Estimate, larger: Prepared, robust: bool) -> ScoreTest:
    """The test of the terms that `larger`, the same rows under a longer formula, has beyond the fit.

    Raises: OptionError where it has none, or none that the columns of the fit do not span.
    """
    from scipy import special

    estimate.refuse_changed_data()
    have = {term_key(term) for term in estimate.prepared.parsed.terms}
    terms = model_terms(larger.schema)
    added = [term for term in terms if term.key not in have]
    shown = " + ".join(term.label for term in added)
    if not added:
        raise OptionError(f"The fit has these terms already: {larger.parsed.text!r} adds none.")
    objective = estimate.objective.on(larger.design)
    eta = linear_predictor(estimate.objective, estimate.solution.theta)
    if robust:
        columns = kept_columns(added, objective.layout.width)
        repeats = isinstance(estimate.prepared.weights, Frequency)
        value, df = robust_score(objective, eta, columns, repeats, shown)
    else:
        refuse_zero_dispersion(record, "A score test")
        found = score(objective, eta)
        value, df = found.value / record.numbers.phi, found.rank - record.facts.rank
    if df <= 0:
        raise OptionError(f"{shown!r} adds nothing: the columns of the fit span it.")
    if not torch.isfinite(torch.tensor(value)):
        raise OptionError(f"The score test of {shown!r} has no dispersion: no degrees of freedom are left.")
    return ScoreTest(value, df, float(special.chdtrc(df, value)), shown, robust)
