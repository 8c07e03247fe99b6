from __future__ import annotations

from dataclasses import dataclass, replace

QUICK = 20


@dataclass(frozen=True)
class Problem:
    """One regression: its family, its formula and the size of its data."""

    family: str
    rows: int
    numeric: int = 0
    levels: tuple[int, ...] = ()
    exposure: bool = False
    seed: int = 20_240_229

    @property
    def numeric_names(self) -> list[str]:
        return [f"x{k}" for k in range(1, self.numeric + 1)]

    @property
    def factor_names(self) -> list[str]:
        return [f"f{k}" for k in range(1, len(self.levels) + 1)]

    @property
    def formula(self) -> str:
        return "y ~ " + " + ".join(self.numeric_names + self.factor_names)

    @property
    def width(self) -> int:
        """Coefficients, the intercept among them."""
        return 1 + self.numeric + sum(count - 1 for count in self.levels)

    @property
    def design_bytes(self) -> int:
        """Bytes of the model matrix if every column were written out in float64."""
        return 8 * self.rows * self.width

    @property
    def has_dispersion(self) -> bool:
        return self.family in ("gamma", "tweedie")

    def quick(self) -> Problem:
        """The same question with a twentieth of the rows and of the levels of its wide factors."""
        levels = tuple(max(min(count, 5), count // QUICK) for count in self.levels)
        return replace(self, rows=self.rows // QUICK, levels=levels)

    def tiny(self) -> Problem:
        """The same model on few rows: what is fitted first, so that late imports are neither timed nor weighed."""
        return replace(self, rows=2_000, levels=tuple(3 for _ in self.levels))

    def describe(self) -> str:
        counts = " / ".join(f"{count:,}" for count in self.levels)
        factors = f", factors of {counts} levels" if self.levels else ""
        exposure = ", exposure" if self.exposure else ""
        size = f"{self.rows:,} rows, {self.numeric} numeric columns"
        return f"{self.family}, {size}{factors}{exposure}: p = {self.width:,}"
