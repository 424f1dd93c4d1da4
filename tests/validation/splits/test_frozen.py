"""Frozen folds: written, read again, refused where they are of another table."""

import numpy as np
import pandas as pd
import pytest

from ecoembed.errors import FileError, TableError
from ecoembed.validation.splits.frozen import fold_table
from ecoembed.validation.splits.protocols import make_folds
from tests.validation.splits.test_splits import EVERY, placed, samples


@pytest.mark.parametrize("protocol", EVERY, ids=lambda p: p["name"])
def test_frozen_folds_are_the_same_folds(protocol, tmp_path):
    here, path = samples(), tmp_path / "folds.csv"
    made = make_folds(protocol, here, seed=5)
    table = fold_table(made, here)
    assert table["rows"].sum() == len(here.site)
    table.to_csv(path, index=False)
    read = make_folds({**protocol, "frozen": str(path)}, here, seed=6)
    assert np.array_equal(read.number, made.number)
    for one, two in zip(read.folds, made.folds, strict=True):
        assert np.array_equal(one.train, two.train)
        assert np.array_equal(one.test, two.test)
    assert read.held_out == made.held_out
    assert read.options == {**made.options, "frozen": "folds.csv"}
    assert {k: v for k, v in made.found.items() if "clusters" not in k} == read.found


def test_one_line_says_as_much_as_is_split():
    here = samples()
    kinds = {"leave-site-out": 12, "leave-year-out": 12 * 4, "random-k-fold": 360}
    for name, lines in kinds.items():
        assert len(fold_table(make_folds(name, here), here)) == lines


def test_fewer_rows_of_a_site_keep_its_fold(tmp_path):
    """Folds by site outlive a filter of days."""
    table = placed()
    fold_table(make_folds("leave-climate-out", samples(table)), samples(table)).to_csv(tmp_path / "f.csv", index=False)
    fewer = samples(table[table["date"].dt.month > 3])
    held = make_folds({"name": "leave-climate-out", "frozen": str(tmp_path / "f.csv")}, fewer)
    assert [set(fewer.places.loc[np.unique(fewer.site[f.test]), "climate"]) for f in held.folds] == [{"K0"}, {"K1"}]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t[t["site"] != "XX-T03"], "only in the table: XX-T03"),
        (lambda t: pd.concat([t, t.iloc[:1].assign(site="XX-Z")]), "only in the file: XX-Z"),
        (lambda t: t.drop(columns="fold"), "fold"),
        (lambda t: t.assign(fold=t["fold"] + 1), "not numbered"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two folds of one line"),
        (lambda t: t.assign(fold=t["fold"].where(t["fold"] < 2, 1)), "another number of folds.*expected 3"),
    ],
)
def test_folds_of_another_table_are_refused(edit, message, tmp_path):
    here, path = samples(), tmp_path / "folds.csv"
    asked = {"name": "site-k-fold", "folds": 3}
    edit(fold_table(make_folds(asked, here), here)).to_csv(path, index=False)
    with pytest.raises(TableError, match=message):
        make_folds({**asked, "frozen": str(path)}, here)


def test_years_that_the_file_does_not_know(tmp_path):
    table = placed()
    early = samples(table[table["date"].dt.year < 2020])
    fold_table(make_folds("leave-year-out", early), early).to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(TableError, match="rows of site and year without a fold"):
        make_folds({"name": "leave-year-out", "frozen": str(tmp_path / "f.csv")}, samples(table))
    with pytest.raises(FileError, match="no such table"):
        make_folds({"name": "leave-year-out", "frozen": "absent.csv"}, early)
