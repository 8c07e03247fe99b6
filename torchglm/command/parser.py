"""What the command line understands. Every option of `fit` is the argument of that name of the function that fits.

An option that is not given is not passed on: the defaults are those of the functions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

import torchglm

FORMATS = ("text", "md", "html", "latex")
MODELS = (
    "glm",
    "ordinal",
    "multinomial",
    "negative_binomial",
    "tweedie",
    "beta_regression",
    "zero_inflated",
    "hurdle",
    "truncated",
)

EXAMPLES = """\
examples:
  torchglm fit "claims ~ age + C(district)" claims.csv --family poisson --exposure holders --out claims.tglm
  torchglm fit "y ~ x + z" data.parquet --family binomial --cluster firm --summary md
  torchglm predict claims.tglm new.csv --interval confidence --append > predicted.csv
  torchglm summary claims.tglm --exponentiate
  zcat data.csv.gz | torchglm fit "y ~ x" - --tidy - | column -s, -t
  torchrun --nproc-per-node 2 -m torchglm fit "y ~ x" data.parquet --family poisson

A formula, and an expression in place of a column, is code: it is evaluated, as Python. Take none from a stranger.

exit status: 0 done; 1 the work failed, or with --strict, somebody was warned; 2 wrong usage; 130 interrupted.
"""

FIT_TEXT = """\
DATA is a CSV file (.csv, .tsv, also .gz), a Parquet file, or - for CSV on standard input; other names are passed to
torchglm as they are. The summary goes to standard output, warnings and errors go to standard error.

FORMULA is code: it is evaluated, as Python. So are the expressions that some options take.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    shared = _shared()
    top = argparse.ArgumentParser(
        prog="torchglm",
        description="Generalized linear models from R-style formulas.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"torchglm {torchglm.__version__} (torch {torch.__version__})"
    top.add_argument("--version", action="version", version=version)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_add_fit, _add_predict, _add_summary):
        add(commands, shared)
    return top


def _shared() -> argparse.ArgumentParser:
    """The options that every command has."""
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("running")
    group.add_argument("--threads", type=_positive, metavar="N", help="processor threads; all, where not given")
    group.add_argument("--strict", action="store_true", help="exit with 1 where there was a warning")
    group.add_argument("-v", "--traceback", action="store_true", help="show the whole traceback of an error")
    return shared


def _add_fit(commands: argparse._SubParsersAction, shared: argparse.ArgumentParser) -> None:
    fit = commands.add_parser(
        "fit",
        parents=[shared],
        help="fit a model to a file of data",
        description=FIT_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    fit.add_argument("formula", metavar="FORMULA", help='as "y ~ x + C(g)"; see docs/formulas.md')
    fit.add_argument("data", metavar="DATA")
    model = fit.add_argument_group("model")
    model.add_argument("--model", choices=MODELS, default="glm", help="which function fits; glm, where not given")
    model.add_argument("--family", help='a name, with numbers of its own as "tweedie(power=1.5)"')
    model.add_argument("--link", help='a name, as log, or "power(power=0.5)"')
    for name, what in _MODEL_OPTIONS:
        model.add_argument(_flag(name), metavar=name.upper(), help=what)
    rows = fit.add_argument_group("rows", "each a column or an expression of columns")
    for name, what in _ROW_OPTIONS:
        rows.add_argument(_flag(name), metavar="EXPR", help=what)
    rows.add_argument("--by", action="append", metavar="EXPR", help="one model a group; again for a finer grouping")
    rows.add_argument("--missing", choices=("drop", "raise"), help="what to do with rows that miss a value")
    inference = fit.add_argument_group("inference")
    inference.add_argument("--cov", "--covariance", dest="covariance", help='as HC3, CR2, or "HAC(lag=4)"')
    inference.add_argument("--cluster", action="append", metavar="EXPR", help="clusters; again for another way")
    inference.add_argument("--dispersion", type=_number_or_name, help='pearson, deviance, ml, a number, or "~ z"')
    inference.add_argument("--penalty", help="firth or jeffreys")
    search = fit.add_argument_group("search")
    search.add_argument("--solver", help='irls, newton_cg, lbfgs, or "sgd(epochs=5)"')
    search.add_argument("--tolerance", type=float, metavar="SE", help="last step, in standard errors")
    search.add_argument("--max-steps", type=_positive, metavar="N", help="steps at most")
    search.add_argument("--device", help="auto, cpu or cuda")
    search.add_argument("--dtype", choices=("float64", "float32"), help="how numeric columns are kept")
    search.add_argument("--checkpoint", metavar="FILE", help="where a search that is stopped goes on from")
    search.add_argument("--memory-limit", metavar="SIZE", help='of data read piece by piece, as "512 MB"')
    search.add_argument("--cache", metavar="FOLDER", help="where such data are kept as numbers meanwhile")
    out = fit.add_argument_group("output")
    out.add_argument("--out", metavar="FILE", help="save the fit, for predict and summary")
    _add_tables(out, "text, or none where --tidy or --glance writes to standard output")


def _add_predict(commands: argparse._SubParsersAction, shared: argparse.ArgumentParser) -> None:
    predict = commands.add_parser(
        "predict",
        parents=[shared],
        help="predictions of a saved fit for the rows of a file",
        description="One row a row of DATA, in its order; empty where a value is missing. Predicting evaluates the "
        "formula in FIT, which is code.",
    )
    predict.add_argument("fit", metavar="FIT", help="a file that `fit --out` wrote")
    predict.add_argument("data", metavar="DATA", help="CSV, Parquet, or - for CSV on standard input")
    predict.add_argument("--kind", help="response or link; of other models link, mean, probabilities, class, ...")
    predict.add_argument("--se", action="store_true", help="with standard errors")
    predict.add_argument("--interval", choices=("confidence", "simultaneous", "prediction"))
    predict.add_argument("--level", type=_share, default=0.95, help="of the interval; 0.95, where not given")
    predict.add_argument("--new-levels", choices=("raise", "nan"), default="raise", help="of factors, unknown to FIT")
    predict.add_argument("--append", action="store_true", help="put the predictions behind the columns of DATA")
    predict.add_argument("--out", metavar="FILE", default="-", help="CSV or Parquet, by its name; - is standard output")


def _add_summary(commands: argparse._SubParsersAction, shared: argparse.ArgumentParser) -> None:
    summary = commands.add_parser(
        "summary",
        parents=[shared],
        help="the summary of a saved fit",
        description="The summary of a saved fit, on standard output. Nothing is evaluated.",
        argument_default=argparse.SUPPRESS,
    )
    summary.add_argument("fit", metavar="FIT", help="a file that `fit --out` wrote")
    _add_tables(summary, "text, or none where --tidy or --glance writes to standard output")


def _add_tables(group: argparse._ActionsContainer, default: str) -> None:
    group.add_argument(
        "--summary", "--format", dest="summary", choices=(*FORMATS, "none"), help=f"how to print it; {default}"
    )
    group.add_argument("--exponentiate", action="store_true", default=False, help="coefficients as ratios")
    group.add_argument("--stars", action="store_true", default=False, help="significance codes")
    group.add_argument("--level", type=_share, default=0.95, help="of the intervals; 0.95, where not given")
    group.add_argument("--tidy", metavar="FILE", help="write the coefficients as a table; - is standard output")
    group.add_argument("--glance", metavar="FILE", help="write log-likelihood, AIC, ... as a table of one row")


_MODEL_OPTIONS = (
    ("count", "of zero_inflated, hurdle, truncated: poisson or negative_binomial"),
    ("zero_link", "of zero_inflated, hurdle: logit, probit, ..."),
    ("nominal", 'of ordinal: "~ z", effects that differ from cut to cut'),
    ("scale", 'of ordinal: "~ z", effects on the scale'),
    ("base", "of multinomial: the class that the others are compared with"),
    ("kind", "of negative_binomial: NB2 or NB1"),
)
_ROW_OPTIONS = (
    ("weights", "precision weights, or the trials of a proportion"),
    ("freq_weights", "how many rows each row stands for"),
    ("prob_weights", "sampling weights"),
    ("offset", "added to the linear predictor"),
    ("exposure", "its log is added to the linear predictor"),
    ("subset", "a condition: the rows to fit"),
)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _checked(convert: Callable[[str], float], good: Callable[[float], bool], what: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not good(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return read


_positive = _checked(int, lambda value: value > 0, "a positive whole number")
_share = _checked(float, lambda value: 0.0 < value < 1.0, "a number between 0 and 1")


def _number_or_name(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
