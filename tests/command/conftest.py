from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchglm.command.main import main


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit status, standard output, standard error."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capfd, monkeypatch, tmp_path) -> Callable[..., Ran]:
    """Runs a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Ran:
        try:
            status = main(list(arguments))
        except SystemExit as stop:  # argparse
            status = int(stop.code or 0)
        captured = capfd.readouterr()
        return Ran(status, captured.out, captured.err)

    return command


@pytest.fixture
def frame() -> pd.DataFrame:
    """Counts, classes, weights, text with a comma in it, and a missing value."""
    rng = np.random.default_rng(11)
    n = 120
    x, g = rng.normal(size=n).round(6), rng.integers(0, 3, n)
    e = rng.uniform(0.5, 2.0, n).round(6)
    data = pd.DataFrame(
        {
            "x": x,
            "g": np.array(["a, b", "c", "d"])[g],
            "e": e,
            "w": rng.integers(0, 3, n),
            "firm": rng.integers(0, 12, n),
            "y": rng.poisson(e * np.exp(0.3 + 0.4 * x + 0.2 * g)),
            "rating": np.array(["low", "mid", "top"])[
                np.clip(np.round(x + rng.logistic(size=n)) + 1, 0, 2).astype(int)
            ],
        }
    )
    data.loc[5, "x"] = np.nan
    return data


@pytest.fixture
def csv(frame, tmp_path) -> str:
    """The name of a CSV file of `frame`."""
    frame.to_csv(tmp_path / "data.csv", index=False)
    return "data.csv"


@pytest.fixture
def saved(run, csv, tmp_path) -> Path:
    """A saved Poisson fit of `csv`."""
    done = run("fit", "y ~ x + g", csv, "--family", "poisson", "--exposure", "e", "--out", "fit.tglm")
    assert (done.status, done.err) == (0, "")
    return tmp_path / "fit.tglm"
