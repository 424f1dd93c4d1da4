"""The committed results on the real tables of 36 and of 150 towers."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecoembed import benchmark
from ecoembed.validation.config import read_benchmark_config
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


def evaluation_of(folder, *names):
    """A copy of some protocols with their results."""
    for name in names:
        (folder / "protocols").mkdir(exist_ok=True)
        shutil.copy(EVALUATION / "protocols" / f"{name}.toml", folder / "protocols")
        shutil.copytree(EVALUATION / "results" / name, folder / "results" / name)
    return folder


def scores_of(name):
    return pd.read_csv(EVALUATION / "results" / name / "scores.csv").set_index(["features", "regressor"])


def test_committed_result_is_regenerated(real, reproduce, tmp_path):
    assert reproduce.main([], here=evaluation_of(tmp_path, RESULT.name), real=real) == 0


@pytest.mark.slow
def test_committed_results_on_measured_days_are_regenerated(real, reproduce, tmp_path):
    assert reproduce.main([], here=evaluation_of(tmp_path, MEASURED, f"{MEASURED}_dt"), real=real) == 0


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the work takes a minute of two cores; whoever shares them makes it longer
def test_all_towers_through_the_command(real, reproduce, tmp_path):
    """150 towers, 370 733 days: the committed scores, within two minutes of two cores, and a report one can open."""
    config, out, before = EVALUATION / "protocols" / f"{ALL}.toml", tmp_path / "out", os.times()
    done = run_cli("benchmark", real / TOWERS, "--config", config, "--out", out)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert after.children_user + after.children_system - before.children_user - before.children_system < 240
    assert reproduce.differences(EVALUATION / "results" / ALL, out) == []
    predictions = pd.read_parquet(out / "predictions.parquet", columns=["site", "features", "regressor"])
    assert len(predictions) == 4 * DAYS[ALL]
    assert predictions["site"].nunique() == 150
    assert (out / "report.html").stat().st_size < 2e6


@pytest.mark.slow
def test_neighbours_flatter(real):
    """Towers within 5 km held out together: what evaluation/README.md says of it."""
    places = pd.read_parquet(real / TOWERS, columns=["SITE_ID", "LAT", "LON"]).groupby("SITE_ID").first()
    near = distances(places) < 5.0
    assert (near.sum() - len(near)) / 2 == 27

    class Together:
        def split(self, X, y=None, groups=None):
            number = {site: int(np.argmax(reached(near, i))) for i, site in enumerate(places.index)}
            place = np.array([number[site] for site in groups])
            for one in np.unique(place):
                yield np.flatnonzero(place != one), np.flatnonzero(place == one)

    config = read_benchmark_config(EVALUATION / "protocols" / f"{MEASURED}.toml")
    config |= {"protocol": Together(), "features": {"meteo": config["features"]["meteo"]}}
    result = benchmark(real / TOWERS, **config, progress=False)
    assert result.record["folds"] == 129
    together, alone = result.scores.set_index("regressor")["r2"], scores_of(MEASURED).loc["meteo", "r2"]
    assert together["lightgbm"] == pytest.approx(0.479, abs=0.005)
    assert together["ridge"] == pytest.approx(0.445, abs=0.005)
    assert (together < alone).all()


def distances(places):
    """Great-circle distances in km."""
    lat, lon = (np.radians(places[name].to_numpy(dtype=float)) for name in ("LAT", "LON"))
    half = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    return 2 * 6371.0 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))


def reached(near, start):
    """All that can be reached from one tower by steps to a neighbour."""
    found = near[start]
    while (more := near[found].any(axis=0)).sum() > found.sum():
        found = more
    return found


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


def test_absent_inputs_are_no_success(reproduce, tmp_path):
    assert reproduce.main([], real=tmp_path / "none") == 2
