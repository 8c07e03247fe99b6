"""Formulas whose columns must be formulaic's, name by name and number by number."""

from __future__ import annotations

import itertools

import pytest
import torch

INTERCEPT = """
1 | x | x + z | x - 1 | 0 + x | -1 + x + z | x + 0 | 1 + x | . - y | (x + z)**2 | i | b | s | g | o | h | w
"""
TRANSFORMS = """
log(x) | np.log(x) | log10(x) | log2(x) | exp(z) | np.exp(z) | np.sqrt(x) | log(x) + log(x):z | I(x) | I(x**2)
x + I(x**2) + I(x**3) | I(x*z) | {x**2} | {x + z} | {x > 1} | I(x > 1) | center(x) | scale(x) | standardize(x)
scale(log(x)) | center(i) | np.maximum(x, 1) | I(i // 2) | I(x / z) | lag(x) | exp(center(z)) | abs(z) | I(abs(z))
exp2(z) | exp10(z)
"""
SPLINES = """
bs(x, df=4) | bs(x, df=5, degree=2) | bs(x, df=4, include_intercept=True) | bs(x, df=4, include_intercept=True) - 1
bs(x, df=4) - 1 | bs(x, knots=[1, 2]) | cs(x, df=4) | cr(x, df=4) | cr(x, df=4) - 1 | cc(x, df=4) | cc(x, df=4) - 1
cr(x, df=4, constraints="center") | cc(x, df=4, constraints="center") | poly(x, degree=3)
poly(x, degree=3, raw=True) | poly(x, degree=2) - 1 | bs(x, df=4):g | bs(x, df=4)*z
poly(x, degree=2):poly(z, degree=2) | g + g:poly(x, degree=2) | cr(x, df=3):h
bs(x, df=4, include_intercept=True):g | bs(log(x), df=4) | poly(x, degree=2)*g*h
"""
CONTRASTS = """
C(g) | C(s) | C(i) | C(b) | C(o) | C(h) - 1 | C(g) - 1 | 0 + C(s) + C(g) | C(g, contr.treatment)
C(g, contr.treatment("mid")) | C(g, contr.treatment(base="high")) | C(s, contr.treatment("red"))
C(i, contr.treatment(3)) | C(g, Treatment("mid")) | C(g, contr.SAS) | C(g, contr.sum) | C(g, contr.helmert)
C(g, contr.helmert(scale=True)) | C(g, contr.helmert(reverse=False)) | C(o, contr.poly)
C(o, contr.poly(scores=[1, 2, 4, 8])) | C(g, contr.diff) | C(g, contr.diff(backward=False)) | C(g, Sum) - 1
C(g, contr.sum) - 1 | C(o, contr.poly) - 1 | C(g, contr.custom([[1, 0], [0, 1], [-1, -1]]))
C(g, [[1, 0], [0, 2], [3, -1]]) | C(g, {"first": [1, 0, 0], "rest": [0, 1, 1]})
C(g, levels=["mid", "low", "high"]) | C(g, contr.sum):C(h, contr.helmert) | C(g, contr.sum)*C(o, contr.poly)
C(g, contr.sum)*x | C(g, contr.poly):x | C(s, contr.treatment("red"))*C(h, contr.sum)*z
C(g, spans_intercept=False) | C(i > 2) | C(g) + C(h, contr.sum) - 1
"""
INTERACTIONS = """
x:z | x*z | x*z*i | x*z - x | x:x | g:h | g*h | g*s | g/h | h/g | g/x | g/(x + z) | (g + h)/x | g*h*s
(g + h + s)**2 | (g + h + s)^2 | (g + x + h)**3 - g:x:h | g:x | x:g | g*x | x*g | g:x - 1 | g + g:x - 1 | g:h - 1
0 + g:h | g:h:s | g + h:s | g:h + s | g:x:h | g*x*h | x + g:x | g:x + g:z | g + x:z:g | b:g | b*g | b:x | i:g | o:h
o*g | s:h:x | h:g + g:h | g + h + g:h + x | h + x:h + g:x + g:h:x | (x + z):(g + h) | (x + z)*(g + h) | g %in% h
h + g %in% h | x + (z + g)*h - h | g*h - g | g*h - h | g*h - g - h | g*h*x - 1 | s*g - 1 | w*g | w:x:g
(x + g + h + s)**2 - 1
"""
NUMBERS_AND_NAMES = """
2:x | x:2 | 2:x:z | 3:g | 0.5:x | Q("odd name") | Q("odd name"):g | `odd name` | `odd name` + x | `odd name`:g
`odd group` | C(`odd group`) | `odd group`*x | log(x):`odd name` | I(`odd name`**2) | C(Q("odd group"))
"""


def listed(*texts: str) -> list[str]:
    return [f"y ~ {part.strip()}" for text in texts for line in text.strip().splitlines() for part in line.split(" | ")]


FORMULAS = listed(INTERCEPT, TRANSFORMS, SPLINES, CONTRASTS, INTERACTIONS, NUMBERS_AND_NAMES)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_columns(formula, frame, same_as_formulaic):
    same_as_formulaic(formula, frame)


@pytest.mark.parametrize(
    "factors", [("g", "h"), ("g", "x"), ("s", "C(o, contr.poly)"), ("g", "h", "s"), ("g", "h", "x"), ("g", "x", "z")]
)
def test_every_pattern_of_marginality(factors, frame, same_as_formulaic):
    sizes = range(1, len(factors) + 1)
    terms = ["1", *(":".join(some) for size in sizes for some in itertools.combinations(factors, size))]
    for size in range(1, len(terms) + 1):
        for some in itertools.combinations(terms, size):
            same_as_formulaic("y ~ 0 + " + " + ".join(some), frame)


def test_a_number_scales_its_term_once(frame, design):
    """formulaic multiplies once a column of the term: by 4 in 2:g:x."""
    torch.testing.assert_close(design("y ~ 0 + 2:g:x", frame).matrix, 2.0 * design("y ~ 0 + g:x", frame).matrix)


def test_there_are_enough_of_them():
    assert len(set(FORMULAS)) == len(FORMULAS) > 150
