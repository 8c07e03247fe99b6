"""The terms of a model: which columns are whose, and which terms are marginal to which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.rewrite import term_key
from torchglm.design.schema import Schema
from torchglm.inference.record import Record
from torchglm.inference.vector import VectorRecord

INTERCEPT = "Intercept"


@dataclass(frozen=True)
class ModelTerm:
    """A term: its label, the factors in it, and where its columns stand among those of the model.

    part  of a model of several formulas, which of them the term is in
    """

    label: str
    key: frozenset[str]
    columns: Sequence[int]
    part: int = 0

    @property
    def is_intercept(self) -> bool:
        """Whether it is the constant."""
        return not self.key

    def is_margin_of(self, other: ModelTerm) -> bool:
        """Whether the other term has all its factors and more, as a:b has those of a. The constant is nobody's."""
        return not self.is_intercept and self.part == other.part and self.key < other.key


def model_terms(schema: Schema) -> tuple[ModelTerm, ...]:
    """The terms in the formula's order, the constant among them."""
    terms, start = [], 0
    for term, names in zip(schema.parsed.terms, schema.term_names.values(), strict=True):
        stop = start + len(names)
        terms.append(ModelTerm(term.label if term.factors else INTERCEPT, term_key(term), range(start, stop)))
        start = stop
    return tuple(terms)


def terms_of(record: Record) -> tuple[ModelTerm, ...]:
    """The terms of a fit's model, whatever its predictors.

    Of several formulas the terms come formula by formula. The constant is that of all predictors, the first of them.
    """
    if not isinstance(record, VectorRecord):
        return model_terms(record.schema)
    each = [model_terms(schema) for schema in record.schemas]
    columns: dict[tuple[int, frozenset[str]], list[int]] = {}
    constants, start = [], 0
    for predictor in record.model.predictors:
        if predictor.part is None:
            constants.append(start)
            start += 1
            continue
        for term in each[predictor.part]:
            if term.is_intercept and not predictor.intercept:
                continue
            places = range(start, start + len(term.columns))
            start = places.stop
            (constants if term.is_intercept else columns.setdefault((predictor.part, term.key), [])).extend(places)
    terms = [ModelTerm(INTERCEPT, frozenset(), tuple(constants))] if constants else []
    for part, found in enumerate(each):
        prefix = _prefix(record, part)
        terms += [
            ModelTerm(prefix + term.label, term.key, tuple(columns[part, term.key]), part)
            for term in found
            if not term.is_intercept
        ]
    return tuple(terms)


def _prefix(record: VectorRecord, part: int) -> str:
    """What tells the terms of a formula from those of the others."""
    if len(record.schemas) == 1:
        return ""
    prefixes = [predictor.prefix for predictor in record.model.predictors if predictor.part == part]
    return prefixes[0] if len(prefixes) == 1 else "nominal:"  # of a cut each


def kept_columns(terms: Iterable[ModelTerm], p: int) -> Tensor:
    """(p,) True for the columns of these terms."""
    kept = torch.zeros(p, dtype=torch.bool)
    for term in terms:
        kept[list(term.columns)] = True
    return kept


def droppable(terms: Sequence[ModelTerm]) -> list[ModelTerm]:
    """The terms that are marginal to no other, as stats::drop.scope."""
    return [t for t in terms if not t.is_intercept and not any(t.is_margin_of(other) for other in terms)]


def addable(candidates: Sequence[ModelTerm]) -> list[ModelTerm]:
    """Of terms that are not in the model, those of which no other is a margin, as stats::add.scope."""
    return [t for t in candidates if not any(other.is_margin_of(t) for other in candidates)]
