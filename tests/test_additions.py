"""`ecoembed new` and `ecoembed add-site` as a scientist meets them, with a tower of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoembed.additions.clock import offset_from_light
from ecoembed.additions.rows import OPTIONS
from ecoembed.additions.texts import with_own, with_row
from ecoembed.archives.flux.folder import foreign_files, site_files
from ecoembed.archives.sites.reader import read_sites
from ecoembed.cli import main
from ecoembed.config import StudyConfig, read_config
from ecoembed.errors import ConfigError, TableError

from .study_helpers import answer, run_cli

SITE = "XX-V02"
OWN_TOML = """\
utc_offset = 1.0  # ours
[time]
column = "DateTime"
format = "%d.%m.%Y %H:%M"
stamp = "end"
zone = "local"
[columns]
GPP_NT = {column = "GPP_f", unit = "umol m-2 s-1"}
USTAR = {column = "Ustar", unit = "m s-1"}
"""


@pytest.fixture
def cli(capsys):
    """The command line in this process: (exit code, what it printed, its message on standard error in one line)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code: object = 0
        try:
            main([str(one) for one in arguments])
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return int(code or 0), said.out, " ".join(said.err.split())

    return call


@pytest.fixture
def study(tmp_path: Path, cli) -> Path:
    """A new study whose name holds spaces."""
    folder = tmp_path / "my first study"
    assert cli("new", folder)[0] == 0
    return folder


@pytest.fixture(scope="session")
def downloaded(network: Path) -> Path:
    """A FULLSET zip, days and half-hours."""
    return next((network / "flux").glob(f"*{SITE}*"))


@pytest.fixture(scope="session")
def row(network: Path) -> dict[str, str]:
    table = pd.read_csv(network / "sites.csv", dtype=str).set_index("site_id").loc[SITE]
    return table.to_dict()


@pytest.fixture(scope="session")
def place(row: dict[str, str]) -> list[str]:
    return ["--lat", row["latitude"], "--lon", row["longitude"]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def own(folder: Path) -> tuple[str, ...]:
    return read_config(folder / "study.toml").study.own


# ---------------------------------------------------------------------------------------------------------------- new


def test_a_new_study_is_one(study, cli):
    assert sorted(p.name for p in study.iterdir()) == [
        "README.md",
        "flux",
        "satellite",
        "sites",
        "sites.csv",
        "study.toml",
    ]
    assert read_config(study / "study.toml").study.name == "my first study"
    assert f"ecoembed fetch '{study}'" in (study / "README.md").read_text()
    code, _, message = cli("run", study)
    assert (code, "no site" in message, "ecoembed add-site" in message) == (2, True, True)


def test_what_is_commented_out_is_the_default(study):
    text = (study / "study.toml").read_text()
    open_ = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    section, checked = "", 0
    defaults = StudyConfig()
    for line in open_.splitlines():
        section = found[1] if (found := re.fullmatch(r"\[(\w+)\].*", line)) else section
        if (found := re.match(r"(\w+) = ", line)) and found[1] not in ("name", "target", "start", "end", "intervals"):
            value = tomllib.loads(line)[found[1]]
            default = getattr(getattr(defaults, section), found[1])
            assert (tuple(value) if isinstance(value, list) else value) == default, line
            checked += 1
    assert checked > 12
    (study / "study.toml").write_text(open_)
    read_config(study / "study.toml")  # every key is known, and every value possible


def test_a_used_folder_is_refused_and_left(tmp_path, cli):
    used = tmp_path / "used"
    used.mkdir()
    (used / "thesis.tex").write_text("!")
    code, _, message = cli("new", used)
    assert (code, "thesis.tex" in message) == (2, True)
    assert contents(used) == {"thesis.tex": b"!"}
    code, _, message = cli("new", used / "thesis.tex")
    assert (code, "this is a file" in message) == (2, True)


def test_an_empty_folder_and_what_a_killed_run_left_are_taken(tmp_path, cli, study):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".git").mkdir()
    assert cli("new", tmp_path / "empty")[0] == 0
    (study / "study.toml").unlink()  # it is written last
    assert cli("new", study)[0] == 0
    code, _, message = cli("new", study)
    assert (code, "add-site" in message) == (2, True)


# ------------------------------------------------------------------------------------------------------------- adding


def test_what_the_file_knows_is_not_asked_for(study, downloaded, row, cli):
    """Site ID from the name; the UTC offset from its potential radiation; coordinates as they were typed."""
    code, out, _ = cli(
        "add-site", study, downloaded, "--lat", row["latitude"] + "0", "--lon", row["longitude"], "--json"
    )
    assert code == 0
    said = json.loads(out)
    assert (said["site"], said["own"], said["copied"]) == (SITE, True, [downloaded.name])
    assert {one["column"]: one["value"] for one in said["known"]}["utc_offset"] == float(row["utc_offset"])
    assert next(one for one in said["known"] if one["column"] == "utc_offset")["variable"] == "SW_IN_POT"
    assert (study / "flux" / downloaded.name).read_bytes() == downloaded.read_bytes()
    line = pd.read_csv(study / "sites.csv", dtype=str).set_index("site_id").loc[SITE]
    assert (line["latitude"], line["longitude"]) == (row["latitude"] + "0", row["longitude"])
    assert own(study) == (SITE,)
    missing = {one["what"]: one for one in said["missing"]}
    assert "disc of 100 m" in next(one["costs"] for what, one in missing.items() if "footprint" in what)
    assert "rank" in missing["igbp"]["costs"]
    assert "p_model" in missing["elevation"]["costs"]
    assert missing["satellite images"]["remedy"] == f"ecoembed fetch '{study}' --sites {SITE}" == said["next"]
    assert "other towers" in missing


def test_nothing_is_missing_where_all_is_told_and_there(network, downloaded, row, tmp_path, cli):
    folder = tmp_path / "study"
    shutil.copytree(network, folder)
    downloaded_again = tmp_path / downloaded.name
    shutil.move(folder / "flux" / downloaded.name, downloaded_again)
    table = (folder / "sites.csv").read_text().splitlines(keepends=True)
    (folder / "sites.csv").write_text("".join(line for line in table if SITE not in line))
    told = [part for name, option in OPTIONS.items() for part in (option, row[name])]
    code, out, _ = cli("add-site", folder, downloaded_again, *told, "--json")
    said = json.loads(out)
    assert (code, said["missing"], said["next"]) == (0, [], f"ecoembed run {folder}")
    assert (folder / "sites.csv").read_text().splitlines()[:2] == [table[0].strip(), table[1].strip()]
    written, before = read_sites(folder / "sites.csv").loc[SITE], read_sites(network / "sites.csv").loc[SITE]
    pd.testing.assert_series_equal(written.drop(["licence", "citation"]), before.drop(["licence", "citation"]))


def test_again_changes_nothing(study, downloaded, cli, place):
    assert cli("add-site", study, downloaded, *place)[0] == 0
    before = contents(study)
    code, out, _ = cli("add-site", study, downloaded)
    assert (code, "there already" in out) == (0, True)
    copy = study.parent / f"FLX_{SITE}_renamed.zip"
    shutil.copy(downloaded, copy)
    assert cli("add-site", study, copy, *place, "--no-own")[0] == 0
    assert contents(study) == before


def test_another_file_of_the_site_asks_for_a_decision(study, downloaded, cli, place):
    assert cli("add-site", study, downloaded, *place)[0] == 0
    other = study.parent / downloaded.name
    with zipfile.ZipFile(downloaded) as old, zipfile.ZipFile(other, "w") as new:  # a version with one day less
        for name in old.namelist():
            new.writestr(name, old.read(name).rpartition(b"\n2019")[0] + b"\n")
    before = contents(study)
    code, _, message = cli("add-site", study, other)
    assert (code, "remove" in message, "continues it" in message) == (2, True, True)
    assert contents(study) == before
    (study / "flux" / downloaded.name).unlink()  # the decision
    assert cli("add-site", study, other)[0] == 0
    assert (study / "flux" / other.name).read_bytes() == other.read_bytes()


def test_days_and_half_hours_may_come_one_after_the_other(study, downloaded, cli, place, row):
    with zipfile.ZipFile(downloaded) as archive:
        archive.extractall(study.parent)
    days, half = (next(study.parent.glob(f"*_{what}_*.csv")) for what in ("DD", "HH"))
    told = [*place, "--zm", row["measurement_height"], "--canopy-height", row["canopy_height"]]
    code, out, message = cli("add-site", study, days, *told)
    assert (code, "--utc-offset" in message) == (2, True)  # days alone do not tell
    code, out, _ = cli("add-site", study, days, *told, "--utc-offset", row["utc_offset"])
    assert (code, "no half-hourly or hourly table" in out) == (0, True)
    code, out, _ = cli("add-site", study, half)
    assert (code, "footprint" in out) == (0, False)
    assert sorted(p.name for p in (study / "flux").iterdir()) == sorted([days.name, half.name])


def test_a_tower_to_learn_from_is_not_ones_own(study, downloaded, cli, place):
    code, out, _ = cli("add-site", study, downloaded, *place, "--no-own")
    assert (code, "to learn from" in out, own(study)) == (0, True, ())


@pytest.mark.parametrize("wrong", [0, -2, 2])
def test_a_wrong_clock_is_told_by_the_half_hours_beside_the_days(study, downloaded, cli, place, row, wrong, recwarn):
    told = f"{float(row['utc_offset']) + wrong:g}"
    code, out, _ = cli("add-site", study, downloaded, *place, "--utc-offset", told)
    assert (code, "FULLSET DD" in out) == (0, True)
    said = [f"{SITE}: the centre of the day's radiation" in str(warned.message) for warned in recwarn]
    assert said.count(True) == (wrong != 0)


def test_few_decimals_are_warned_of(study, downloaded, cli, row):
    with pytest.warns(UserWarning, match="fewer than 4 decimals"):
        assert cli("add-site", study, downloaded, "--lat", row["latitude"][:5], "--lon", row["longitude"][:5])[0] == 0


# ------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("told", "words"),
    [  # PLACE stands for the right coordinates
        ([], ["no coordinates", "--lat", "sites/"]),
        (["--lat", "54.5"], ["no coordinates", "--lon"]),
        (["--lat", "54,51857", "--lon", "11.65547"], ["--lat: not a number", "54.51857"]),
        (["--lat", "154.51857", "--lon", "11.65547"], ["--lat", "impossible value", "between -90 and 90"]),
        (["--lat", "54.51857", "--lon", "11.65547", "--igbp", "crops"], ["--igbp", "one of ENF", "WAT)"]),
        (["--lat", "54.51857", "--lon", "11.65547", "--zm", "nan"], ["--zm", "impossible"]),
        (["PLACE", "--zm", "1", "--canopy-height", "20"], ["below the displacement"]),
        (["--lat", "54.51857", "--lon", "11.65547", "--site", "XX-V99"], ["another site", "XX-V02"]),
    ],
)
def test_what_is_told_wrongly_is_refused_and_nothing_written(study, downloaded, cli, told, words, place):
    before = contents(study)
    told = [*place, *told[1:]] if told[:1] == ["PLACE"] else told
    code, _, message = cli("add-site", study, downloaded, *told)
    assert code == 2
    for word in words:
        assert word in message
    assert contents(study) == before


def test_wrong_files_are_refused_and_nothing_written(study, tmp_path, cli):
    before = contents(study)
    (tmp_path / "notes.txt").write_text("nothing of a flux\n")
    (tmp_path / "FLX_XX-V01_FULLSET.zip").write_bytes(b"PK\x03\x04 half a download")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "mine.csv").write_text("DateTime,GPP_f\n01.05.2019 00:30,1.0\n01.05.2019 01:00,1.1\n")
    for name, words in {
        "notes.txt": ["no table of fluxes"],
        "FLX_XX-V01_FULLSET.zip": ["truncated", "Download it again"],
        "empty.csv": ["empty"],
        "absent.csv": ["no such file"],
        "mine.csv": ["no table of fluxes", "--description", "own_table.toml"],
        ".": ["this is a folder"],
    }.items():
        code, _, message = cli("add-site", study, tmp_path / name, "--lat", "51.12345", "--lon", "10.54321")
        assert code == 2, name
        for word in words:
            assert word in message, (name, message)
        assert contents(study) == before
    code, _, message = cli("add-site", tmp_path, tmp_path / "mine.csv")
    assert (code, "no study.toml" in message) == (2, True)


def test_a_target_that_the_file_has_not_names_those_it_has(study, downloaded, cli, place):
    path = study / "study.toml"
    path.write_text(path.read_text().replace('["GPP_NT_VUT_REF", "GPP_NT"]', '"GPP_PI_F"'))
    code, _, message = cli("add-site", study, downloaded, *place)
    assert (code, "GPP_NT_VUT_REF" in message, "study.toml" in message) == (2, True, True)


def test_a_contradiction_with_the_site_table_is_not_overwritten(study, downloaded, cli, place):
    assert cli("add-site", study, downloaded, *place, "--igbp", "CRO")[0] == 0
    before = contents(study)
    code, _, message = cli("add-site", study, downloaded, "--igbp", "GRA")
    assert (code, "says otherwise" in message, contents(study)) == (2, True, before)


@pytest.mark.parametrize("name", ["sites.csv", "study.toml"])
def test_what_cannot_be_written_leaves_the_study_as_it_was(study, downloaded, cli, monkeypatch, name, place):
    before, replace = contents(study), os.replace

    def refusing(source, target):
        if Path(target).name == name:
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    code, _, message = cli("add-site", study, downloaded, *place)
    assert (code, "cannot be written" in message) == (2, True)
    assert contents(study) == before


@pytest.mark.parametrize("name", ["FLX_", "sites.csv", "study.toml"])
def test_killed_between_writes_nothing_is_half_written(study, downloaded, cli, name, place):
    """The process dies as it is about to rename; the same call completes what it began."""
    told = ["add-site", str(study), str(downloaded), *place]
    script = (
        "import os, pathlib; from ecoembed.cli import main; replace = os.replace\n"
        f"os.replace = lambda a, b: os._exit(137) if pathlib.Path(b).name.startswith({name!r}) else replace(a, b)\n"
        f"main({told!r})"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 137
    visible = {k: v for k, v in contents(study).items() if not Path(k).name.startswith(".")}
    assert visible.get(f"flux/{downloaded.name}", downloaded.read_bytes()) == downloaded.read_bytes()
    read_config(study / "study.toml")
    assert cli(*told)[0] == 0
    assert (own(study), list(read_sites(study / "sites.csv").index)) == ((SITE,), [SITE])


# -------------------------------------------------------------------------------------------------------- an own table


@pytest.fixture
def own_table(tmp_path: Path) -> tuple[Path, Path]:
    time = pd.date_range("2019-05-01 00:30", "2019-06-30 23:30", freq="30min")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"DateTime": time.strftime("%d.%m.%Y %H:%M"), "GPP_f": rng.normal(5, 1, len(time)).round(3)})
    table.assign(Ustar=0.3).to_csv(tmp_path / "my tower.csv", index=False)
    (tmp_path / "columns.toml").write_text(OWN_TOML)
    return tmp_path / "my tower.csv", tmp_path / "columns.toml"


def test_an_own_table_comes_with_its_description(study, own_table, cli):
    path, description = own_table
    told = ("--description", description, "--lat", "51.12345", "--lon", "-10.54321")
    code, _, message = cli("add-site", study, path, *told)
    assert (code, "--site XX-Own" in message) == (2, True)
    code, out, _ = cli("add-site", study, path, *told, "--site", "DE-Own")
    assert code == 0
    assert sorted(p.name for p in (study / "flux").iterdir()) == ["DE-Own_my tower.csv", "DE-Own_my tower.toml"]
    assert "its TOML" in out
    assert "-10.54321" in (study / "sites.csv").read_text()
    assert site_files(study / "flux", "DE-Own").description is not None
    assert foreign_files(study / "flux", ["DE-Own"]) == {}
    before = contents(study)
    assert cli("add-site", study, path, *told, "--site", "DE-Own")[0] == 0
    assert contents(study) == before
    code, _, message = cli("add-site", study, path, *told, "--site", "my_tower")
    assert (code, "not a site ID" in message) == (2, True)


# ------------------------------------------------------------------------------------------------------ the real files


def test_a_real_fullset_day_file(study, real, cli):
    path = next((real / "flux").glob("FLX_US-Wi7*"))
    code, out, _ = cli(
        "add-site", study, path, "--lat", "46.649111", "--lon", "-91.069278", "--utc-offset", "-6", "--json"
    )
    said = json.loads(out)
    assert (code, said["site"], said["target"], said["rows"]["in"]) == (0, "US-Wi7", "GPP_NT_VUT_REF", 365)
    assert any("first Sentinel-2 image" in one["what"] for one in said["missing"])


def test_a_real_fullset_half_hour_file_tells_its_clock(study, real, cli):
    """Its 99 half-hours are of poor quality: with the default threshold no day is left, which is said."""
    path = next((real / "flux").glob("FLX_CH-Cha*"))
    told = ("--lat", "47.21022", "--lon", "8.41044", "--zm", "2.4", "--canopy-height", "0.3")
    code, _, message = cli("add-site", study, path, *told)
    assert (code, "no day of GPP_NT_VUT_REF is left" in message, "min_qc" in message) == (2, True, True)
    assert "found 0 of 3 days kept; dropped: 3 (incomplete day 1, qc below 0.75 2)" in message
    text = (study / "study.toml").read_text()
    (study / "study.toml").write_text(text.replace("# min_qc = 0.75 ", "min_qc = 0 "))
    code, out, _ = cli("add-site", study, path, *told, "--json")
    said = json.loads(out)
    assert (code, {one["column"]: one["value"] for one in said["known"]}["utc_offset"]) == (0, 1.0)
    assert not any("footprint" in one["what"] for one in said["missing"])


def test_a_real_base_zip_with_the_real_workbook_needs_no_options(study, real, cli):
    shutil.copy(real / "sites" / "FLX_AA-Flx_BIF_LATEST.xlsx", study / "sites")
    done = run_cli("add-site", study, real / "flux" / "AMF_US-Tw3_BASE_HH_5-5.zip", "--json")
    said = answer(done)
    known = {one["column"]: one for one in said["known"]}
    assert (known["latitude"]["value"], known["longitude"]["value"]) == (38.1159, -121.6467)
    assert (known["igbp"]["value"], known["utc_offset"]["value"], known["elevation"]["value"]) == ("CRO", -8.0, -9.0)
    assert all("BIF" in one["source"] for one in known.values())
    assert (said["site"], said["target"], said["product"]) == ("US-Tw3", "GPP_NT", "AmeriFlux BASE HH")
    assert "measurement_height" in said["missing"][0]["what"]
    assert (study / "sites.csv").read_text().splitlines()[1].startswith("US-Tw3,,")  # the workbook stays the source
    code, _, message = cli("add-site", study, real / "sites" / "FLX_AA-Flx_BIF_LATEST.xlsx")
    assert (code, "no table of fluxes" in message, "sites/" in message) == (2, True, True)


# ---------------------------------------------------------------------------------------------- texts that users wrote


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# mine\n[flux]\nmin_qc = 0.5 # less\n",
        '[study] # head\nname = "a [b] own = [1]"\n\n[flux]\n',
        '[study]\nown = []   # none yet\n',
        '[study]\nown = ["XX-A"] # first\nseed = 1\n',
        "[study]\nown = [\n  'XX-A', # a ] bracket\n  'XX-B'  # last\n]\n[flux]\nmin_qc = 0\n",
        '[study]\nown = ["XX-A", "XX-B",]\n',
        '[study]\nown = "XX-A"\n',
        'study.own = ["XX-A"]\n',
        'study = {name = "x", own = ["XX-A"]}\n',
        '[study]\r\nname = "dos"\r\n[flux]\r\n',
        '[flux]\n[study]',
    ],
)  # fmt: skip
def test_a_name_is_added_to_a_study_toml_and_nothing_else_changes(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_bytes(text.encode())
    new = with_own(path, "XX-New")
    before, after = tomllib.loads(text), tomllib.loads(new)
    names = before.get("study", {}).get("own", [])
    assert after["study"].pop("own") == [*([names] if isinstance(names, str) else names), "XX-New"]
    before.setdefault("study", {}).pop("own", None)
    assert after == before
    assert re.findall(r"#.*", new) == re.findall(r"#.*", text)
    assert ("\r\n" in new) == ("\r\n" in text)
    kept = [line for line in text.splitlines() if "own" not in line and line.strip() not in ("]", "'XX-B'  # last")]
    assert [line for line in new.splitlines() if line in kept] == kept
    path.write_bytes(new.encode())
    assert with_own(path, "XX-New") == new


def test_a_study_toml_without_a_place_for_it_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('study = {name = "x"}\n')
    with pytest.raises(ConfigError, match=r'own = \["XX-New"\] under \[study\]'):
        with_own(path, "XX-New")


def test_a_row_keeps_the_rest_of_a_users_table(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_bytes('\ufeffSITE_ID;LAT;LON;note\r\nXX-A;50,10001;8,20002;"two\r\nlines; here"\r\nXX-B;;;'.encode())
    new = with_row(path, "XX-B", {"latitude": "51.12340", "longitude": "9.5", "igbp": "GRA"})
    assert new.startswith("\ufeffSITE_ID;LAT;LON;note;igbp\r\n")
    assert 'XX-A;50,10001;8,20002;"two\r\nlines; here"\r\n' in new
    assert new.endswith("XX-B;51,12340;9,5;;GRA\r\n")
    path.write_bytes(new.encode())
    with pytest.warns(UserWarning, match="decimal"):
        table = read_sites(path)
    assert table.loc["XX-B", ["latitude", "longitude", "igbp"]].tolist() == [51.1234, 9.5, "GRA"]
    with pytest.raises(TableError, match="another spelling"):
        with_row(path, "XX-b", {})


@settings(max_examples=25, deadline=None)
@given(
    st.floats(-60, 68), st.floats(-180, 180), st.integers(-6, 6), st.integers(1, 355),
)  # fmt: skip
def test_the_clock_is_told_by_the_sun(latitude, longitude, quarters, day):
    """Potential radiation by pvlib's ephemeris, at a clock up to an hour and a half from the sun's."""
    pvlib = pytest.importorskip("pvlib")
    offset = round(longitude / 15) + quarters / 4
    utc = pd.date_range("2019-01-01", periods=3 * 288, freq="5min") + pd.Timedelta(days=day, hours=-offset)
    sun = pvlib.solarposition.get_solarposition(utc.tz_localize("UTC") + pd.Timedelta("2.5min"), latitude, longitude)
    light = 1361.0 * np.clip(np.cos(np.radians(sun["zenith"].to_numpy())), 0, None)
    time = (utc + pd.Timedelta(hours=offset))[::6]
    halfhours = xr.Dataset({"SW_IN_POT": ("time", light.reshape(-1, 6).mean(1))}, coords={"time": time})
    found = offset_from_light(halfhours, longitude)
    wrapped = (found - offset + 12) % 24 - 12  # beside the date line the sun does not tell the day
    assert np.isnan(found) or wrapped == 0
    if abs(latitude) < 55:
        assert np.isfinite(found)


# ------------------------------------------------------------------------------------------------------------- the run


@pytest.mark.slow
def test_a_run_reports_on_it_and_goes_on_without_it_where_images_lack(finished, downloaded, tmp_path, cli):
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    for place in ("cubes", "embeddings", "series"):
        for path in (folder / place).glob(f"{SITE}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    images = (folder / "satellite" / SITE).rename(tmp_path / "images")
    code, out, _ = cli("add-site", folder, downloaded, "--json")  # it was one of the others
    assert (code, json.loads(out)["copied"], own(folder)) == (0, [], (SITE,))
    code, out, message = cli("run", folder)
    assert (code, f"--sites {SITE}" in message) == (1, True)
    assert SITE not in set(pd.read_csv(next(folder.glob("runs/*/*/site_scores.csv")))["site"])
    images.rename(folder / "satellite" / SITE)
    assert cli("run", folder)[0] == 0
    run = next(folder.glob("runs/*/*"))
    (found,) = json.loads((run / "benchmark.json").read_text())["own_sites"]
    assert found["site"] == SITE
    assert found["others"]["n"] == found["n"] > 0
    assert found["missing"] == []
    assert "Your own site" in (run / "report.html").read_text()
