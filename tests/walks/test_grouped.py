"""One problem a group of rows, all solved together: the same numbers as a fit of each group by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import IRLS, glm
from torchglm.families.family import resolve_family
from torchglm.families.mean import MeanModel
from torchglm.objective import grouped
from torchglm.objective.objective import Objective
from torchglm.solvers.batch import solve
from torchglm.solvers.solver import Stop


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    sizes = [30, 31, 40, 200, 25, 60]
    frame = pd.DataFrame({"store": np.repeat(range(6), sizes)}).sample(frac=1.0, random_state=1, ignore_index=True)
    n = len(frame)
    frame["x"] = rng.normal(size=n)
    frame["far"] = rng.normal(size=n) + 200.0
    frame["o"] = rng.normal(size=n) / 5
    frame["w"] = rng.uniform(0.5, 2.0, n)
    eta = 0.2 + 0.3 * frame["x"] + 0.1 * frame["store"]
    frame["count"] = rng.poisson(np.exp(eta + frame["o"]))
    frame["yes"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    frame["size"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    return frame


@pytest.mark.parametrize(
    "model", [("poisson", "log", "count"), ("binomial", "probit", "yes"), ("gamma", "log", "size")]
)
def test_each_group_has_the_fit_of_its_own_rows(frame, model, monkeypatch):
    family, link, response = model
    monkeypatch.setattr(grouped, "ENTRIES", 400)
    formula = f"{response} ~ x + far"
    whole = glm(formula, frame, family, link, weights="w", offset="o")
    objective = Objective(whole.estimate.prepared.design, MeanModel(resolve_family(family, link)))
    seen = []
    for problems in grouped.stretches(objective, torch.tensor(frame["store"].to_numpy()), 7):
        start = whole.estimate.solution.theta.expand(len(problems.groups), -1)
        found = solve(problems, start, Stop())
        assert bool(found.converged.all())
        for group, theta in zip(problems.groups.tolist(), found.theta, strict=True):
            one = glm(
                formula, frame[frame["store"] == group], family, link, weights="w", offset="o", solver=IRLS(reuse=False)
            )
            np.testing.assert_allclose(
                objective.layout.to_user(theta), one.params, atol=1e-7 * one.bse.max(), rtol=1e-8
            )
            seen.append(group)
    assert sorted(seen) == list(range(6))  # the seventh has no rows
