"""A first fit on real data: how often do car owners claim, by district, engine and age? Run it with `make demo`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from torchglm import glm

# The order of the levels decides which one is the baseline.
LEVELS = {"Group": ["<1l", "1-1.5l", "1.5-2l", ">2l"], "Age": ["<25", "25-29", "30-35", ">35"]}


def insurance() -> pd.DataFrame:
    """The claims of 64 groups of policyholders, their factors with levels in order."""
    frame = pd.read_csv(Path(__file__).parent / "data" / "insurance.csv")
    return frame.assign(**{name: pd.Categorical(frame[name], levels) for name, levels in LEVELS.items()})


def main() -> None:
    """Fit, print, and say where to go next."""
    formula = "Claims ~ District + Group + Age"
    data = insurance()
    fit = glm(formula, data, family="poisson", exposure="Holders")

    print(f'fit = glm("{formula}", data, family="poisson", exposure="Holders")\n')
    print(fit.summary())

    youngest_over_oldest = 1 / float(fit.tidy(exponentiate=True).set_index("term").loc["Age[T.>35]", "estimate"])
    print(f"\nAll else equal, drivers below 25 claim {youngest_over_oldest:.2f} times as often as those above 35.")
    print("\nNext: fit.summary(exponentiate=True), fit.predict(new_data), fit.tidy()")
    print("README.md is the tour, docs/ the how-to pages; docs/walk.md follows one datum through the code.")


if __name__ == "__main__":
    main()
