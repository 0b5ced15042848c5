"""Tables for papers: what they hold, and that each form of them can be read."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser

import docx
import pytest

import poolwise as pw


@pytest.fixture(scope="module")
def table(radon, radon_fit):
    return pw.model_table(pooled=pw.fit("log_radon ~ floor", radon, seed=1), partial=radon_fit)


def test_estimates_with_intervals_below_and_a_foot(table, radon_fit):
    frame, summary = table.frame, radon_fit.summary()
    assert list(frame.columns) == ["pooled", "partial"]
    place = list(frame.index).index("floor")
    line = summary.loc["beta[floor]"]
    assert frame["partial"].iloc[place] == f"{line['mean']:.2f}"
    assert frame["partial"].iloc[place + 1] == f"[{line['5%']:.2f}, {line['95%']:.2f}]"
    assert frame.loc["sd_county[Intercept]", "pooled"] == ""
    assert frame.loc["rows", "partial"] == "919"
    assert frame.loc["groups in county", "partial"] == "85"
    assert frame.loc["R2 conditional", "partial"] == f"{radon_fit.r2().loc['conditional', 'mean']:.2f}"
    assert list(frame.index[-table.foot :]) == ["rows", "groups in county", "R2 marginal", "R2 conditional"]


def test_a_fit_that_is_not_certified_says_so(radon):
    from dataclasses import replace

    fit = pw.fit("log_radon ~ floor", radon, seed=1, draws=50)
    doubtful = replace(fit, result=replace(fit.result, certificate=replace(fit.outcome, passed=False)))
    assert pw.model_table(doubtful).frame.loc["certified", "(1)"] == "no"


def test_one_fit_by_itself(radon_fit):
    own, beside = radon_fit.table(digits=3).frame, pw.model_table(radon_fit, digits=3).frame
    assert (own.to_numpy() == beside.to_numpy()).all()


def test_every_form_holds_every_text(table, tmp_path):
    texts = {text for text in table.frame.to_numpy().ravel() if text}
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            found.append(data)

    Reader().feed(table.to_html())
    assert texts <= set(found)
    lines = table.to_markdown().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    path = table.to_word(tmp_path / "table.docx")
    written = docx.Document(str(path)).tables[0]
    assert [cell.text for cell in written.rows[1].cells] == ["Intercept", *table.frame.iloc[0]]
    assert len(written.rows) == 1 + len(table.frame)
    assert "1.36" in table.to_gt().as_raw_html()
    for text in texts:
        assert text in table.to_markdown()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX")
def test_latex_is_typeset(table, tmp_path):
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}" + table.to_latex() + r"\end{document}"
    (tmp_path / "page.tex").write_text(page)
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path, check=True)


def test_latex_has_no_bare_signs(table):
    lines = [line for line in table.to_latex().splitlines() if not line.startswith("%")]
    assert all(line.replace(r"\_", "").count("_") == 0 for line in lines)
    assert sum(line == r"\midrule" for line in lines) == 2


def test_what_is_no_fit_is_refused(radon_fit, tmp_path):
    with pytest.raises(pw.DataError, match="takes fits, not int"):
        pw.model_table(radon_fit, 3)
    with pytest.raises(pw.DataError, match="one fit or more"):
        pw.model_table()
    with pytest.raises(pw.FileError, match="no folder"):
        pw.model_table(radon_fit).to_word(tmp_path / "no" / "table.docx")


def test_names_break_no_row_and_are_no_markup(radon_fit):
    table = pw.model_table(**{"two\nlines": radon_fit, "<b>x|y\\|": radon_fit, "parameter": radon_fit})
    lines = table.to_markdown().splitlines()
    assert lines[0] == "| | two lines | \\<b>x\\|y\\\\\\| | parameter |"
    assert len(lines) == 2 + len(table.frame) + 2
    assert len(table.to_latex().splitlines()) == 7 + len(table.frame) + 1
    assert table.frame["parameter"].iloc[0] in table.to_gt().as_raw_html()
