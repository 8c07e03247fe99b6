"""Families, links and row likelihoods."""

from __future__ import annotations

from torchglm.families.beta import Beta
from torchglm.families.count import COUNTS, CountModel, PoissonCount
from torchglm.families.custom import Custom, checked, custom
from torchglm.families.exponential import Binomial, Gamma, Gaussian, InverseGaussian, Poisson
from torchglm.families.family import FAMILIES, Family, resolve_family
from torchglm.families.hurdle import Hurdle
from torchglm.families.likelihood import Likelihood, RowTerms
from torchglm.families.link import LINKS, Interval, Link, UnitLink
from torchglm.families.links import resolve_link
from torchglm.families.mean import MeanModel
from torchglm.families.mean_dispersion import MeanDispersion
from torchglm.families.multinomial import Multinomial
from torchglm.families.negative_binomial import NegativeBinomial
from torchglm.families.negative_binomial_size import NegativeBinomialSize
from torchglm.families.ordinal import Ordinal
from torchglm.families.quasi import Quasi, QuasiBinomial, QuasiPoisson
from torchglm.families.truncated import Truncated
from torchglm.families.tweedie import Tweedie
from torchglm.families.zero_inflated import ZeroInflated

__all__ = [
    "COUNTS", "FAMILIES", "LINKS",
    "Beta", "Binomial", "CountModel", "Custom", "Family", "Gamma", "Gaussian", "Hurdle", "Interval", "InverseGaussian",
    "Likelihood", "Link", "MeanDispersion", "MeanModel", "Multinomial", "NegativeBinomial", "NegativeBinomialSize",
    "Ordinal", "Poisson", "PoissonCount", "Quasi", "QuasiBinomial", "QuasiPoisson", "RowTerms", "Truncated", "Tweedie",
    "UnitLink", "ZeroInflated",
    "checked", "custom", "resolve_family", "resolve_link",
]  # fmt: skip
