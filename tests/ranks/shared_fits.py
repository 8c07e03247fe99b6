"""Every public method of fits whose rows lie on several ranks: `python shared_fits.py FOLDER` answers them all.

What a method gives there is one of three things: what one process says, on every rank (EVERYWHERE); what one process
says of the rank's own rows, and nothing of the others (OWN); an error that says why not (REFUSED).
"""

from __future__ import annotations

import inspect
import itertools
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

torch.set_num_threads(1)

import torchglm as tg  # noqa: E402
from torchglm import classification  # noqa: E402
from torchglm.errors import TorchGLMError  # noqa: E402
from torchglm.numerics.ranks import Ranks  # noqa: E402

ROWS = 1_200
Cases = dict[str, Callable[[Any], Any]]


def made() -> pd.DataFrame:
    """Rows of which the second half is unlike the first, so that a share of them has other averages."""
    rng = np.random.default_rng(3)
    late = np.arange(ROWS) >= ROWS // 2
    frame = pd.DataFrame({"x": rng.normal(size=ROWS) + late, "z": rng.uniform(1.0, 3.0, ROWS) + 0.3 * late})
    frame["g"] = np.where(rng.random(ROWS) < 0.3 + 0.4 * late, "b", "a")
    frame["w"] = rng.integers(1, 4, ROWS).astype(float)
    frame["o"] = rng.normal(size=ROWS) / 4 + 0.2 * late
    eta = 0.2 + 0.3 * frame["x"] - 0.2 * frame["z"] + 0.3 * (frame["g"] == "b")
    frame["y"] = rng.poisson(np.exp(eta + frame["o"]))
    frame["many"] = rng.negative_binomial(2, 2.0 / (2.0 + np.exp(eta))) * (rng.random(ROWS) < 0.7)
    frame["yes"] = (rng.random(ROWS) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    frame["size"] = eta + rng.normal(size=ROWS)
    frame.loc[1_000, "size"] += 9.0  # an outlier, on the last rank
    grades = np.digitize(eta + rng.logistic(size=ROWS), [-0.5, 1.0])
    frame["grade"] = pd.Categorical.from_codes(grades, ["low", "mid", "top"], ordered=True)
    frame["kind"] = np.array(["p", "q", "r"])[grades]
    frame.loc[[5, 700, 701], "x"] = np.nan
    frame["half"] = np.where(late, "second", "first")
    frame["firm"] = rng.integers(0, 15, ROWS)
    frame["cost"] = rng.gamma(np.maximum(frame["y"], 1e-9), 2.0) * (frame["y"] > 0)
    frame["share"] = 1.0 / (1.0 + np.exp(-frame["size"]))
    return frame


MODELS: dict[str, Callable[..., Any]] = {
    "poisson": lambda data, **how: tg.glm("y ~ x + z + g", data, "poisson", offset="o", freq_weights="w", **how),
    "gaussian": lambda data, **how: tg.glm("size ~ x + z + g", data, weights="w", **how),
    "binomial": lambda data, **how: tg.glm("yes ~ x + z", data, "binomial", prob_weights="w", **how),
    "ordinal": lambda data, **how: tg.ordinal("grade ~ x + z", data, **how),
    "inflated": lambda data, **how: tg.zero_inflated("many ~ x | 1", data, **how),
    "NB": lambda data, **how: tg.negative_binomial("many ~ x", data, **how),
}
FEW_EPOCHS = tg.SGD(batch_rows=300, epochs=2, learning_rate=0.1)
FITTED: dict[str, Callable[..., Any]] = MODELS | {  # to rows of one rank alone, the other has none
    "multinomial": lambda data, **how: tg.multinomial("kind ~ x", data, **how),
    "hurdle": lambda data, **how: tg.hurdle("many ~ x | x", data, count="negative_binomial", **how),
    "beta": lambda data, **how: tg.beta_regression("share ~ x | z", data, **how),
    "dispersion": lambda data, **how: tg.glm("exp(size) ~ x", data, "gamma", "log", dispersion="~ z", **how),
    "tweedie": lambda data, **how: tg.tweedie("cost ~ x", data, **how),
    "clustered": lambda data, **how: tg.glm("y ~ x", data, "poisson", cluster="firm", **how),
    "HC3": lambda data, **how: tg.glm("y ~ x * g", data, "poisson", covariance="HC3", **how),
    "lbfgs": lambda data, **how: tg.glm("y ~ x", data, "poisson", solver="lbfgs", **how),
    "sgd": lambda data, **how: tg.glm(
        "y ~ x", data, "poisson", solver=tg.SGD(batch_rows=300, epochs=2, learning_rate=0.1), **how
    ),
    "firth": lambda data, **how: tg.glm("yes ~ x", data, "binomial", penalty="firth", **how),
    "trials": lambda data, **how: tg.glm("cbind(yes, many) ~ x", data, "binomial", **how),
}


def module_mean(fit: Any, rows: pd.DataFrame) -> torch.Tensor:
    """What the module of a fit says of complete rows."""
    matrices = fit.model_matrix(rows)
    return fit.to_module()(*(matrices if isinstance(matrices, tuple) else (matrices,))).detach()


# Of every public name that is no plain attribute, how it is called.
CALLS: Cases = {
    "added_variable": lambda fit: fit.added_variable("x", "working"),
    "augment": lambda fit: fit.augment(made())[[".fitted", ".resid"]],
    "bootstrap": lambda fit: fit.bootstrap(3).replicates,
    "calibration_curve": lambda fit: fit.calibration_curve(),
    "check": lambda fit: str(fit.check()),
    "conf_int": lambda fit: fit.conf_int(method="profile", parameters=["x"]),
    "contrast": lambda fit: fit.contrast(made().iloc[:2], [1.0, -1.0]),
    "cov_params": lambda fit: fit.cov_params(),
    "cross_validate": lambda fit: fit.cross_validate(3).folds,
    "get_distribution": lambda fit: fit.get_distribution().mean(),
    "get_influence": lambda fit: fit.get_influence().rstudent,
    "get_prediction": lambda fit: fit.get_prediction(),
    "glance": lambda fit: fit.glance(),
    "influence": lambda fit: fit.influence().drop(columns="is_influential"),
    "jackknife": lambda fit: fit.jackknife().replicates,
    "model_matrix": lambda fit: fit.model_matrix(),
    "model_offset": lambda fit: fit.model_offset(made().iloc[:3]),
    "nonlinear_test": lambda fit: str(fit.nonlinear_test("x / z = 2")),
    "partial_residuals": lambda fit: fit.partial_residuals(),
    "permutation_test": lambda fit: fit.permutation_test(3).replicates,
    "predict": lambda fit: fit.predict(se=True),
    "predictor_rows": lambda fit: fit.predictor_rows().z,
    "pseudo_r2": lambda fit: fit.pseudo_r2(),
    "quantile_residuals": lambda fit: fit.quantile_residuals(1),
    "residuals": lambda fit: fit.residuals(),
    "save": lambda fit: None,
    "score_test": lambda fit: fit.score_test("x:z").pvalue,
    "simulate": lambda fit: fit.simulate(seed=1),
    "summary": lambda fit: str(fit.summary()),
    "surrogate_residuals": lambda fit: fit.surrogate_residuals(1),
    "t_test": lambda fit: fit.t_test("x = z"),
    "tidy": lambda fit: fit.tidy(),
    "to_module": lambda fit: module_mean(fit, made().iloc[:4]),
    "update": lambda fit: fit.update(". ~ . - z").params,
    "wald_test": lambda fit: fit.wald_test("x = 0, z = 0").pvalue,
    "with_covariance": lambda fit: fit.with_covariance("HC1").bse,
    "accuracy": lambda fit: fit.accuracy(),
    "auc": lambda fit: fit.auc(average=None),
    "confusion": lambda fit: fit.confusion(),
    "log_loss": lambda fit: fit.log_loss(),
}
FUNCTIONS: dict[str, Cases] = {
    "poisson": {
        "slopes": lambda fit: tg.slopes(fit, by="g"),
        "comparisons": lambda fit: tg.comparisons(fit, {"z": "iqr", "g": "pairwise"}),
        "predictions": lambda fit: tg.predictions(fit, by="g"),
        "predictions at": lambda fit: tg.predictions(fit, {"g": None}),
        "emmeans": lambda fit: str(tg.emmeans(fit, "g")),
        "anova": lambda fit: tg.anova(fit).frame,
        "anova III": lambda fit: tg.anova(fit, type="III").frame,
        "drop1": lambda fit: tg.drop1(fit, "Rao").frame,
        "add1": lambda fit: tg.add1(fit, "x:z").frame,
        "likelihood_ratio": lambda fit: tg.likelihood_ratio(fit.update(". ~ . - z"), fit).frame,
        "step": lambda fit: tg.step(fit).path.frame,
        "variable": lambda fit: fit.added_variable("w"),
    },
    "binomial": {
        "slopes": lambda fit: tg.slopes(fit),
        "accuracy": classification.accuracy,
        "confusion": classification.confusion,
        "log_loss": classification.log_loss,
        "auc": lambda fit: classification.auc(fit, weights="w"),
        "calibration_curve": lambda fit: fit.calibration_curve(),
        "check": lambda fit: str(fit.check()),
    },
    "gaussian": {
        "check": lambda fit: str(fit.check()),
        "outliers": lambda fit: fit.check("outliers")["outliers"].details,
        "influential": lambda fit: fit.check("influence")["influence"].details,
    },
    "inflated": {
        "zero_inflation_test": lambda fit: tg.zero_inflation_test(fit).pvalue,
        "vuong_test": lambda fit: tg.vuong_test(fit, fit.update("many ~ x | x")).frame,
    },
    "ordinal": {"proportionality_test": lambda fit: tg.proportionality_test(fit).frame},
    "NB": {"poisson_test": lambda fit: tg.poisson_test(fit).pvalue},
}
METHODS = ("poisson", "ordinal")  # whose public names are all looked at
OWN = frozenset({
    "added_variable", "variable", "augment", "fittedvalues", "get_distribution", "get_influence", "get_prediction",
    "influence", "linear_predictor", "model_matrix", "partial_residuals", "predict", "predictor_rows",
    "quantile_residuals", "residuals", "resid_anscombe", "resid_deviance", "resid_pearson", "resid_response",
    "resid_working", "simulate", "surrogate_residuals",
})  # fmt: skip
REFUSED = frozenset(["bootstrap", "cross_validate", "jackknife", "permutation_test"])
LEFT_OUT = frozenset(["call", "estimate", "family", "model", "vector_model", "trace", "fit_history", "passes"])


def public_names(fit: Any) -> list[str]:
    """Of methods and properties; those left out are no numbers, or those of the search."""
    names = [name for name, _ in inspect.getmembers_static(type(fit)) if not name.startswith("_")]
    return [name for name in names if name not in LEFT_OUT]


def flat(value: Any) -> dict[str, Any]:
    """Numbers and text of an answer."""
    if isinstance(value, tuple) and value and isinstance(value[0], torch.Tensor):
        value = torch.cat([one.reshape(-1) for one in value])
    if isinstance(value, torch.Tensor | np.ndarray | float):
        value = np.asarray(value).reshape(len(value) if np.ndim(value) else 1, -1)
    if not isinstance(value, np.ndarray | pd.Series | pd.DataFrame):
        return {"numbers": [], "text": str(value)}
    frame = pd.DataFrame(value)
    numeric = frame.select_dtypes(["number", "bool"])
    text = frame.drop(columns=numeric.columns).astype(str).to_numpy().ravel().tolist()
    return {"numbers": numeric.to_numpy(dtype=float).tolist(), "text": text}


def answers(data: Any) -> dict[str, Any]:
    """Of every case what it gave, or the error."""
    found = {}
    for model, fit_to in MODELS.items():
        fit = fit_to(data)
        cases = {name: CALLS.get(name, lambda one, name=name: getattr(one, name)) for name in public_names(fit)}
        for name, call in ((cases if model in METHODS else {}) | FUNCTIONS.get(model, {})).items():
            try:
                found[f"{model}: {name}"] = flat(call(fit))
            except TorchGLMError as error:
                found[f"{model}: {name}"] = {"error": f"{type(error).__name__}: {error}"}
    for (model, fit_to), half in itertools.product(FITTED.items(), ("first", "second")):
        fit = fit_to(data, subset=f"half == '{half}'")
        found[f"{model}: {half} half"] = flat(pd.DataFrame({"params": fit.params, "bse": fit.bse}))
    return found


def main(folder: str) -> None:
    warnings.simplefilter("ignore")
    rank = Ranks.current().rank
    found = answers(tg.stream(f"{folder}/*.parquet"))
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
