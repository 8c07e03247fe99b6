from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest

from torchglm.report.table import (
    Table,
    estimates,
    latex_escape,
    markdown_escape,
    number,
    p_value,
    significance_code,
    statistic,
)

TABLE = Table((("x_1", "1.5"), ("a|b <c> & d", "-20.25")), ("name", "value"))


class Cells(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.append(data.strip())


def test_text_fills_the_width_and_ends_its_columns_together():
    lines = TABLE.text(40).splitlines()
    assert [len(line) for line in lines] == [40, 40, 40]
    assert [line.split()[-1] for line in lines] == ["value", "1.5", "-20.25"]


def test_text_is_never_narrower_than_its_cells():
    assert TABLE.text(5) == TABLE.text()


def test_html_escapes_its_cells():
    text = TABLE.html()
    assert "<c>" not in text
    assert Cells(text).found == ["name", "value", "x_1", "1.5", "a|b <c> & d", "-20.25"]


def test_markdown_has_one_pipe_more_than_columns_in_each_line():
    lines = TABLE.markdown().splitlines()
    assert [line.replace("\\|", "").count("|") for line in lines] == [3] * 4
    assert r"a\|b \<c> & d" in lines[3]


def test_markdown_without_a_header_has_an_empty_one():
    lines = Table((("a", "1"),)).markdown().splitlines()
    assert len(lines) == 3
    assert set(lines[0]) <= {"|", " "}


def test_latex_has_a_row_for_each_row():
    lines = TABLE.latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lr}"
    assert lines[2] == r"name & value \\"
    assert lines[-3] == r"a\textbar{}b \textless{}c\textgreater{} \& d & -20.25 \\"
    assert lines[-1] == r"\end{tabular}"


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        Table((("a", "b"), ("c",)))


@pytest.mark.parametrize(
    "raw, escaped",
    [
        ("a_b", r"a\_b"),
        ("C(g)[T.b]", "C(g){[}T.b{]}"),
        ("50% {x}", r"50\% \{x\}"),
        ("y ~ x^2", r"y \textasciitilde{} x\textasciicircum{}2"),
    ],
)
def test_latex_escape(raw, escaped):
    assert latex_escape(raw) == escaped


@pytest.mark.parametrize("raw, escaped", [("x_1", "x_1"), ("_x", r"\_x"), ("a*b", r"a\*b"), ("C(g)[T.b]", "C(g)[T.b]")])
def test_markdown_escape(raw, escaped):
    assert markdown_escape(raw) == escaped


@pytest.mark.parametrize(
    "x, shown",
    [
        (0, "0"),
        (54, "54"),
        (1e6, "1000000"),
        (56.76132, "56.7613"),
        (-0.5, "-0.5000"),
        (0.000123456, "0.000123"),
        (1.5e-9, "1.5e-09"),
        (123456.789, "123456.79"),
        (1.23456e15 + 0.5, "1.235e+15"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_number(x, shown):
    assert number(x) == shown


@pytest.mark.parametrize(
    "values, error, shown",
    [
        ([1.25, 0.5], 0.5, ["1.2500", "0.5000"]),
        ([0.00125, 0.000125], 0.000125, ["0.001250", "0.000125"]),
        ([-3482258.63, 890420.38], 890420.38, ["-3482258.6", "890420.4"]),
        ([123456789.0, 2345.6], 2345.6, ["123456789", "2346"]),
        ([1.25e-8, 1e-9], 1e-9, ["1.2500e-08", "1.0000e-09"]),
        ([2.5e11, 1.0], 1.0, ["2.5000e+11", "1.0000e+00"]),
        ([math.nan, math.nan], math.nan, ["NaN", "NaN"]),
        ([0.0, 0.0], 0.0, ["0.0000", "0.0000"]),
        ([0.00025, math.inf], math.inf, ["0.0002500", "inf"]),
    ],
)
def test_numbers_of_one_row_share_their_decimals(values, error, shown):
    assert estimates(values, error) == shown


@pytest.mark.parametrize("exponent", range(-8, 9))
def test_every_scale_keeps_three_digits_of_the_standard_error(exponent):
    coef, error = 1.23456 * 10.0**exponent, 0.0765432 * 10.0**exponent
    shown = [float(cell) for cell in estimates([coef, error], error)]
    assert shown[1] == pytest.approx(error, rel=0.005)
    assert shown[0] == pytest.approx(coef, abs=0.005 * error)


@pytest.mark.parametrize(
    "p, shown", [(0.0, "<0.001"), (0.00099, "<0.001"), (0.001, "0.001"), (0.0496, "0.050"), (1, "1.000")]
)
def test_p_value(p, shown):
    assert p_value(p) == shown


def test_statistic():
    assert [statistic(x) for x in (1.23456, -2e6, math.nan, math.inf)] == ["1.235", "-2.000e+06", "NaN", "inf"]


def test_significance_codes_are_those_of_r():
    assert [significance_code(p) for p in (0.0, 0.005, 0.03, 0.07, 0.2, math.nan)] == ["***", "**", "*", ".", "", ""]
