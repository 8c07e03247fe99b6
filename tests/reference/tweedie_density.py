"""Tweedie log densities in 60 digits, by the plain sum over the number of gammas: writes tweedie_density.json.

python tests/reference/tweedie_density.py
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp

POWERS = (1.001, 1.05, 1.3, 1.5, 1.8, 1.99)
RESPONSES = (0.0, 1e-8, 0.3, 2.5, 400.0, 1e6)
DISPERSIONS = (1e-3, 0.05, 1.0, 30.0)


def log_density(y: float, mu: float, phi: float, power: float) -> mp.mpf:
    y, mu, phi, power = map(mp.mpf, (y, mu, phi, power))
    rate = mu ** (2 - power) / (phi * (2 - power))
    shape, scale = (2 - power) / (power - 1), phi * (power - 1) * mu ** (power - 1)
    if y == 0:
        return -rate
    middle = y ** (2 - power) / (phi * (2 - power))
    spread = mp.sqrt(middle / (1 + shape))
    first, last = max(1, int(middle - 25 * spread - 25)), int(middle + 25 * spread + 80)

    def term(j: int) -> mp.mpf:
        count = -rate + j * mp.log(rate) - mp.loggamma(j + 1)
        return mp.exp(count + (j * shape - 1) * mp.log(y / scale) - y / scale - mp.log(scale) - mp.loggamma(j * shape))

    return mp.log(mp.fsum(term(j) for j in range(first, last + 1)))


def main() -> None:
    mp.mp.dps = 60
    rows = []
    for power in POWERS:
        for y in RESPONSES:
            for phi in DISPERSIONS:
                mu = 1.3 * y if y else 2.0
                if y ** (2 - power) / phi > 2e5:
                    continue  # thousands of terms of 60 digits
                rows.append([y, mu, phi, power, float(log_density(y, mu, phi, power))])
    rows.append([1e5, 9e4, 1e-4, 1.5, float(log_density(1e5, 9e4, 1e-4, 1.5))])  # the sum has 60,000 terms
    lines = ",\n".join(map(json.dumps, rows))
    Path(__file__).with_name("tweedie_density.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
