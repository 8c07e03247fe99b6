"""Seeds of random numbers."""

from __future__ import annotations

from torchglm.errors import OptionError


def check_seed(seed: object) -> int:
    """The seed, a whole number from 0.

    Raises: OptionError.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed= is a whole number from 0; got {seed!r}.")
    return seed
