import re

import numpy as np
import pytest
import xarray as xr

from ecoembed.cubes.pictures import TRUE_COLOUR, clearest_date
from ecoembed.errors import GridError, TableError
from ecoembed.gpp.features import feature_table
from ecoembed.validation.report.figures import value_limits
from ecoembed.validation.report.pictures import picture_pair
from ecoembed.validation.report import answer, compared, write_report
from tests.gpp import worlds
from tests.validation.tables import flat, joined, run


@pytest.fixture(scope="module")
def result():
    return run(joined(), target="GPP_NT_VUT_REF", features=None)


def embedding_of(cube):
    z = cube.isel(band=[0, 1, 2]).assign_coords(band=["z1", "z2", "z3"])
    return z.assign_attrs(sensor="embeddings", weights="x", window="centred")


def test_report_is_whole_and_loads_nothing(result, tmp_path):
    place = worlds.sites(["XX-T01", "XX-T02", "XX-T03"])
    pictures = [("XX-T01", "as array", np.zeros((4, 4, 3))), ("XX-T02", "as bytes", b"\x89PNG")]
    html = write_report(result, tmp_path / "r.html", sites=place, pictures=pictures, title="<b>Mine</b>").read_text()
    assert not re.search(r"""https?://|<script|<link|@import|url\(|(?:src|href)=["'](?!data:)""", html)
    assert "&lt;b&gt;Mine&lt;/b&gt;" in html
    assert "<b>Mine" not in html
    for word in (
        "unseen-site",
        "leave-site-out",
        "XX-T03",
        "GRA",
        "gC m-2 d-1",
        "as bytes",
        "NIRv x SW_IN",
        "Seed 0",
    ):
        assert word in html, word
    assert f"{len(joined())} of 90 acquisitions kept" in html
    assert html.count('src="data:image/png;base64,') == 4  # series, map, two pictures
    assert html.count("<tr><td>bands</td>") == 2  # its score, its columns


def test_answer_states_numbers_and_no_significance(result):
    text = answer(result)
    best = result.scores.iloc[0]
    assert f"{round(best['r2'], 2) + 0.0:.2f}".replace("-", "−") in text
    assert best["features"] in text
    assert "significant" not in text
    assert "3 sites that the model never saw" in text
    assert "no better than the mean" in text  # invented noise
    assert "no better than the mean" not in answer(run(flat()))


def test_answer_compares_the_embeddings_with_what_has_the_same_drivers():
    noise = np.random.default_rng(0).normal(0, 1, (2, 100))
    table = flat().assign(noise=noise[0], hiss=noise[1])
    plain = {"embeddings": ["NIRv"], "bands": ["hiss"], "indices": ["SW"], "embeddings:random": ["noise"]}
    sets = {**plain, **{f"{name}+meteo": [*columns, "TA"] for name, columns in plain.items()}}
    result = run(table, features={**sets, "nirv_x_radiation": ["NIRv * SW"], "meteo": ["TA"]})
    r2 = result.scores.set_index("features")["r2"].round(2)

    def text(value, sign=""):
        return f"{value + 0.0:{sign}.2f}".replace("-", "−")

    def clause(name, rivals):
        against = (f"{text(r2[name] - r2[rival], '+')} against {rival} ({text(r2[rival])})" for rival in rivals)
        return f"{name} {text(r2[name])}: {', '.join(against)}"

    told = answer(result)
    united = clause("embeddings+meteo", ["bands+meteo", "indices+meteo", "embeddings:random+meteo"])
    alone = clause("embeddings", ["bands", "indices", "embeddings:random", "nirv_x_radiation"])
    assert f"; {united}. The trained" in told or f": {united}; " in told
    assert f"; {alone}. The trained" in told or f": {alone}; " in told
    sites = result.site_scores.pivot(index="site", columns="features", values="r2")
    for name, random in (("embeddings", "embeddings:random"), ("embeddings+meteo", "embeddings:random+meteo")):
        higher = (sites[name] > sites[random]).sum()
        assert (
            f"The trained encoder beats the random one in {name} ({text(r2[name])} against {text(r2[random])}; " in told
        )
        assert f"{text(r2[random])}; higher at {higher} of 5 sites)." in told
    assert told.count("against nirv_x_radiation") == 1  # never against a set with the weather
    assert told.endswith(f" regressor: meteo {text(r2['meteo'])}.")  # the others are told above
    for others in ({"embeddings": ["NIRv"], "my-set": ["SW"]}, {"bands": ["NIRv"], "nirv_x_radiation": ["SW"]}):
        assert "embeddings add" not in answer(run(table, features=others))


def test_a_random_encoder_that_wins_is_told_to_win():
    noise = np.random.default_rng(0).normal(0, 1, 100)
    table = flat().assign(noise=noise, same=lambda t: t["NIRv"])
    for other in ("NIRv", "same"):
        columns = {"embeddings": ["noise" if other == "NIRv" else "NIRv"], "embeddings:random": [other]}
        assert "The trained encoder does not beat the random one in embeddings (" in answer(
            run(table, features=columns)
        )
    assert "encoder" not in answer(run(table, features={"embeddings": ["NIRv"], "bands": ["noise"]}))


def test_the_claim_says_itself_that_nothing_was_tested(result, tmp_path):
    html = write_report(result, tmp_path / "r.html").read_text()
    claim = html[html.index('<p class="answer">') :].split("</p>")[0]
    assert "Whether a difference is more than chance is not tested." in claim
    assert "chosen by this same r2" in html


def test_a_unit_that_nobody_gave_is_not_made_up(tmp_path):
    unknown, known = run(flat()), run(flat(), units="umol m-2 s-1")
    assert (unknown.record["units"], known.record["units"]) == ("unit not given", "umol m-2 s-1")
    html = write_report(unknown, tmp_path / "r.html").read_text()
    assert "target GPP (unit not given)" in html
    assert "gC m-2" not in html
    assert re.search(r"RMSE of \d\.\d\d \(unit not given\)\.", answer(unknown))
    assert re.search(r"RMSE of \d\.\d\d umol m-2 s-1\.", answer(known))


def test_the_climatology_is_told_in_words(result, tmp_path):
    count = len(result.record["features"]["climatology"])
    html = write_report(result, tmp_path / "r.html").read_text()
    assert f'<td>climatology</td><td class="wrap">seasonal cycle by vegetation type ({count} columns)</td>' in html
    assert "year01" not in html
    own = run(flat(), climatology={"type": "PFT", "latitude": 50.0})
    html = write_report(own, tmp_path / "r.html").read_text()
    assert "seasonal cycle by vegetation type (type = PFT, latitude = 50.0)" in html


def test_pictures_are_explained(result, tmp_path):
    html = write_report(result, tmp_path / "r.html", pictures=[("a", "b", b"c")]).read_text()
    assert "date with the most valid pixels" in html
    assert "2nd to its 98th percentile" in html


def test_no_value_is_cut_off_the_series():
    table = flat().assign(GPP=lambda t: -t["GPP"])  # as NEE: nearly all of it below zero
    predictions = run(table).predictions
    low, high = value_limits([predictions])
    for column in ("observed", "predicted"):
        assert low < predictions[column].min() < predictions[column].max() < high


def test_report_names_the_sites_without_a_row(tmp_path):
    times, names = worlds.overpasses(), ["XX-T01", "XX-T02", "XX-T03"]
    flux = {s: worlds.flux(s, seed=i) for i, s in enumerate(names)}
    flux["XX-T03"]["GPP_NT_VUT_REF"][:] = np.nan
    series = {s: worlds.all_series(times, seed=i) for i, s in enumerate(names)}
    with pytest.warns(UserWarning, match="XX-T03"):
        table = feature_table(series, flux, worlds.sites(names))
    result = run(table, target="GPP_NT_VUT_REF", features=None)
    html = write_report(result, tmp_path / "r.html").read_text()
    assert "XX-T03 (0 of 30 acquisitions kept; dropped: 30 (target not measured 30))." in html
    assert '<tr class="bad"><td>XX-T03</td><td class="n">30</td><td class="n">−30</td><td class="n">0</td></tr>' in html
    assert '<tr><td>XX-T01</td><td class="n">30</td><td class="n"></td><td class="n">30</td></tr>' in html
    assert '<tr><td>all sites</td><td class="n">90</td><td class="n">−30</td><td class="n">60</td></tr>' in html


def test_report_without_a_lost_site_speaks_of_none(result, tmp_path):
    assert "Not in this comparison" not in write_report(result, tmp_path / "r.html").read_text()


def test_the_best_is_held_against_light():
    scores = run(flat(), features={"nirv_x_radiation": ["NIRv * SW"], "a": ["NIRv"], "b": ["TA"]}).scores
    assert compared(scores) == [("nirv_x_radiation", "ridge"), ("a", "ridge")]
    scores = run(flat(), features={"nirv_x_radiation": ["TA"], "a": ["NIRv"], "b": ["NIRv * SW"]}).scores
    assert compared(scores) == [("b", "ridge"), ("nirv_x_radiation", "ridge")]


def test_one_set_and_one_day_sites(tmp_path):
    table = flat(3, 6).iloc[[*range(12), 12]]
    result = run(table, features={"f": ["NIRv"]})
    assert "–" in write_report(result, tmp_path / "r.html").read_text()


def test_picture_of_the_clearest_date():
    cube = worlds.cube(np.random.default_rng(0).uniform(0, 0.4, (3, 10, 24, 24)), size=24, dates=3)
    z = embedding_of(cube)
    cube[0, 0, :12] = np.nan
    z[1, 1, :3] = np.nan
    z[2, 1, :1] = np.nan
    assert clearest_date((cube, TRUE_COLOUR), (z, ("z1", "z2", "z3"))) == cube["time"].values[2]
    weights = cube[0, 3].copy(data=np.full((24, 24), 1 / 576))
    monthly = xr.concat([weights, weights * np.linspace(0, 2, 24)], "month")
    for w in (None, weights, weights * np.linspace(0, 2, 24), monthly):
        assert picture_pair(cube, z, w, latitude=45.15, longitude=4.27).startswith(b"\x89PNG")


def test_picture_refuses_another_grid_or_other_dates():
    cube = worlds.cube()
    z = embedding_of(cube)
    with pytest.raises(GridError, match="XX-T01"):
        picture_pair(cube, z.assign_coords(x=z["x"] + 10))
    with pytest.raises(TableError, match="no date in common"):
        picture_pair(cube, z.assign_coords(time=z["time"] + np.timedelta64(1, "h")))
