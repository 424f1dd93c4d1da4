"""The command that freezes folds, on a small table; and the committed folds against the real ones."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.validation.tables import flat

EVALUATION = Path(__file__).parents[3] / "evaluation"
TOML = """target = "GPP"
table = "t.parquet"
protocol = { name = "site-k-fold", folds = 2, frozen = "../splits/small.csv" }
[features]
light = ["NIRv * SW"]
[places]
vegetation = "PFT"
"""


@pytest.fixture
def command(monkeypatch):
    monkeypatch.syspath_prepend(str(EVALUATION))
    spec = importlib.util.spec_from_file_location("freeze_splits", EVALUATION / "freeze_splits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("reproduce", None)


def test_folds_are_written_once_and_compared_after(command, tmp_path, capsys):
    for folder in ("protocols", "splits"):
        (tmp_path / folder).mkdir()
    flat().to_parquet(tmp_path / "t.parquet")
    (tmp_path / "protocols" / "small.toml").write_text(TOML)
    (tmp_path / "protocols" / "other.toml").write_text('base = "small.toml"\nprotocol = "leave-site-out"\n')
    assert command.main([], here=tmp_path, real=tmp_path) == 1
    assert command.main(["--write"], here=tmp_path, real=tmp_path) == 0
    assert command.main([], here=tmp_path, real=tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [
        "small.csv: differs", "small.csv: written, 5 lines", "small.csv: the same",
    ]  # fmt: skip
    table = pd.read_csv(tmp_path / "splits" / "small.csv")
    assert table.columns.tolist() == ["site", "fold", "held_out", "rows"]
    (tmp_path / "splits" / "small.csv").write_text("site,fold,held_out,rows\n")
    assert command.main([], here=tmp_path, real=tmp_path) == 1


def test_committed_folds_are_those_of_the_command(command, real):
    assert command.main([], real=real) == 0


@pytest.mark.parametrize("path", sorted((EVALUATION / "splits").glob("*.csv")), ids=lambda p: p.stem)
def test_committed_folds_hold_each_site_once(path):
    table = pd.read_csv(path)
    assert table["site"].is_unique
    assert sorted(table["fold"].unique()) == list(range(table["fold"].nunique()))
    assert len(table) == (36 if path.stem.startswith("prithvi") else 150)
