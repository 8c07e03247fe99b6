"""The terms of a model: which columns are whose, and which terms are marginal to which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.rewrite import term_key
from torchglm.design.schema import Schema

INTERCEPT = "Intercept"


@dataclass(frozen=True)
class ModelTerm:
    """A term: its label, the factors in it, and where its columns stand among those of the model."""

    label: str
    key: frozenset[str]
    columns: range

    @property
    def is_intercept(self) -> bool:
        """Whether it is the constant."""
        return not self.key

    def is_margin_of(self, other: ModelTerm) -> bool:
        """Whether the other term has all its factors and more, as a:b has those of a. The constant is nobody's."""
        return not self.is_intercept and self.key < other.key


def model_terms(schema: Schema) -> tuple[ModelTerm, ...]:
    """The terms in the formula's order, the constant among them."""
    terms, start = [], 0
    for term, names in zip(schema.parsed.terms, schema.term_names.values(), strict=True):
        stop = start + len(names)
        terms.append(ModelTerm(term.label if term.factors else INTERCEPT, term_key(term), range(start, stop)))
        start = stop
    return tuple(terms)


def kept_columns(terms: Iterable[ModelTerm], p: int) -> Tensor:
    """(p,) True for the columns of these terms."""
    kept = torch.zeros(p, dtype=torch.bool)
    for term in terms:
        kept[term.columns.start : term.columns.stop] = True
    return kept


def droppable(terms: Sequence[ModelTerm]) -> list[ModelTerm]:
    """The terms that are marginal to no other, as stats::drop.scope."""
    return [t for t in terms if not t.is_intercept and not any(t.is_margin_of(other) for other in terms)]


def addable(candidates: Sequence[ModelTerm]) -> list[ModelTerm]:
    """Of terms that are not in the model, those of which no other is a margin, as stats::add.scope."""
    return [t for t in candidates if not any(other.is_margin_of(t) for other in candidates)]
