"""How a table of fits is rendered."""

from __future__ import annotations

import pickle
from html.parser import HTMLParser

import pytest

from torchglm.report.compare import side_by_side

GOLDEN = """\
                      Comparison of 3 fits
===============================================================
                              (1)           (2)            (3)
Response                   Claims        Claims         Claims
---------------------------------------------------------------
Intercept                 -2.0328       -1.6351        -1.6351
                          (0.0269)      (0.0681)       (0.1092)
District[T.D2]             0.0224        0.0345         0.0345
                          (0.0430)      (0.0430)       (0.0689)
District[T.D3]             0.0133        0.0468         0.0468
                          (0.0503)      (0.0505)       (0.0809)
District[T.D4]             0.2218        0.2470         0.2470
                          (0.0616)      (0.0617)       (0.0988)
Age[T.25-29]                            -0.1563        -0.1563
                                        (0.0828)       (0.1327)
Age[T.30-35]                            -0.2986        -0.2986
                                        (0.0812)       (0.1301)
Age[T.>35]                              -0.5089        -0.5089
                                        (0.0698)       (0.1120)
---------------------------------------------------------------
Family                    poisson       poisson   quasipoisson
Link                          log           log            log
Offset                        yes           yes            yes
Covariance            model-based   model-based    model-based
Observations                   64            64             64
Log-likelihood          -270.4256     -228.7042              -
AIC                      548.8513      471.4084              -
BIC                      557.4868      486.5205              -
Deviance                 223.5298      140.0868       140.0868
Pseudo R2 (McFadden)       0.0230        0.1737              -
Dispersion                      1             1         2.5695
===============================================================
Standard errors in parentheses.
Covariance: model-based, expected information.
(3): the family has no likelihood, AIC and BIC are not defined."""


class Cells(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.append(data.strip())


def test_the_whole_table(fits):
    assert str(side_by_side(fits)) == GOLDEN


@pytest.fixture(scope="module")
def awkward(fits):
    labels = {"District[T.D2]": "50% & <b>_x_|</b>"}
    return side_by_side(fits[:2], names=["a_b", "c|d"], labels=labels, keep=["D2", "D3"], stars=True)


def test_latex(awkward):
    lines = awkward.as_latex().splitlines()
    assert lines[:9] == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Comparison of 2 fits}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & a\_b & c\textbar{}d \\",
        r"Response & Claims & Claims \\",
        r"\midrule",
        r"50\% \& \textless{}b\textgreater{}\_x\_\textbar{}\textless{}/b\textgreater{} & 0.0224 & 0.0345 \\",
    ]
    assert lines[9:13] == [
        r" & (0.0430) & (0.0430) \\",
        r"District{[}T.D3{]} & 0.0133 & 0.0468 \\",
        r" & (0.0503) & (0.0505) \\",
        r"\midrule",
    ]
    assert lines[-2:] == [
        r"+ p \textless{} 0.1, * p \textless{} 0.05, ** p \textless{} 0.01, *** p \textless{} 0.001\par",
        r"\end{table}",
    ]
    assert [lines.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]


def test_latex_of_intervals_opens_no_row_with_a_bracket(fits):
    lines = side_by_side(fits[:1], statistic="ci", keep="D4", facts=[]).as_latex().splitlines()
    assert lines[5:11] == [
        r" & (1) \\",
        r"\midrule",
        r"District{[}T.D4{]} & 0.2218 \\",
        r" & {[}0.1012, 0.3425{]} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_html(awkward):
    text = awkward.as_html()
    assert "<b>" not in text
    found = Cells(text).found
    assert found[:4] == ["Comparison of 2 fits", "a_b", "c|d", "Response"]
    assert "50% & <b>_x_|</b>" in found
    assert awkward._repr_html_() == text


def test_markdown(awkward):
    lines = awkward.as_markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in table} == {4}
    assert r"50% & \<b>\_x\_\|\</b>" in table[3]
    assert lines[-1] == r"+ p \< 0.1, \* p \< 0.05, \*\* p \< 0.01, \*\*\* p \< 0.001"


def test_every_rendering_holds_every_number(fits):
    comparison = side_by_side(fits)
    for text in (str(comparison), comparison.as_html(), comparison.as_markdown(), comparison.as_latex()):
        for part in ("-2.0328", "(0.1120)", "quasipoisson", "-228.7042", "2.5695", "Standard errors in parentheses"):
            assert part in text
    assert repr(comparison) == str(comparison) == comparison.as_text()


def test_a_comparison_can_be_pickled(fits):
    comparison = side_by_side(fits, stars=True)
    assert str(pickle.loads(pickle.dumps(comparison))) == str(comparison)
