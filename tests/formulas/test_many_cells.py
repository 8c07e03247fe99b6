"""Crossed factors of many levels: codes are narrow integers, and their combinations are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm


def made(levels: tuple[int, ...], as_text: bool) -> pd.DataFrame:
    """Every combination of levels twice or more, and a response around its number."""
    rng = np.random.default_rng(sum(levels))
    cells = np.stack([c.ravel() for c in np.meshgrid(*map(np.arange, levels), indexing="ij")], 1).repeat(2, 0)
    data = pd.DataFrame(rng.permutation(cells), columns=list("fgh")[: len(levels)])
    data["y"] = data @ (10.0 ** np.arange(len(levels))) + rng.normal(size=len(data))
    for name in "fgh"[: len(levels)]:
        data[name] = data[name].map("v{:03d}".format) if as_text else data[name].astype("category")
    return data


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("levels", [(30, 5), (40, 6), (128, 2), (200, 3), (300, 3), (3, 130), (12, 11, 2)], ids=str)
def test_a_model_of_all_cells_gives_their_means(levels, as_text):
    data = made(levels, as_text)
    names = list("fgh")[: len(levels)]
    means = data.groupby(names, observed=True)["y"].transform("mean")
    for formula in (f"y ~ {':'.join(names)} - 1", f"y ~ {'*'.join(names)}"):
        fit = glm(formula, data, "gaussian")
        np.testing.assert_allclose(fit.fittedvalues, means, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(fit.predict(data), means, rtol=1e-9, atol=1e-9)
