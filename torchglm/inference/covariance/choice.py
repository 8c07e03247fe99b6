"""From what a caller asks for to a kind of covariance. Importing this module registers every kind."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from torchglm.design.weights import Probability, Weights
from torchglm.errors import OptionError
from torchglm.inference.computed import Computed
from torchglm.inference.covariance import bias_reduced as _bias_reduced  # noqa: F401  (registers its kinds)
from torchglm.inference.covariance import cluster as _cluster  # noqa: F401
from torchglm.inference.covariance import hac as _hac  # noqa: F401
from torchglm.inference.covariance import robust as _robust  # noqa: F401
from torchglm.inference.covariance.given import Given, is_given, label_of, read_matrix
from torchglm.inference.covariance.kind import COVARIANCES, CovarianceKind, described
from torchglm.inference.record import Record


@dataclass(frozen=True)
class CovarianceOptions:
    """The arguments beside covariance=; None where one was not given."""

    cluster: Any = None
    time: Any = None
    order: Any = None
    lag: int | None = None
    ssc: str | None = None
    df: str | float | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that were given, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


NOTHING = CovarianceOptions()


def resolve_covariance(
    given: Any, weights: Weights | None = None, options: CovarianceOptions = NOTHING
) -> CovarianceKind:
    """The kind that a name, class or instance stands for, with its options.

    None: "cluster" where a cluster is given, else "model"; "model" of sampling weights is their sandwich.
    Raises: UnknownNameError; OptionError for an option that the kind does not take, and for what is no kind.
    """
    if given is None:
        given = "model" if options.cluster is None else "cluster"
    if isinstance(given, str) and given == "model" and isinstance(weights, Probability):
        given = "sampling"
    if isinstance(given, str):
        given = COVARIANCES.get(given)
    is_class = isinstance(given, type) and issubclass(given, CovarianceKind)
    _refuse_unused(given if is_class else type(given), options)
    if is_class:
        return given(**options.given)
    return replace(COVARIANCES.resolve(given, CovarianceKind), **options.given)


def kind_of_fit(given: Any, weights: Weights | None, cluster: Any) -> CovarianceKind:
    """The kind that a fit begins with: the model's own where a matrix or a function is to replace it.

    Raises: as `resolve_covariance`.
    """
    options = CovarianceOptions(cluster=cluster)
    return resolve_covariance("model" if is_given(given) else given, weights, options)


def record_under(record: Record, covariance: Any, options: CovarianceOptions, fit: Any) -> Record:
    """The record of `fit` under another covariance; None: "cluster" with a cluster, else the kind that it has.

    Raises: as `resolve_covariance`; OptionError for a fit that was loaded without its data, and for a matrix that is no
    covariance.
    """
    if is_given(covariance):
        matrix = read_matrix(covariance(fit) if callable(covariance) else covariance, record)
        covariance = Given(matrix, label_of(covariance))
    numbers = record.numbers
    if not isinstance(numbers, Computed):
        raise OptionError("This fit was loaded without its data: its covariance is the one it was saved with.")
    if covariance is None and options.cluster is None:
        covariance = numbers.covariance_kind
    estimate = numbers.estimate
    kind = resolve_covariance(covariance, estimate.prepared.weights, options)
    facts = replace(record.facts, **described(kind, estimate, numbers.dispersion.estimated)._asdict())
    return replace(record, facts=facts, numbers=replace(numbers, covariance_kind=kind))


def _refuse_unused(kind: Any, options: CovarianceOptions) -> None:
    """Nothing, where the kind takes every option.

    Raises: OptionError naming the kinds that do.
    """
    if not issubclass(kind, CovarianceKind):
        return  # which the registry refuses in its own words
    for option in options.given:
        if option not in _options_of(kind):
            takers = [repr(name) for name in COVARIANCES.names() if option in _options_of(COVARIANCES.get(name))]
            raise OptionError(
                f"covariance={kind.name!r} has no use for {option}=. The kinds that have: {', '.join(takers)}."
            )


def _options_of(kind: type[CovarianceKind]) -> set[str]:
    return {f.name for f in fields(kind) if f.init}
