"""The committed result on the real table of 36 towers."""

import importlib.util
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

EVALUATION = Path(__file__).resolve().parents[2] / "evaluation"
RESULT = EVALUATION / "results" / "prithvi_hls_merra2_gpp"


@pytest.fixture(scope="module")
def reproduce():
    spec = importlib.util.spec_from_file_location("reproduce", EVALUATION / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_result_is_regenerated(real, reproduce):
    assert reproduce.main([], real=real) == 0


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
