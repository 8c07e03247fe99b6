"""Likelihoods of several predictors at R's estimates: logLik, a gradient of zero, standard errors and probabilities."""

from __future__ import annotations

import json
import pathlib
from typing import NamedTuple

import numpy as np
import pytest
import torch
from formulaic import model_matrix
from torch import Tensor

from torchglm.families import (
    Beta,
    Gamma,
    Gaussian,
    Hurdle,
    InverseGaussian,
    Likelihood,
    MeanDispersion,
    Multinomial,
    NegativeBinomialSize,
    Ordinal,
    PoissonCount,
    Truncated,
    ZeroInflated,
)

DENSITIES = json.loads((pathlib.Path(__file__).parent / "likelihoods.json").read_text())

ORDINAL = [f"ordinal_housing_{link}" for link in ("logit", "probit", "cloglog", "loglog", "cauchit")]
MULTINOMIAL = ["multinom_housing", "multinom_quine"]
COUNTS = ["zip_biochemists", "zinb_biochemists", "hurdle_poisson_biochemists", "hurdle_negbin_recreation"]
SIZES = ["nb_estimated_quine", "nb_estimated_recreation", "nb_estimated_sqrt"]


class AtR(NamedTuple):
    """A likelihood with one design a predictor, and R's coefficients of it, in R's order of all of them."""

    likelihood: Likelihood
    y: Tensor
    w: Tensor
    designs: list[Tensor]
    coef: list[Tensor]
    order: list[int]  # places of R's parameters in the coefficients one predictor after the other

    @property
    def z(self) -> Tensor:
        return torch.stack([x @ b for x, b in zip(self.designs, self.coef, strict=True)], dim=1)

    def totals(self, information: str) -> tuple[float, Tensor, Tensor]:
        """The log-likelihood, its gradient and the information matrix, in R's order."""
        terms = self.likelihood.expand(self.y, self.z, information=information)  # pyright: ignore[reportArgumentType]
        gradient = torch.cat([x.T @ (self.w * terms.gradient[:, k]) for k, x in enumerate(self.designs)])
        rows = [
            torch.cat([x.T @ ((self.w * terms.curvature[:, k, l])[:, None] * v) for l, v in enumerate(self.designs)], 1)
            for k, x in enumerate(self.designs)
        ]
        return -float(self.w @ terms.nll), gradient[self.order], torch.cat(rows)[self.order][:, self.order]


def tensor(values) -> Tensor:
    return torch.tensor(np.asarray(values, dtype=float), dtype=torch.float64)


@pytest.fixture
def at_r(reference, request) -> AtR:
    case = reference.cases[request.param]
    model, expected = case["python"], case["expected"]
    frame = reference.read(case["data"])
    left, right = model["formula"].split(" ~ ")

    def design(formula: str, names: list[str]) -> Tensor:
        return tensor(model_matrix(formula, frame)[names])

    x = design(right, expected["coef_names_formulaic"])
    w = tensor(frame[model["weights"]]) if model["weights"] else torch.ones(len(frame), dtype=torch.float64)
    y, one = frame[left], torch.ones(len(frame), 1, dtype=torch.float64)
    if case["kind"] == "ordinal":
        cuts = expected["thresholds"]
        coef = [tensor(expected["coef"]), *(tensor([c]) for c in cuts)]
        likelihood = Ordinal(len(cuts) + 1, model["link"])
        return AtR(
            likelihood, tensor(y.cat.codes), w, [x] + [one] * len(cuts), coef, list(range(x.shape[1] + len(cuts)))
        )
    if case["kind"] == "multinomial":
        coef = [tensor(row) for row in expected["coef"]]
        likelihood = Multinomial(len(coef) + 1)
        return AtR(likelihood, tensor(y.cat.codes), w, [x] * len(coef), coef, list(range(x.shape[1] * len(coef))))
    if case["kind"] == "glm_nb":
        theta = expected["negbin"]["theta"]
        coef = [tensor(expected["coef"]), tensor([np.log(theta)])]
        return AtR(NegativeBinomialSize(model["link"]), tensor(y), w, [x, one], coef, list(range(x.shape[1] + 1)))
    kind = "negative_binomial" if "negbin" in model["family"] else "poisson"
    zero = design(model["zero_formula"].removeprefix("~ "), expected.get("zero_coef_names_formulaic") or ["Intercept"])
    values, size = tensor(expected["coef"]), [one] if kind == "negative_binomial" else []
    many, few = expected["n_count"], expected["n_zero"]
    coef = [values[:many], values[many : many + few], *([values[-1:]] if size else [])]
    mixture = {"zeroinfl": ZeroInflated, "hurdle": Hurdle}[case["kind"]](kind, model["zero_link"])
    return AtR(mixture, tensor(y), w, [x, zero, *size], coef, list(range(len(values))))


@pytest.fixture
def expected(reference, at_r, request) -> dict:
    return reference.cases[request.node.callspec.params["at_r"]]["expected"]


@pytest.mark.parametrize("at_r", [*ORDINAL, "ordinal_quine_logit", *MULTINOMIAL, *COUNTS, *SIZES], indirect=True)
def test_the_log_likelihood_is_that_of_r_and_its_gradient_zero(at_r, expected):
    value, gradient, information = at_r.totals("observed")
    assert value == pytest.approx(expected["loglik"], rel=1e-12)
    step = torch.linalg.solve(information, gradient)
    assert float((step * information.inverse().diagonal().rsqrt()).abs().max()) < 1e-7  # standard errors


@pytest.mark.parametrize("at_r", [*ORDINAL, "ordinal_quine_logit", *MULTINOMIAL, *COUNTS], indirect=True)
def test_the_observed_information_gives_the_covariance_of_r(at_r, expected, close):
    covariance = at_r.totals("observed")[2].inverse()
    close(covariance, expected["vcov"], 1e-8)
    close(covariance.diagonal().sqrt(), expected["se"], 1e-9)


@pytest.mark.parametrize("at_r", SIZES, indirect=True)
def test_the_standard_errors_of_a_size_are_those_of_glm_nb(at_r, expected, close, request):
    negbin, name = expected["negbin"], request.node.callspec.params["at_r"]
    given = at_r.totals("expected")[2].inverse().diagonal().sqrt()
    close(given[:-1], expected["se"], 1e-8)
    close(given[-1] * negbin["theta"], negbin["SE_theta"], 1e-8)
    joint = at_r.totals("observed")[2].inverse().diagonal().sqrt()
    joint[-1] *= negbin["theta"]
    close(joint, DENSITIES["joint"][name], 1e-9)


@pytest.mark.parametrize("at_r", [*ORDINAL, "ordinal_quine_logit", *MULTINOMIAL], indirect=True)
def test_class_probabilities_are_those_of_r(at_r, expected, close):
    probabilities = at_r.likelihood.predictions(at_r.z)["probabilities"]
    close(probabilities[:10], expected["fitted_probs_first10"], 1e-9)


@pytest.mark.parametrize("at_r", COUNTS, indirect=True)
def test_predictions_of_counts_are_those_of_r(at_r, expected, close):
    found, wanted = at_r.likelihood.predictions(at_r.z), expected["predict_first10"]
    part = "structural_zero" if isinstance(at_r.likelihood, ZeroInflated) else "positive"
    names = {"mean": "response_mean", "count": "count_mean", part: "zero", "zero": "prob_of_zero"}
    for ours, theirs in names.items():
        close(found[ours][:10], wanted[theirs], 1e-9)


def tabled(name: str, *parameters: str) -> tuple[Tensor, list[Tensor], np.ndarray]:
    """Responses, parameters and R's log densities."""
    table = DENSITIES[name]
    return tensor(table["y"]), [tensor(table[p]) for p in parameters], np.array(table["value"])


@pytest.mark.parametrize(
    "name, likelihood, second",
    [
        ("negative_binomial", NegativeBinomialSize(), "theta"),
        ("negative_binomial_1", NegativeBinomialSize(kind="NB1"), "theta"),
        ("beta", Beta(), "precision"),
        ("gamma", MeanDispersion(Gamma("log")), "phi"),
        ("gaussian", MeanDispersion(Gaussian()), "phi"),
        ("inverse_gaussian", MeanDispersion(InverseGaussian("log")), "phi"),
    ],
)
def test_log_densities_are_those_of_r(name, likelihood, second):
    y, (mean, scale), wanted = tabled(name, "mean", second)
    link = likelihood.family.link if isinstance(likelihood, MeanDispersion) else likelihood.link
    z = torch.stack([link.link(mean), scale.log()], 1)
    # dnbinom itself is off by 2.5e-11 at theta = 1e6, which 40 digits show.
    np.testing.assert_allclose(-likelihood.nll(y, z), wanted, rtol=5e-11, atol=5e-11)
    np.testing.assert_allclose(-likelihood.expand(y, z).nll, wanted, rtol=5e-11, atol=5e-11)


def test_probabilities_of_mixed_counts_follow_from_those_of_r():
    y, (mean, theta), wanted = tabled("negative_binomial", "mean", "theta")
    none = -theta * torch.log1p(mean / theta)  # log P(0)
    zeros = torch.full_like(y, 0.4)
    z = torch.stack([mean.log(), zeros, theta.log()], 1)
    p, rest = torch.sigmoid(zeros), torch.sigmoid(-zeros)
    inflated = torch.where(y == 0, torch.log(p + rest * none.exp()), rest.log() + tensor(wanted))
    torch.testing.assert_close(-ZeroInflated("negative_binomial").nll(y, z), inflated, rtol=5e-11, atol=5e-11)
    positive = tensor(wanted) - torch.log(-torch.expm1(none))
    hurdle = torch.where(y == 0, rest.log(), p.log() + positive)
    torch.testing.assert_close(-Hurdle("negative_binomial").nll(y, z), hurdle, rtol=5e-11, atol=5e-11)
    some = y > 0
    ours = -Truncated("negative_binomial").nll(y[some], z[some][:, [0, 2]])
    torch.testing.assert_close(ours, positive[some], rtol=5e-11, atol=5e-11)


def test_poisson_probabilities_are_those_of_r():
    y, (mean,), wanted = tabled("poisson", "mean")
    np.testing.assert_allclose(-PoissonCount().nll(y, mean.log()[:, None]), wanted, rtol=1e-12, atol=1e-12)
