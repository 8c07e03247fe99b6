"""Tests of terms and of models: anova(), likelihood_ratio(), drop1(), add1() and score tests."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

from torchglm.coefficients import Coefficients, require_fits
from torchglm.design.extend import extended
from torchglm.design.prepare import Prepared
from torchglm.design.rewrite import is_change, term_key, updated, with_terms
from torchglm.design.terms import Parsed, Term
from torchglm.errors import FormulaError, OptionError, UnknownNameError, did_you_mean
from torchglm.fit import Fit
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses import anova as analysis
from torchglm.inference.hypotheses import drop_add, nested
from torchglm.inference.hypotheses.score_test import ScoreTest
from torchglm.inference.hypotheses.score_test import score_test as rao
from torchglm.inference.hypotheses.term_tests import Refits, Tabled, refuse_without_likelihood
from torchglm.inference.hypotheses.terms import ModelTerm, addable, droppable, model_terms, terms_of
from torchglm.placing import placed
from torchglm.report.term_table import TermTable
from torchglm.vector_fit import VectorFit
from torchglm.vector_tests import vector_likelihood_ratio

Scope = str | Sequence[str] | None


def anova(fit: Fit | VectorFit, *others: Fit | VectorFit, type: str | int = "I", test: str | None = None) -> TermTable:
    """The analysis of deviance of a fit, term by term; of several nested fits, one against the other.

    type  "I": terms one after the other, as R's anova(); "II" and "III": as car::Anova()
    test  "F", "Chisq" (likelihood ratio), "Rao" (score) or "Wald"; None: F where phi is estimated, else Chisq

    Every statistic has the dispersion of `fit`. A robust covariance makes the tests Wald tests with it. A model of
    several linear predictors has "Chisq" and "Wald"; its deviance is -2 logLik, and a term of several formulas is
    labelled as its coefficients: "count_x".
    Raises: OptionError, UnknownNameError.
    Source: stats::anova.glm, car::Anova.

    >>> from torchglm import glm
    >>> data = {"x": [1.0, 2, 3, 4, 5, 6], "z": [0.0, 1, 0, 0, 1, 1], "y": [2, 3, 6, 7, 8, 9]}
    >>> anova(glm("y ~ x + z", data, "poisson")).frame.loc["x"].round(4).to_dict()["deviance"]
    6.4977
    """
    require_fits("anova()", fit, *others)
    if others:
        return likelihood_ratio(fit, *others, test=test)
    return shown(analysis.anova(fit.record, fit.estimate, type, test))


def likelihood_ratio(*fits: Coefficients, test: str | None = None, names: Sequence[str] | None = None) -> TermTable:
    """The likelihood-ratio tests of nested fits, each against the one before it: R's anova(fit0, fit1, ...).

    test   "F", "Chisq" or "Rao"; None: F where phi is estimated, else Chisq. phi is that of the largest model
    names  labels of the rows; None: the formulas

    Raises: OptionError for fits of other rows, responses, weights or families, and for models that are not nested.
    """
    if len(fits) < 2:
        raise OptionError("A likelihood ratio needs two fits or more. For the terms of one fit: anova(fit).")
    require_fits("likelihood_ratio()", *fits)
    vector = [fit for fit in fits if isinstance(fit, VectorFit)]
    if vector and len(vector) == len(fits):
        return vector_likelihood_ratio(vector, test, names)
    labels = [fit.formula or f"model {k + 1}" for k, fit in enumerate(fits)] if names is None else list(names)
    if len(labels) != len(fits):
        raise OptionError(f"names= has {len(labels)} names for {len(fits)} fits.")
    what = "A likelihood ratio"
    if vector:
        other = next(fit for fit in fits if not isinstance(fit, VectorFit))
        raise OptionError(
            f"{what} needs models of one kind; here are {vector[0].title.lower()} and the {other.family.name} family "
            "of one linear predictor. Compare their aic or bic; poisson_test(), theta_test() and zero_inflation_test() "
            "know which is the limit of which."
        )
    estimates = [refuse_without_likelihood(fit.record, fit.estimate, what) for fit in fits]
    compared = [
        nested.Labelled(label, fit.record, estimate)
        for label, fit, estimate in zip(labels, fits, estimates, strict=True)
    ]
    return shown(nested.likelihood_ratio(compared, test))


def drop1(fit: Fit | VectorFit, test: str | None = None, scope: Scope = None, *, k: float = 2.0) -> TermTable:
    """What each term that is marginal to no other contributes: the fit without it, by deviance and AIC.

    test   None, "F", "Chisq" (likelihood ratio) or "Rao". R's F has phi = deviance / df, unlike that of anova()
    scope  the terms to drop, "x + C(g)" or a list; None: all that may be dropped while their interactions stay. Of a
           model of several formulas a label of the table or a list of them, as ["count_x", "zero_x"]
    k      what AIC charges for a parameter

    A model of several linear predictors has the test "Chisq"; its deviance is -2 logLik.
    Raises: UnknownNameError for a term of the scope that the fit does not have; OptionError.
    Source: stats::drop1.glm; MASS's drop1 of polr.
    """
    require_fits("drop1()", fit)
    estimate = refuse_without_likelihood(fit.record, fit.estimate, "drop1()")
    terms = terms_of(fit.record)
    if scope is None:
        drop = droppable(terms)
    elif isinstance(fit, VectorFit):
        drop = _labelled(terms, scope)
    else:
        drop = _named(terms, scope_terms(fit, scope))
    return shown(drop_table(fit, Refits(estimate, terms), drop, test, k))


def add1(fit: Fit, scope: Scope, test: str | None = None, *, k: float = 2.0) -> TermTable:
    """What each term of `scope` would add to the fit, by deviance and AIC; all are fitted to the rows of the fit.

    scope  terms "x + C(g)", a list, or a formula "~ . + x^2" of a larger model: those whose margins are all there
    test   None, "F", "Chisq" (likelihood ratio) or "Rao"; F has phi = deviance / df of the larger model, as in R

    Raises: DataError where a term has missing values in rows of the fit; OptionError where nothing can be added.
    Source: stats::add1.glm.
    """
    require_fits("add1()", fit)
    return shown(add_table(fit, scope_terms(fit, scope), caller_of(sys._getframe(1)), test, k))


def score_test(fit: Fit, terms: Scope, caller: Mapping[str, Any], robust: bool) -> ScoreTest:
    """The score test of terms added to a fit, all at once; see `Fit.score_test`."""
    fit.record.refuse_several("A score test")
    estimate = refuse_without_likelihood(fit.record, fit.estimate, "A score test")
    larger = enlarged(fit, estimate, with_terms(estimate.prepared.parsed, scope_terms(fit, terms)), caller)
    return rao(fit.record, estimate, larger, robust)


def shown(tabled: Tabled) -> TermTable:
    """The table as it prints."""
    return TermTable(tabled.title, tabled.frame, tabled.statistic, tabled.notes)


def caller_of(frame: FrameType) -> Mapping[str, Any]:
    """The variables that code at that place sees."""
    return ChainMap(dict(frame.f_locals), frame.f_globals)


def enlarged(fit: Fit, estimate: Estimate, parsed: Parsed, caller: Mapping[str, Any]) -> Prepared:
    """The rows of a fit under a longer formula, on the fit's device."""
    assert fit.call is not None
    larger = extended(estimate.prepared, parsed, caller)
    return placed(larger, estimate.objective.design.device, fit.call.dtype)


def scope_terms(fit: Fit, scope: Scope) -> list[Term]:
    """The terms of a scope: those that text or a list names, or those of a formula, whose `.` is that of the fit."""
    if fit.estimate is None:
        raise OptionError("This fit was loaded without its data, and its submodels cannot be fitted. Fit it again.")
    prepared = fit.estimate.prepared
    if isinstance(scope, str) and is_change(scope):
        return [t for t in updated(prepared.parsed, scope, prepared.source.names).terms if t.factors]
    pieces = [scope] if isinstance(scope, str) else list(scope) if isinstance(scope, Sequence) else []
    if not pieces or not all(isinstance(piece, str) and piece.strip() for piece in pieces):
        raise FormulaError(f"A scope is terms, as 'x + C(g)', or a formula '~ . + x'; got {scope!r}.")
    bare = replace(prepared.parsed, terms=(), offsets=())
    return [t for t in updated(bare, "0 + " + " + ".join(pieces), prepared.source.names).terms if t.factors]


def drop_table(fit: Coefficients, refits: Refits, drop: Sequence[ModelTerm], test: str | None, k: float) -> Tabled:
    """The numbers of drop1()."""
    return drop_add.drop1(fit.record, refits, refits.terms, drop, test, k)


def add_table(fit: Fit, scope: Sequence[Term], caller: Mapping[str, Any], test: str | None, k: float) -> Tabled:
    """The numbers of add1(), of those terms of the scope that the fit lacks and may have."""
    fit.record.refuse_several("add1()")
    estimate = refuse_without_likelihood(fit.record, fit.estimate, "add1()")
    estimate.refuse_changed_data()
    have = {term_key(term) for term in estimate.prepared.parsed.terms}
    new = [term for term in scope if term_key(term) not in have]
    if not new:
        raise OptionError(f"The scope has no term that {fit.formula!r} lacks.")
    parsed = with_terms(estimate.prepared.parsed, new)
    larger = enlarged(fit, estimate, parsed, caller)
    whole = replace(
        estimate,
        prepared=larger,
        objective=estimate.objective.on(larger.design),
        fingerprint=larger.design.fingerprint(),
    )
    terms = model_terms(larger.schema)
    add = addable([term for term in terms if term.key not in have and not term.is_intercept])
    base = [term for term in terms if term.key in have]
    return drop_add.add1(fit.record, Refits(whole, terms), base, add, test, k)


def _labelled(terms: Sequence[ModelTerm], scope: str | Sequence[str]) -> list[ModelTerm]:
    by_label = {term.label: term for term in terms if not term.is_intercept}
    wanted = [scope] if isinstance(scope, str) else list(scope)
    for label in wanted:
        if label not in by_label:
            raise UnknownNameError(f"The fit has no term {label!r}. {did_you_mean(str(label), by_label)}")
    return [by_label[label] for label in wanted]


def _named(terms: Sequence[ModelTerm], wanted: Sequence[Term]) -> list[ModelTerm]:
    by_key = {term.key: term for term in terms}
    for term in wanted:
        if term_key(term) not in by_key:
            labels = [t.label for t in terms if not t.is_intercept]
            raise UnknownNameError(f"The fit has no term {term.label!r}. {did_you_mean(term.label, labels)}")
    return [by_key[term_key(term)] for term in wanted]
