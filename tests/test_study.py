"""Studies: the whole chain on the embedded network, resumable, each site on its own."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ecoembed import open_study, stages
from ecoembed.benchmarking import benchmark_study, save_run
from ecoembed.config import EmbeddingsSection
from ecoembed.cubes.store import save_cubes
from ecoembed.embeddings.weights import save_weights
from ecoembed.errors import ConfigError, EcoembedError, FileError, StudyError, TableError, WeightsError
from ecoembed.schema import check_cube, check_embedding_cube, check_feature_table, check_series
from ecoembed.study import Study

from .embeddings.conftest import make_encoder
from .study_helpers import snapshot


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A finished study, moved: nothing in it may hold an absolute path."""
    return Path(shutil.copytree(finished, tmp_path / "moved"))


def test_every_stage_left_what_its_contract_says(finished):
    study = open_study(finished)
    for site in study.sites.index:
        cube = check_cube(study.cube(site), "S2_L2A")
        check_cube(study.cube(site, "S1"), "S1")
        for name in (name for name in stages.SOURCES if name.startswith("embeddings")):
            z = check_embedding_cube(study.embedding(site, name))
            assert z.attrs["window"] == "causal"
            assert z.sizes["time"] == cube.sizes["time"]
        for series in study.series(site).values():
            check_series(series)
        weights = study.footprint(site)
        assert (weights >= 0).all()
        assert float(weights.sum()) == pytest.approx(weights.attrs["inside"], rel=1e-6)
        assert "kljun" in weights.attrs["method"].lower() or "ffp" in weights.attrs["method"].lower()
    table = check_feature_table(study.features())
    assert set(study.sites.index) == set(table.index.get_level_values("site"))


def test_the_run_folder_holds_predictions_scores_and_a_report(finished):
    out = finished / "runs" / "GPP_NT_VUT_REF" / "leave-site-out"
    scores = pd.read_csv(out / "scores.csv")
    config = open_study(finished).config
    assert set(scores["features"]) == set(config.benchmark.features)
    assert set(scores["regressor"]) == {"ridge", "lightgbm", "scale", "mean_cycle"}
    assert len(set(scores["n"])) == 1
    assert set(scores["label"]) == {"unseen-site"}
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert len(predictions) == len(scores) * scores["n"].iloc[0]
    html = (out / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/webp;base64,") >= 4 * 4  # of each site its series and three pictures
    assert html.count("XX-V02: one line of pixels through the seasons<") == 1
    assert html.count("XX-V02: the place on several dates<") == 1
    assert "XX-V01" in html


def test_writing_a_report_shows_how_far_it_is(copy, monkeypatch, capsys):
    """Those of many sites take minutes; and of a place under clouds there are no maps, which the report says."""
    monkeypatch.delenv("CI", raising=False)
    study = open_study(copy)
    result, _ = benchmark_study(study, list(study.sites.index), {})

    def cloudy(*_):
        raise TableError("no date clear enough for a picture", found="40 % at most")

    monkeypatch.setattr("ecoembed.embeddings.pictures.maps.dates_picture", cloudy)
    capsys.readouterr()
    save_run(study, result, copy / "runs" / "again")
    told = capsys.readouterr().err
    assert [name for name in ("pictures", "report", "figures") if name in told] == ["pictures", "report", "figures"]
    html = (copy / "runs" / "again" / "report.html").read_text(encoding="utf-8")
    assert html.count("no maps of several dates: no date clear enough for a picture (found 40 % at most)") == 8


def test_the_embedding_sees_the_satellite_and_not_the_random_seed_of_the_study(finished):
    study = open_study(finished)
    z = study.embedding("XX-V01")
    assert np.isfinite(z.values).any()
    assert z.attrs["weights"] != study.embedding("XX-V01", "embeddings:random").attrs["weights"]


def test_a_second_run_does_no_stage_again_even_after_a_move(copy, monkeypatch):
    before = {k: v for k, v in snapshot(copy).items() if not k.startswith("runs")}
    for name in ("write_cubes", "site_footprint"):
        monkeypatch.setattr(stages, name, lambda *a, **k: pytest.fail("a finished stage ran again"))
    run = open_study(copy).run()
    assert not run.failures
    assert {k: v for k, v in snapshot(copy).items() if not k.startswith("runs")} == before


def test_a_changed_parameter_runs_only_what_depends_on_it(copy):
    before = snapshot(copy)
    toml = copy / "study.toml"
    toml.write_text(toml.read_text() + '\n[embeddings]\nwindow = "centred"\n')
    with pytest.raises(ConfigError, match=r"features see the future.*centred.*retrospective = true"):
        open_study(copy)
    toml.write_text(toml.read_text() + "[benchmark]\nretrospective = true\n")
    open_study(copy).run()
    after = snapshot(copy)
    changed = {k.split("/")[0] for k in after if after[k] != before.get(k)}
    assert changed == {"embeddings", "series", "runs", "study.toml"}
    assert open_study(copy).embedding("XX-V02").attrs["window"] == "centred"


def test_a_site_that_fails_is_listed_while_the_others_finish_and_is_mended_by_the_next_run(copy):
    good = next((copy / "flux").glob("*XX-V03*"))
    whole = good.read_bytes()
    good.write_bytes(whole[: len(whole) // 2])
    run = open_study(copy).run()
    assert list(run.failures) == ["XX-V03"]
    assert "FileError" in run.failures["XX-V03"]
    assert good.name in run.failures["XX-V03"]
    assert run.benchmark.scores["sites"].eq(3).all()
    good.write_bytes(whole)
    cubes = snapshot(copy / "cubes")
    again = open_study(copy).run()
    assert not again.failures
    assert again.benchmark.scores["sites"].eq(4).all()
    assert snapshot(copy / "cubes") == cubes


def test_a_stage_that_dies_leaves_no_output_and_the_next_run_makes_it(copy, monkeypatch):
    shutil.rmtree(copy / "cubes" / "XX-V02.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("ecoembed.cubes.store._write", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
        run = open_study(copy).run()
    assert "disk full" in run.failures["XX-V02"]
    assert not (copy / "cubes" / "XX-V02.zarr").exists()
    assert not [p for p in (copy / "cubes").iterdir() if p.name.startswith(".")]
    assert not open_study(copy).run().failures


def test_a_site_outside_its_cube_is_a_failure_that_says_by_how_far(copy):
    path = copy / "sites.csv"
    sites = pd.read_csv(path, dtype=str)
    sites.loc[0, "latitude"] = str(float(sites.loc[0, "latitude"]) + 0.1)
    sites.to_csv(path, index=False)
    run = open_study(copy).run()
    assert list(run.failures) == ["XX-V01"]
    assert run.failures["XX-V01"].startswith("GridError")
    assert " m" in run.failures["XX-V01"]


def test_a_tower_without_half_hours_gets_a_disc_and_says_so(copy):
    import zipfile

    old = next((copy / "flux").glob("*XX-V04*"))
    with zipfile.ZipFile(old) as archive:
        name = next(n for n in archive.namelist() if "_DD_" in n)
        (copy / "flux" / name).write_bytes(archive.read(name))
    old.unlink()
    assert not open_study(copy).run().failures
    weights = open_study(copy).footprint("XX-V04")
    assert "radius" in weights.attrs["method"]
    assert weights.attrs["fallback"]


def set_site(folder: Path, site: str, column: str, value: str) -> None:
    sites = pd.read_csv(folder / "sites.csv", dtype=str).set_index("site_id")
    sites.loc[site, column] = value
    sites.to_csv(folder / "sites.csv")


def test_a_site_without_utc_offset_fails_alone(copy):
    set_site(copy, "XX-V02", "utc_offset", "")
    run = open_study(copy).run()
    assert list(run.failures) == ["XX-V02"]
    assert "no UTC offset" in run.failures["XX-V02"]
    assert run.benchmark.scores["sites"].eq(3).all()


def test_contradictory_heights_fail_and_absent_ones_give_a_disc(copy):
    set_site(copy, "XX-V01", "measurement_height", "0.05")
    set_site(copy, "XX-V02", "canopy_height", "")
    run = open_study(copy).run()
    assert list(run.failures) == ["XX-V01"]
    assert run.failures["XX-V01"].startswith("FootprintError")
    assert run.fallbacks == {"XX-V02": "no canopy_height in the site table"}
    assert "no canopy_height" in run.report.read_text(encoding="utf-8")


def test_hidden_files_are_passed_over(copy):
    real = next((copy / "flux").glob("*XX-V01*"))
    (copy / "flux" / f"._{real.name}").write_bytes(b"Mac")
    (copy / "satellite" / "XX-V01" / "._S2.nc").write_bytes(b"Mac")
    (copy / "runs" / "GPP_NT_VUT_REF" / "leave-site-out" / ".DS_Store").write_bytes(b"Mac")
    assert not open_study(copy).run().failures


def test_a_cube_that_was_replaced_is_embedded_anew(copy):
    shutil.rmtree(copy / "satellite" / "XX-V02")
    study = open_study(copy)
    before = study.embedding("XX-V02").values
    darker = {name: study.cube("XX-V02", name) for name in ("S2_L2A", "S1")}
    darker["S2_L2A"] = darker["S2_L2A"] * np.float32(0.5)
    darker["S2_L2A"].attrs = study.cube("XX-V02").attrs
    save_cubes(darker, copy / "cubes" / "XX-V02.zarr")
    assert not study.run().failures
    assert np.nanmax(np.abs(study.embedding("XX-V02").values - before)) > 0.1


def test_the_failed_sites_are_named_when_the_benchmark_fails_too(copy):
    toml = copy / "study.toml"
    toml.write_text(toml.read_text() + "\n[footprint]\nmin_coverage = 1.0\n")
    next((copy / "flux").glob("*XX-V02*")).unlink()
    with pytest.raises(StudyError, match="no row has the target") as caught:
        open_study(copy).run()
    assert "XX-V02: FileError" in str(caught.value)


def test_a_foreign_file_in_the_run_folder_is_refused_before_any_work(copy, monkeypatch):
    (copy / "runs" / "GPP_NT_VUT_REF" / "leave-site-out" / "thesis.docx").write_text("mine")
    monkeypatch.setattr(stages, "run_site", lambda *a: pytest.fail("worked before it looked"))
    with pytest.raises(FileError, match=r"thesis\.docx"):
        open_study(copy).run()


def test_an_interrupt_waits_for_the_sites_under_way_only(network, monkeypatch):
    started = []
    monkeypatch.setattr(stages, "run_site", lambda folder, site, sites, config: (started.append(site), time.sleep(0.2)))
    study = open_study(network)
    many = Study(study.folder, study.config, pd.concat([study.sites] * 10))
    monkeypatch.setattr("ecoembed.study.track", lambda items, *a, **k: interrupted(items))
    with pytest.raises(KeyboardInterrupt):
        many.run()
    assert 0 < len(started) < 20


def interrupted(items):
    yield next(items)
    raise KeyboardInterrupt


def test_with_fewer_than_two_sites_there_is_no_benchmark(copy):
    for path in (copy / "flux").iterdir():
        if "XX-V01" not in path.name:
            path.unlink()
    with pytest.raises(StudyError, match="3 of 4 sites failed") as caught:
        open_study(copy).run()
    assert "XX-V02, XX-V03, XX-V04: FileError: SITE in flux/: no flux file" in str(caught.value)
    assert str(caught.value).count("no flux file") == 1


def test_sites_of_one_letter_leave_the_other_words_of_their_reason_whole(copy):
    sites = (copy / "sites.csv").read_text(encoding="utf-8").splitlines()
    rows = [row.replace(f"XX-V0{k}", "EF"[k - 1]) for k, row in enumerate(sites[1:3], start=1)]
    (copy / "sites.csv").write_text("\n".join([sites[0], *rows]) + "\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"found E, F: FileError: SITE in [a-z]+/: no "):
        open_study(copy).run()


def test_a_study_of_one_site_is_refused_before_any_work(network, monkeypatch):
    monkeypatch.setattr(stages, "run_site", lambda *a: pytest.fail("worked before it looked"))
    study = open_study(network)
    with pytest.raises(StudyError, match="none to leave out"):
        Study(study.folder, study.config, study.sites.iloc[:1]).run()


def test_weights_of_one_sensor_embed_a_study_of_two(copy):
    """The other sensor's cubes are there, and not asked for."""
    optical = make_encoder("S2_L2A")
    save_weights(optical.model, optical.card, copy / "optical.safetensors")
    embeddings = EmbeddingsSection(weights="optical.safetensors")
    config = open_study(copy).config.model_copy(update={"embeddings": embeddings})
    stages.embed(copy, "XX-V02", copy / "cubes" / "XX-V02.zarr", config)
    z = open_study(copy).embedding("XX-V02")
    assert z.attrs["weights"] == optical.weights
    assert "s1_gap" not in z.coords


def test_too_few_sites_for_the_intervals_are_refused_before_any_work(network, monkeypatch):
    study = open_study(network)
    benchmark = study.config.benchmark.model_copy(update={"intervals": 0.9})
    asked = Study(study.folder, study.config.model_copy(update={"benchmark": benchmark}), study.sites)
    monkeypatch.setattr(stages, "run_site", lambda *_: pytest.fail("a site was run"))
    with pytest.raises(TableError, match=r"too few training sites.*found 3 sites; expected 9 or more"):
        asked.run()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"regressors": ("gru",)}, r"gru: it reads days one after another.*window_days = 90"),
        ({"regressors": ("ridge", "transformer")}, r"transformer: it reads days one after another.*window_days = 90"),
        ({"regressors": ("gaussian_process",)}, r"no regressor can read this set.*10 columns; it takes 8"),
        ({"regressors": ("ridge", "ridge")}, r"two regressors of one name"),
        ({"protocol": "site-k-fold"}, r"fewer sites than folds \(found 4 sites, 10 folds\)"),
        ({"protocol": {"name": "knndm", "folds": 5}}, r"fewer sites than folds \(found 4 sites, 5 folds\)"),
        ({"protocol": {"name": "knndm", "folds": 2, "domain": "map.csv"}}, r"study.map\.csv: no such table"),
        ({"protocol": {"name": "leave-cluster-out", "distance_km": 1e5}}, "all sites are one cluster"),
        ({"protocol": "leave-climate-out"}, r"climate unknown, which this protocol needs.*4 of 4 sites: XX-V01"),
        ({"protocol": {"name": "leave-site-out", "frozen": "folds.csv"}}, r"of other sites.*only in the file: DE-Gri"),
        ({"protocol": {"name": "leave-site-out", "frozen": "gone.csv"}}, r"study.gone\.csv: no such table"),
        ({"features": ("bands", "p_model")}, r"elevation of every site \(found none of XX-V02"),
    ],
)
def test_what_study_toml_and_the_sites_tell_to_be_impossible_is_refused_before_any_work(
    network, tmp_path, monkeypatch, asked, says
):
    monkeypatch.setattr(stages, "run_site", lambda *_: pytest.fail("a site was run"))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text('[study]\nname = "x"\n')
    sites = pd.read_csv(network / "sites.csv")
    sites.loc[1, "elevation"] = np.nan
    sites.to_csv(folder / "sites.csv", index=False)
    (folder / "folds.csv").write_text("site,fold,held_out\nXX-V01,0,XX-V01\nDE-Gri,1,DE-Gri\n")
    study = open_study(folder)
    benchmark = study.config.benchmark.model_copy(update=asked)
    with pytest.raises((ConfigError, TableError, FileError), match=says):
        Study(folder, study.config.model_copy(update={"benchmark": benchmark}), study.sites).run()


def test_one_vegetation_type_cannot_be_left_out_and_two_can(network, monkeypatch):
    """What can be carried goes on to the sites."""
    study = open_study(network)
    benchmark = study.config.benchmark.model_copy(update={"protocol": "leave-vegetation-type-out"})
    config = study.config.model_copy(update={"benchmark": benchmark})
    started = []
    monkeypatch.setattr(stages, "run_site", lambda folder, site, *_: started.append(site))
    with pytest.raises(TableError, match="one vegetation only"):
        Study(study.folder, config, study.sites.assign(igbp="GRA")).run()
    assert started == []
    with pytest.raises(EcoembedError):  # no site left anything behind
        Study(study.folder, config, study.sites).run()
    assert len(started) == 4


def test_external_embeddings_of_a_whole_year_are_refused_before_any_work(network, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "run_site", lambda *_: pytest.fail("a site was run"))
    folder = tmp_path / "study"
    (folder / "tessera").mkdir(parents=True)
    shutil.copy(network / "sites.csv", folder)
    (folder / "study.toml").write_text(
        '[benchmark]\nfeatures = ["bands", "tessera"]\n[external]\ntessera = "tessera"\n'
    )
    with pytest.raises(FileError, match=r"no external embeddings of the site.*XX-V01"):
        open_study(folder).run()
    values = np.zeros((1, 2, 3, 3), dtype="float32")
    year = xr.DataArray(values, {"year": [2019]}, ("year", "band", "y", "x"))
    year.to_dataset(name="embedding").to_netcdf(folder / "tessera" / "XX-V02.nc")
    with pytest.raises(ConfigError, match=r"features see the future \(found tessera made of the whole year"):
        open_study(folder).run()


def test_weights_that_cannot_be_used_are_refused_once_before_any_work(copy, monkeypatch):
    monkeypatch.setattr(stages, "run_site", lambda *a: pytest.fail("worked before it looked"))
    toml = copy / "study.toml"
    toml.write_text(toml.read_text() + '\n[embeddings]\nweights = "sites.csv"\n')
    with pytest.raises(WeightsError, match=r"sites\.csv"):
        open_study(copy).run()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[study]\nnmae = "x"\n', ("unknown key", "study: ", "nmae", "'name'")),
        ("[study]\nseed = -1\n", ("study.seed", "found -1", "0 to 2**32 - 1")),
        ("[flux]\nmin_qc = 2\n", ("flux.min_qc", "less than or equal to 1")),
        ("[fluxes]\n", ("unknown key", "fluxes", "Did you mean 'flux'?")),
        ("not toml", ("not valid TOML",)),
        ('[embeddings]\nwindow = "both"\n', ("embeddings.window",)),
        ("[footprint]\nradius = inf\n", ("footprint.radius",)),
        ('[benchmark]\nregressors = ["lightgmb"]\n', ("study.toml: unknown", "lightgmb", "lightgbm")),
        ('[benchmark]\nregressors = "ridge"\n', ("study.toml: benchmark.regressors: not a list", "found 'ridge'", "[")),
        ('[benchmark]\nprotocol = "leave-nothing-out"\n', ("study.toml: unknown", "leave-nothing-out")),
        ('[benchmark]\nprotocol = { name = "knndm", fold = 3 }\n', ("study.toml, ", "fold", "folds")),
        ('[benchmark]\nfeatures = ["embedings+meteo"]\n', ("unknown feature set", "embedings", "embeddings")),
        ('[flux]\ntarget = "GPP_NT_VUT"\n', ("unknown target", "GPP_NT_VUT_REF")),
        ('[flux]\ntarget = ["GPP_NT_VUT_REF", "GPP_NT_VUT"]\n', ("unknown target", "GPP_NT_VUT_REF")),
        ("[flux]\ntarget = []\n", ("flux.target", "at least 1")),
        ('[footprint]\nmodel = "hsieh"\n', ("footprint.model", "kormann")),
        ("[satellite]\nend = 2019\n", ("satellite.end", "found 2019", "2019-05-01")),
        ("[satellite]\ndilation = -20\n", ("satellite.dilation", "found -20", "metres, 0 to 500")),
        ("[benchmark]\nintervals = 90\n", ("benchmark.intervals", "found 90", "0.9")),
        ("[benchmark]\nmax_age = 10\n", ("benchmark.max_age: no day is filled", "found 10", 'gaps = "last"')),
    ],
)
def test_a_wrong_study_toml_is_refused(network, tmp_path, text, says):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(text)
    shutil.copy(network / "sites.csv", folder)
    with pytest.raises(ConfigError) as caught:
        open_study(folder)
    for words in says:
        assert words in str(caught.value)


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"no study\.toml"):
        open_study(tmp_path)


@pytest.mark.parametrize(("name", "says"), [("cloud", "threads, local or tcp"), ("tcp://nonsense", "no scheduler")])
def test_an_unknown_scheduler_is_refused(network, name, says):
    with pytest.raises(ConfigError, match=says):
        open_study(network).run(name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "tcp"])
def test_a_dask_scheduler_gives_the_same_scores(finished, network, tmp_path, kind):
    distributed = pytest.importorskip("distributed")
    folder = Path(shutil.copytree(network, tmp_path / "study"))
    bad = next((folder / "flux").glob("*XX-V03*"))
    if kind == "local":
        run = open_study(folder).run("local")
        expected = pd.read_csv(finished / "runs" / "GPP_NT_VUT_REF" / "leave-site-out" / "scores.csv")
        pd.testing.assert_frame_equal(
            run.benchmark.scores[["features", "regressor", "n", "r2"]].reset_index(drop=True),
            expected[["features", "regressor", "n", "r2"]],
            rtol=1e-3,
        )
        return
    bad.write_bytes(b"PK")  # an error must come back from a worker as it is
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        run = open_study(folder).run(cluster.scheduler_address)
    assert list(run.failures) == ["XX-V03"]
    assert run.failures["XX-V03"].startswith("FileError")
    assert run.benchmark.scores["sites"].eq(3).all()


def test_manifests_hold_hashes_parameters_and_the_code_version(finished):
    record = json.loads((finished / "embeddings" / "XX-V01.zarr" / "embeddings.json").read_text())
    assert set(record) == {"inputs", "parameters", "code_version"}
    assert record["parameters"]["window"] == "causal"
