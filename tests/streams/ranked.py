"""Fits of a stream, by however many processes run this: `python ranked.py FOLDER ANSWERS`."""

from __future__ import annotations

import json
import sys

import torch

torch.set_num_threads(1)

import torchglm as tg  # noqa: E402
from torchglm.numerics.ranks import Ranks  # noqa: E402


def main(folder: str, answers: str) -> None:
    data = tg.stream(folder, memory_limit="4 MB")
    fits = {
        "glm": tg.glm("y ~ x0 + x1 + town + scale(x2)", data, "poisson"),
        "weighted": tg.glm("y ~ bs(x0, df=4) + town:size", data, "poisson", offset="log(time)", freq_weights="copies"),
        "clustered": tg.glm("y ~ x0 + x1 + town", data, "poisson", cluster="firm"),
        "robust": tg.glm("y ~ x0 + x1 + year", data, "poisson", covariance="HC3"),
        "negative binomial": tg.negative_binomial("y ~ x0 + x1 + town", data),
        "ordinal": tg.ordinal("grade ~ x0 + x2 + town", data),
        "zero-inflated": tg.zero_inflated("y ~ x0 + x2 | x1", data),
        "labels": tg.glm("bought ~ x0 + x2", data, "binomial"),
    }
    found = {}
    for name, fit in fits.items():
        numbers = [fit.llf, float(fit.nobs), float(fit.rows_dropped)]
        found[name] = [list(fit.params), list(fit.bse), numbers, str(fit.summary())]
    ranks = Ranks.current()
    try:
        tg.glm("y ~ x0", tg.stream(f"{folder}/part 0.parquet"), "poisson", subset="x0 > 0 if x1 else x2")
    except tg.errors.FormulaError as error:
        found["error"] = str(error)
    if ranks.rank == 0:
        with open(answers, "w") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
