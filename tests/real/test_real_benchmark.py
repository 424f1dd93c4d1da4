"""The committed results on the real tables of 36 and of 150 towers."""

import importlib.util
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.study_helpers import run_cli

EVALUATION = Path(__file__).resolve().parents[2] / "evaluation"
RESULT = EVALUATION / "results" / "prithvi_hls_merra2_gpp"
ALL, MEASURED = "fluxnet2015_meteo_150sites", "fluxnet2015_meteo_150sites_measured"
TOWERS = "tables/fluxnet2015_daily_150sites.parquet"
DAYS = {ALL: 370_733, MEASURED: 50_353, f"{MEASURED}_dt": 50_352}


@pytest.fixture(scope="module")
def reproduce():
    spec = importlib.util.spec_from_file_location("reproduce", EVALUATION / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores_of(name):
    return pd.read_csv(EVALUATION / "results" / name / "scores.csv").set_index(["features", "regressor"])


def test_a_committed_result_is_regenerated(real, reproduce):
    assert reproduce.main([f"{RESULT.name}_site_folds"], real=real) == 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_committed_results_are_regenerated(real, reproduce):
    assert reproduce.main([RESULT.name, MEASURED, f"{MEASURED}_dt"], real=real) == 0


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the work takes a minute of two cores; whoever shares them makes it longer
def test_all_towers_through_the_command(real, reproduce, tmp_path):
    """150 towers, 370 733 days: the committed scores, and a report one can open."""
    config, out = EVALUATION / "protocols" / f"{ALL}.toml", tmp_path / "out"
    sites = [real / "sites" / "FLX_AA-Flx_BIF_LATEST.xlsx", EVALUATION / "fluxnet2015_renamed_sites.csv"]
    done = run_cli("benchmark", real / TOWERS, "--config", config, "--out", out, "--sites", *sites)
    assert done.returncode == 0, done.stderr
    assert reproduce.differences(EVALUATION / "results" / ALL, out) == []
    predictions = pd.read_parquet(out / "predictions.parquet", columns=["site", "features", "regressor"])
    assert len(predictions) == 5 * DAYS[ALL]
    assert predictions["site"].nunique() == 150
    assert (out / "report.html").stat().st_size < 4e6


def test_neighbours_flatter():
    """Towers within 5 km held out together."""
    together, alone = scores_of(f"{ALL}_clusters"), scores_of(MEASURED)
    record = json.loads((EVALUATION / "results" / f"{ALL}_clusters" / "benchmark.json").read_text())
    assert record["folds"] == 129
    for regressor in ("ridge", "lightgbm"):
        assert together.loc[("meteo", regressor), "r2"] < alone.loc[("meteo", regressor), "r2"]


@pytest.mark.parametrize("name", DAYS)
def test_committed_results_of_150_towers(name):
    scores, sites = scores_of(name), pd.read_csv(EVALUATION / "results" / name / "site_scores.csv")
    record = json.loads((EVALUATION / "results" / name / "benchmark.json").read_text())
    scores = scores[scores["days"] == "all"]
    assert set(scores["sites"]) == {150}
    assert sites["site"].nunique() == record["folds"] == 150
    assert set(scores["n"]) == {DAYS[name]} == {record["rows"]["out"]}
    assert record["rows"]["in"] == 370_733
    assert set(scores["label"]) == {"unseen-site"}
    for regressor in ("ridge", "lightgbm"):
        assert scores.loc[("meteo", regressor), "r2"] > scores.loc[("radiation", regressor), "r2"] + 0.1
    if name != ALL:  # every site's rows add up, and what is left of them is what was scored
        days = sites.drop_duplicates("site").set_index("site")["n"]
        assert {site: rows["out"] for site, rows in record["site_rows"].items()} == days.to_dict()
        assert sum(rows["in"] for rows in record["site_rows"].values()) == 370_733


def test_committed_result_reaches_the_yardsticks():
    """lightgbm with the library's defaults gives 0.647 on bands + indices + meteo."""
    scores = pd.read_csv(RESULT / "scores.csv").set_index(["features", "regressor"])
    assert scores.loc[("nirv_x_radiation", "ridge"), "r2"] == pytest.approx(0.687, abs=0.005)
    assert scores.loc[("bands+indices+meteo", "lightgbm"), "r2"] >= 0.66
    assert set(scores["n"]) == {975}
    assert set(scores["sites"]) == {36}
    assert set(scores["label"]) == {"unseen-site"}


@pytest.mark.parametrize("change", ["r2", "n", "seed", "file"])
def test_a_changed_result_is_noticed(reproduce, tmp_path, change):
    changed = Path(shutil.copytree(RESULT, tmp_path / "changed"))
    assert reproduce.differences(changed, RESULT) == []
    if change == "file":
        (changed / "site_scores.csv").unlink()
    elif change == "seed":
        record = json.loads((changed / "benchmark.json").read_text())
        (changed / "benchmark.json").write_text(json.dumps(record | {"seed": 1}))
    else:
        scores = pd.read_csv(changed / "scores.csv")
        scores.loc[0, change] += {"r2": 0.01, "n": 1}[change]
        scores.to_csv(changed / "scores.csv", index=False)
    assert len(reproduce.differences(changed, RESULT)) == 1


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("group_scores", "rmse"), ("comparisons", "difference"), ("comparisons", "upper"), ("applicability", "inside"),
        ("importance", "value"), ("partial", "value"), ("folds", "fold"), ("choices", "inner_r2"), ("truth", "r2"),
        ("site_scores", "bias"), ("scores", "median_site_r2"),
    ],
)  # fmt: skip
def test_a_changed_number_of_any_table_is_noticed(reproduce, tmp_path, table, column):
    committed = EVALUATION / "results" / "virtual_network"
    changed = Path(shutil.copytree(committed, tmp_path / "changed"))
    rows = pd.read_csv(changed / f"{table}.csv")
    rows.loc[3, column] += 1
    rows.to_csv(changed / f"{table}.csv", index=False)
    assert any(f"{table}.csv" in line for line in reproduce.differences(changed, committed))
    rows.drop(index=3).to_csv(changed / f"{table}.csv", index=False)
    assert reproduce.differences(changed, committed) == [f"{table}.csv: other rows or other n"]
    (changed / f"{table}.csv").unlink()
    assert reproduce.differences(changed, committed) == [f"{table}.csv: not committed"]


def test_absent_inputs_are_no_success(reproduce, tmp_path):
    assert reproduce.main([], real=tmp_path / "none") == 2
