"""compare(): nested fits one against the other, or any fits side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torchglm.coefficients import Coefficients
from torchglm.errors import OptionError
from torchglm.report.comparison import Comparison
from torchglm.report.term_table import TermTable
from torchglm.term_tests import likelihood_ratio


def compare(
    *fits: Coefficients | Iterable[Coefficients] | Mapping[str, Coefficients],
    test: str | None = None,
    names: Sequence[str] | None = None,
    covariance: Any = None,
    cluster: Any = None,
    exponentiate: bool | Sequence[bool] = False,
    stars: bool = False,
    statistic: str | None = "se",
    level: float = 0.95,
    keep: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
    facts: Any = None,
) -> TermTable | Comparison:
    """compare(fit0, fit1): the likelihood-ratio tests of nested fits. compare([fit0, fit1]): their coefficients.

    Of fits one by one, with `test` and `names`, see `likelihood_ratio`. Of one list or dictionary of fits, with all
    arguments but `test`, see `torchglm.report.compare.side_by_side`.
    Raises: OptionError, UnknownNameError.
    """
    side = {
        "covariance": (covariance, None),
        "cluster": (cluster, None),
        "exponentiate": (exponentiate, False),
        "stars": (stars, False),
        "statistic": (statistic, "se"),
        "level": (level, 0.95),
        "keep": (keep, None),
        "drop": (drop, None),
        "labels": (labels, None),
        "facts": (facts, None),
    }
    one_by_one = [fit for fit in fits if isinstance(fit, Coefficients)]
    if one_by_one and len(one_by_one) == len(fits):
        unused = [name for name, (value, default) in side.items() if value is not default and value != default]
        if unused:
            raise OptionError(f"{unused[0]}= is for fits side by side: compare([fit1, fit2], {unused[0]}=...).")
        return likelihood_ratio(*one_by_one, test=test, names=names)
    if len(fits) != 1 or one_by_one:
        raise OptionError(
            "compare() takes fits, as compare(fit0, fit1), or one list of them, as compare([fit0, fit1])."
        )
    if test is not None:
        raise OptionError("test= is for nested fits, one by one: compare(fit0, fit1, test=...).")
    from torchglm.report.compare import side_by_side

    return side_by_side(
        fits[0],  # type: ignore[arg-type]
        names=names,
        covariance=covariance,
        cluster=cluster,
        exponentiate=exponentiate,
        stars=stars,
        statistic=statistic,
        level=level,
        keep=keep,
        drop=drop,
        labels=labels,
        facts=facts,
    )
