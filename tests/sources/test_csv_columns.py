"""Columns of CSV files that could be read in two ways."""

from __future__ import annotations

import numpy as np
import pytest

import poolwise as pw


def test_a_column_without_values_changes_no_other(tmp_path):
    lines = [f"{k % 7};{k},5;{'01' if k % 2 else '1'};{'yes' if k % 3 else 'no'}" for k in range(1, 41)]
    (tmp_path / "plain.csv").write_text("\n".join(["y;x;g;t", *lines]))
    (tmp_path / "notes.csv").write_text("\n".join(["y;x;g;t;notes", *(f"{line};" for line in lines)]))
    formula = "y ~ x + t + (1 | g)"
    plain, notes = (pw.fit(formula, tmp_path / name, seed=1, draws=50) for name in ("plain.csv", "notes.csv"))
    assert plain.result.model.design.coefficients == notes.result.model.design.coefficients
    assert list(notes.group_coefficients()["g"]) == ["01", "1"]
    np.testing.assert_array_equal(plain.result.beta, notes.result.beta)


def test_a_column_that_is_blank_at_first_is_read_to_its_end(tmp_path):
    late = [f"{k % 5},{'' if k < 21_000 else k % 3}" for k in range(21_500)]
    (tmp_path / "late.csv").write_text("\n".join(["y,x", *late]))
    with pytest.warns(pw.PoolwiseWarning, match="21,000 of 21,500 rows"):
        assert "x" in pw.fit("y ~ x", tmp_path / "late.csv", seed=1, draws=50).result.model.design.coefficients


def test_groups_of_thousands_do_not_begin_with_a_zero(tmp_path):
    rows = [f'{k % 5},"0,{100 + k}","{1 + k % 3},{100 + k}"' for k in range(12)]
    (tmp_path / "commas.csv").write_text("\n".join(["y,x,z", *rows]))
    found = pw.fit("y ~ z", tmp_path / "commas.csv", seed=1, draws=50).frame()
    assert found["z"].tolist() == [1000 * (1 + k % 3) + 100 + k for k in range(12)]
    assert len(pw.fit("y ~ x", tmp_path / "commas.csv", seed=1, draws=50).result.model.design.coefficients) > 2


def test_numbers_among_which_are_infinities(tmp_path):
    (tmp_path / "inf.csv").write_text("y,x\n1,inf\n2,1\n3,2.5\n4,-inf\n5,1\n")
    with pytest.raises(pw.DataError, match="'x' is inf in row 1"):
        pw.fit("y ~ x", tmp_path / "inf.csv", draws=50)


def labels_of(cells, path):
    rows = "\n".join(f"{(k * 7919 % 13) / 10},{cells[k % len(cells)]}" for k in range(40))
    path.write_text(f"y,g\n{rows}\n")
    return [str(label) for label in pw.fit("y ~ 1 + (1 | g)", path, seed=1, draws=50).group_coefficients()["g"]]


@pytest.mark.parametrize(
    "cells", [["1000", "1E3", "2"], ["0", "00", "1"], ["0", "0E1"], ["12345678901234567890", "12345678901234567891"]]
)
def test_labels_that_are_one_number_stay_apart(cells, tmp_path):
    assert labels_of(cells, tmp_path / "a.csv") == cells


def test_dates_that_may_be_read_in_two_ways_stay_as_they_are_written(tmp_path):
    path = tmp_path / "a.csv"
    for cells in (["03/04/2021", "05/06/2021"], ["3-4-21", "5-6-21"], ["03/04/2021 10:00", "05/06/2021 11:00"]):
        assert labels_of(cells, path) == cells
    assert labels_of(["03/04/2021", "05/13/2021"], path) == ["2021-03-04 00:00:00", "2021-05-13 00:00:00"]
    assert labels_of(["03/04/2021", "13/05/2021"], path) == ["2021-04-03 00:00:00", "2021-05-13 00:00:00"]
    assert labels_of(["3.4.2021", "5.6.2021"], path) == ["2021-04-03 00:00:00", "2021-06-05 00:00:00"]
    assert labels_of(["02/02/2021", "03/03/2021"], path) == ["2021-02-02 00:00:00", "2021-03-03 00:00:00"]
    cells = [f"{1 + k % 12:02d}/{1 + k % 11:02d}/2021" for k in range(40)]
    path.write_text("y,d\n" + "\n".join(f"{k % 7},{cell}" for k, cell in enumerate(cells)) + "\n")
    with pytest.raises(pw.DataError, match=r"'d' holds 40 different dates, .* '01/01/2021'. Make numbers of them"):
        pw.fit("y ~ d", path, seed=1, draws=50)
