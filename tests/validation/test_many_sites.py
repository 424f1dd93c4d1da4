"""A table of many sites, through the command: a quality filter, folds side by side, a report that stays readable."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecoembed.errors import ConfigError, TableError
from ecoembed.validation.report import write_report
from ecoembed.validation.samples.columns import read_table
from tests.study_helpers import run_cli
from tests.validation.tables import flat, run

SITES, DAYS, LONG = 110, 20, 500
CONFIG = """
target = "GPP"
regressors = ["ridge"]

[features]
light = ["NIRv * SW"]
meteo = ["SW", "TA"]

[quality]
column = "measured"
min = 0.75
"""


@pytest.fixture(scope="module")
def table():
    """110 sites of 20 days, one of 500; on each third day too little was measured, at one site on all."""
    rng = np.random.default_rng(1)
    rest = flat(1, LONG, seed=3).assign(SITE_ID="XX-LONG")
    frame = pd.concat([flat(SITES - 1, DAYS), rest], ignore_index=True)
    frame["measured"] = np.where(np.arange(len(frame)) % 3, rng.uniform(0.75, 1, len(frame)), 0.5)
    frame.loc[frame["SITE_ID"] == f"XX-T{SITES - 2}", "measured"] = 0.1
    return frame.assign(unused="text")


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    table.to_parquet(folder / "table.parquet", index=False)
    (folder / "b.toml").write_text(CONFIG)
    done = run_cli("benchmark", folder / "table.parquet", "--config", folder / "b.toml", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_rows_of_every_site_are_accounted_for(folder, table):
    record = json.loads((folder / "benchmark.json").read_text())
    good = table["measured"] >= 0.75
    assert record["rows"] == {"in": len(table), "measured below 0.75": int((~good).sum()), "out": int(good.sum())}
    assert record["quality"] == {"column": "measured", "min": 0.75}
    for site, rows in record["site_rows"].items():
        here = table["SITE_ID"] == site
        assert (rows["in"], rows["out"]) == (here.sum(), (here & good).sum())
        assert rows["in"] == rows["out"] + rows["measured below 0.75"]
    assert len(record["site_rows"]) == SITES
    why = "0 of 20 rows kept; dropped: 20 (measured below 0.75 20)"
    assert record["sites_without_rows"] == {f"XX-T{SITES - 2}": why}
    scores = pd.read_csv(folder / "scores.csv")
    assert set(scores["sites"]) == {SITES - 1}
    assert set(scores["label"]) == {"unseen-site"}


def test_only_good_rows_are_scored_and_each_by_a_model_without_its_site(folder, table):
    got = pd.read_parquet(folder / "predictions.parquet")
    good = table[table["measured"] >= 0.75]
    first = got[got["features"] == "meteo"].set_index(["site", "date"])["predicted"]
    assert set(first.index) == set(zip(good["SITE_ID"], good["date"], strict=True))
    for site in ("XX-T00", "XX-LONG"):
        held = good["SITE_ID"] == site
        model = make_pipeline(StandardScaler(), Ridge()).fit(good.loc[~held, ["SW", "TA"]], good.loc[~held, "GPP"])
        np.testing.assert_allclose(first[site], model.predict(good.loc[held, ["SW", "TA"]]), rtol=1e-6)


def test_the_report_of_many_sites_is_small_and_says_what_it_leaves_out(folder):
    html = (folder / "report.html").read_text()
    assert len(html) < 4e6
    assert html.count('src="data:image/webp;base64,') == 24
    assert f"24 of {SITES - 1} sites are drawn" in html
    assert "means of the predicted days of each month" not in html  # 333 days at most
    assert ">XX-T05</" in html.split('id="table-site_scores"')[1].split("</table>")[0]
    assert "<summary>Rows of each site</summary>" in html


def test_thousands_of_days_are_drawn_as_months(tmp_path):
    result = run(flat(3, 400, seed=2))
    assert "means of the predicted days of each month" in write_report(result, tmp_path / "r.html").read_text()


def test_side_by_side_is_the_same_as_one_after_the_other():
    """An own estimator is fitted fold after fold, a named one several folds at a time."""
    own = make_pipeline(StandardScaler(), Ridge(alpha=1.0))
    got = run(flat(9, 30), regressors={"named": "ridge", "own": own}).predictions
    named, own = (got[got["regressor"] == name]["predicted"].to_numpy() for name in ("named", "own"))
    np.testing.assert_array_equal(named, own)


def test_a_fold_that_fails_stops_the_benchmark(monkeypatch):
    from ecoembed.validation import predict

    def broken(*_args, **_kwargs):
        raise MemoryError("no room")

    monkeypatch.setattr(predict, "make_regressor", broken)
    with pytest.raises(MemoryError, match="no room"):
        run(flat())


@pytest.mark.parametrize(
    ("quality", "error", "match"),
    [
        ({"column": "measurd", "min": 0.75}, TableError, "measurd.*did you mean measured"),
        ({"column": "measured", "min": 1.5}, TableError, "no row has.*measured below 1.5 100"),
        ({"column": "PFT", "min": 0.5}, TableError, "PFT: column is not numeric"),
        ({"column": "measured", "min": "0.75"}, ConfigError, "not a number.*'0.75'"),
        ({"column": "measured"}, ConfigError, "quality"),
        ({"columns": "measured", "min": 0.75}, ConfigError, "quality"),
    ],
)
def test_a_quality_that_cannot_be_had(quality, error, match):
    with pytest.raises(error, match=match):
        run(flat().assign(measured=0.9), quality=quality)


def test_each_row_counts_under_one_reason():
    table = flat().assign(measured=1.0)
    table.loc[[0, 1, 2], "GPP"] = np.nan
    table.loc[[2, 3], "measured"] = 0.1
    table.loc[[4], "measured"] = np.nan
    table.loc[[0, 3, 5], "TA"] = np.nan
    rows = run(table, quality={"column": "measured", "min": 0.5}).rows
    assert rows == {
        "in": 100, "GPP missing": 3, "measured missing": 1, "measured below 0.5": 1, "all missing": 1, "out": 94,
    }  # fmt: skip


def test_a_set_may_bear_the_name_of_the_target():
    table = flat()
    table.loc[[0, 1], "GPP"] = np.nan
    table.loc[[2], "TA"] = np.nan
    assert run(table, features={"GPP": ["TA"]}).rows == {"in": 100, "GPP missing": 3, "out": 97}


def test_parquet_gives_only_what_is_named(tmp_path):
    table = flat()
    table.to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet", ["GPP", "NIRv * SW"]).columns) == ["GPP", "NIRv", "SW"]
    assert set(read_table(tmp_path / "t.parquet").columns) == set(table.columns)
    with pytest.raises(TableError, match=r"TAA.*did you mean TA"):  # a misspelt one is still told what there is
        run(tmp_path / "t.parquet", features={"f": ["TAA"]})
