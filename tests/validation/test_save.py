import json

import pandas as pd
import pytest

from ecoembed.errors import FileError
from ecoembed.validation.report import write as report
from ecoembed.validation.save import FILES, refuse_foreign
from tests.validation.tables import flat, run


def contents(folder):
    return {p.name: p.read_bytes() if p.is_file() else b"" for p in folder.iterdir()}


def test_what_is_written(tmp_path):
    result = run(flat(3, 6))
    folder = result.save(tmp_path / "out")
    assert set(contents(folder)) <= set(FILES)
    assert {"scores.csv", "comparisons.csv", "folds.csv", "report.html"} <= set(contents(folder))
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder / "predictions.parquet"), result.predictions, check_dtype=False
    )
    assert pd.read_csv(folder / "scores.csv")["r2"].to_numpy() == pytest.approx(
        result.scores["r2"].to_numpy(), rel=1e-5
    )
    record = json.loads((folder / "benchmark.json").read_text())
    assert record["rows"] == result.rows
    assert record["label"] == "unseen-site"
    assert {"numpy", "scikit-learn", "lightgbm", "ecoembed"} <= set(record["versions"])
    assert list(tmp_path.iterdir()) == [folder]


def test_the_nested_choice_of_each_fold_is_written_where_it_was_asked_for(tmp_path):
    result = run(flat(4, 8), nested=True)
    written = pd.read_csv(result.save(tmp_path / "out") / "choices.csv")
    assert written["held_out"].tolist() == ["XX-T00", "XX-T01", "XX-T02", "XX-T03"]
    counted = written.groupby(["features", "regressor"]).size()
    told = result.record["nested"]["chosen"]
    assert {(c["features"], c["regressor"]): c["folds"] for c in told} == counted.to_dict()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(f"""<td class="n">{c["folds"]} of 4</td>""" in page for c in told)
    run(flat(4, 8)).save(tmp_path / "out")
    assert not (tmp_path / "out" / "choices.csv").exists()


def test_a_previous_benchmark_is_replaced(tmp_path):
    run(flat(3, 6)).save(tmp_path / "out")
    run(flat(4, 6)).save(tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "scores.csv")["sites"].tolist() == [4, 4]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_old_folder(tmp_path, monkeypatch):
    run(flat(3, 6)).save(tmp_path / "out")
    before = contents(tmp_path / "out")
    monkeypatch.setattr(report, "_figures", lambda *a: 1 / 0)
    for name in ("out", "new"):
        with pytest.raises(ZeroDivisionError):
            run(flat(4, 6)).save(tmp_path / name)
    assert contents(tmp_path / "out") == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_other_files_are_never_lost(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match=r"notes\.txt"):
        run(flat(3, 6)).save(tmp_path)
    assert contents(tmp_path) == {"notes.txt": b"mine"}
    with pytest.raises(FileError, match="is a file"):
        run(flat(3, 6)).save(tmp_path / "notes.txt")


def test_what_a_file_browser_leaves_behind_hinders_nobody(tmp_path):
    (tmp_path / "out").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".directory"):
        (tmp_path / "out" / name).write_bytes(b"\0")
        refuse_foreign(tmp_path / "out")
    run(flat(3, 6)).save(tmp_path / "out")
    assert set(contents(tmp_path / "out")) <= set(FILES)


def test_a_hidden_folder_is_somebodys_work(tmp_path):
    (tmp_path / "out" / ".git").mkdir(parents=True)
    with pytest.raises(FileError, match=r"\.git"):
        run(flat(3, 6)).save(tmp_path / "out")


def test_the_output_can_be_refused_before_the_work(tmp_path):
    refuse_foreign(tmp_path / "new")
    refuse_foreign(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match=r"notes\.txt"):
        refuse_foreign(tmp_path)
    with pytest.raises(FileError, match="is a file"):
        refuse_foreign(tmp_path / "notes.txt")
