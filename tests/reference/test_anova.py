"""anova(), drop1(), add1() and comparisons of nested fits, as stats and car have them. r/tests.R made tests.json."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from torchglm import add1, anova, compare, drop1, glm, likelihood_ratio

TESTS = json.loads((pathlib.Path(__file__).parent / "tests.json").read_text())
TABLES = {table["id"]: table for table in TESTS["tables"]}
COLUMNS = {
    "df": ("df", "Df"),
    "deviance": ("deviance", "Deviance"),
    "df.residual": ("resid_df", "Resid. Df"),
    "residual.deviance": ("resid_dev", "Resid. Dev"),
    "aic": ("AIC",),
    "statistic": (
        *("LR", "F", "chisq", "LRT", "scaled_dev", "rao"),
        *("Rao", "Chisq", "scaled dev.", "Rao score", "scaled Rao sc.", "F value", "F values"),
    ),
    "p.value": ("p", "Pr(>Chi)", "Pr(>F)", "Pr(>Chisq)"),
}


def numbers(values) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def agree(ours, theirs: dict, rtol: float = 1e-7, only: tuple[str, ...] = tuple(COLUMNS)) -> int:
    """The columns that both tables have are the same; how many they are. A statistic of zero is zero to 1e-9."""
    assert len(ours) == len(theirs["term"])
    shared = 0
    for column in only:
        name = next((name for name in COLUMNS[column] if name in theirs), None)
        if name is not None and column in ours:
            wanted = numbers(theirs[name])
            if column == "statistic" and name not in ("F", "F value", "F values"):
                # R writes 0 for a term without a degree of freedom where there is nothing to test
                wanted[numbers(theirs.get("df", theirs.get("Df"))) == 0] = np.nan
            # the tail of a large statistic loses digits, and R goes on where doubles are subnormal
            within = {"rtol": 1e-5, "atol": 1e-300} if column == "p.value" else {"rtol": rtol, "atol": 1e-9}
            np.testing.assert_allclose(ours[column], wanted, **within, err_msg=column)
            shared += 1
    return shared


def unscaled(frame, fit, test: str):
    """R's anova() shows the score statistic before it is divided by phi, and its p-value after it."""
    return frame.assign(statistic=frame["statistic"] * fit.scale) if test == "Rao" else frame


def as_columns(rows: list[dict]) -> dict:
    return {name: [row[name] for row in rows if row["term"] != "Residuals"] for name in rows[-1]}


def fit_of(reference, model: dict):
    return glm(
        model["formula"],
        reference.read(model["data"]),
        model["family"],
        model.get("link"),
        weights=model.get("weights"),
    )


@pytest.mark.needs("anova")
@pytest.mark.parametrize("kind", ["I", "II", "III"])
def test_types(fit, expected, kind):
    tables = {
        "I": {"sequential": None},
        "II": {"type2_LR": "Chisq", "type2_F": "F", "type2_Wald": "Wald"},
        "III": {"type3_LR": "Chisq", "type3_F": "F", "type3_Wald": "Wald"},
    }[kind]
    found = {name: test for name, test in tables.items() if expected["anova"].get(name, {}).get("rows")}
    if not found:
        pytest.skip("R has none")
    for name, test in found.items():
        theirs = as_columns(expected["anova"][name]["rows"])
        ours = anova(fit, type=kind, test=test or expected["anova"][name]["test"])
        assert agree(ours.frame, theirs) >= 3


@pytest.mark.needs("anova")
def test_drop1(fit, expected):
    found = {
        test: expected["anova"][name]["rows"]
        for name, test in (("drop1", None), ("drop1_LRT", "LRT"), ("drop1_rao", "Rao"))
        if name in expected["anova"]
    }
    if not found:
        pytest.skip("R has none")
    for test, rows in found.items():
        theirs = as_columns(rows)
        assert agree(drop1(fit, test=test or expected["anova"]["drop1"]["test"]).frame, theirs) >= 4
        assert ("aic" in drop1(fit).frame) == ("AIC" in theirs)


def without_wool(table):
    """R takes the score of wool about a weighted mean of the working residuals, though the model has no intercept."""
    if isinstance(table, dict):
        keep = [term != "wool" for term in table["term"]]
        return {name: [v for v, kept in zip(values, keep, strict=True) if kept] for name, values in table.items()}
    return table.drop(index="wool")


@pytest.mark.parametrize("name", TABLES)
def test_sequential_score_tests_and_others(reference, name):
    fit = fit_of(reference, TABLES[name]["python"])
    for test, theirs in TABLES[name]["anova"].items():
        ours = unscaled(anova(fit, test=test).frame, fit, test)
        if (name, test) == ("no_intercept", "Rao"):
            ours, theirs = without_wool(ours), without_wool(theirs)
        assert agree(ours, theirs) == 5 + (test != "Chisq")


@pytest.mark.parametrize("name", TABLES)
def test_drop1_by_every_test(reference, name):
    fit = fit_of(reference, TABLES[name]["python"])
    # with weights of zero R's AIC is infinite, for log w is, and the n of its n log(deviance) counts their rows
    zeros = name == "gaussian_zeros"
    columns = tuple(column for column in COLUMNS if column != "aic" or not zeros)
    for test, theirs in TABLES[name]["drop1"].items():
        ours = drop1(fit, test).frame
        if (name, test) == ("no_intercept", "Rao"):
            ours, theirs = without_wool(ours), without_wool(theirs)
        if zeros and test == "Chisq":
            assert ours["statistic"].iloc[1:].to_numpy() * 54 / 36 == pytest.approx(theirs["scaled dev."][1:])
            continue
        assert agree(ours, theirs, only=columns) >= 4
    ours = drop1(fit, k=np.log(fit.nobs)).frame
    assert agree(ours, TABLES[name]["drop1_bic"], only=columns) >= 2


@pytest.mark.parametrize("name", [name for name in TABLES if "add1" in TABLES[name]])
def test_add1(reference, name):
    fit = fit_of(reference, TABLES[name]["python"])
    for test, theirs in TABLES[name]["add1"].items():
        if (name, test) == ("poisson", "Rao"):
            continue  # R adds the offset to the working residuals once more, and shows zeros
        ours = add1(fit, TABLES[name]["scope"].replace("^", "**"), test).frame
        assert list(ours.index) == theirs["term"]
        assert agree(ours, theirs) >= 4


def test_score_tests_with_an_offset(reference):
    fit = fit_of(reference, TABLES["poisson"]["python"])
    table = add1(fit, ["Group:District", "Group:Age"], "Rao").frame["statistic"]
    for term, value in table.iloc[1:].items():
        assert fit.score_test(term).statistic == pytest.approx(value)
        both = compare(fit, fit.update(f"+ {term}"), test="Rao").frame["statistic"].iloc[1]
        assert both == pytest.approx(value)


@pytest.mark.parametrize("kind", ["II", "III"])
@pytest.mark.parametrize("name", [name for name in TABLES if "robust" in TABLES[name]])
def test_robust_wald(reference, name, kind):
    fit = fit_of(reference, TABLES[name]["python"]).with_covariance("HC0")
    theirs = TABLES[name]["robust"][kind]
    ours = anova(fit, type=kind, test="Wald")
    assert agree(ours.frame, theirs) == 3
    assert "HC0" in str(ours)
    if fit.use_t:
        np.testing.assert_allclose(anova(fit, type=kind).frame["statistic"], numbers(theirs["Chisq"]) / theirs["Df"])


@pytest.mark.parametrize("models", TESTS["nested"], ids=lambda models: models["id"])
def test_nested_fits(reference, models):
    data = reference.read(models["data"])
    fits = [glm(formula, data, models["family"], models["link"]) for formula in models["formulas"]]
    for test, theirs in models["tests"].items():
        ours = compare(*fits, test=test)
        largest = max(fits, key=lambda fit: fit.df_model)
        assert agree(unscaled(ours.frame, largest, test), theirs) == 5 + (test != "Chisq")
        assert str(ours) == str(anova(*fits, test=test)) == str(likelihood_ratio(*fits, test=test))
        assert list(ours.frame.index) == models["formulas"]
