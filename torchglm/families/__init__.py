"""Families, links and row likelihoods."""

from __future__ import annotations

from torchglm.families.exponential import Binomial, Gamma, Gaussian, InverseGaussian, Poisson
from torchglm.families.family import FAMILIES, Family, resolve_family
from torchglm.families.likelihood import Likelihood, RowTerms
from torchglm.families.link import LINKS, Interval, Link, UnitLink
from torchglm.families.links import resolve_link
from torchglm.families.mean import MeanModel
from torchglm.families.negative_binomial import NegativeBinomial
from torchglm.families.quasi import Quasi, QuasiBinomial, QuasiPoisson
from torchglm.families.tweedie import Tweedie

__all__ = [
    "FAMILIES", "LINKS",
    "Binomial", "Family", "Gamma", "Gaussian", "Interval", "InverseGaussian", "Likelihood", "Link", "MeanModel",
    "NegativeBinomial", "Poisson", "Quasi", "QuasiBinomial", "QuasiPoisson", "RowTerms", "Tweedie", "UnitLink",
    "resolve_family", "resolve_link",
]  # fmt: skip
