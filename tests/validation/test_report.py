import re

import numpy as np
import pytest

from ecoembed.errors import GridError, TableError
from ecoembed.gpp.features import feature_table
from ecoembed.validation.pictures import clearest_date, footprint_share, picture_pair, stretch
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
        "NIRv x SW_IN_F",
        "Seed 0",
    ):
        assert word in html, word
    assert f"{len(joined())} of 90 acquisitions kept" in html
    assert html.count('src="data:image/png;base64,') == 4  # series, map, two pictures
    assert html.count("<tr><td>bands</td>") == 2  # its score, its columns


def test_answer_states_numbers_and_no_significance(result):
    text = answer(result)
    best = result.scores.iloc[0]
    assert f"{best['r2']:.2f}".replace("-", "−") in text
    assert best["features"] in text
    assert "significant" not in text
    assert "3 sites that the model never saw" in text
    assert "no better than the mean" in text  # invented noise
    assert "no better than the mean" not in answer(run(flat()))


def test_answer_holds_the_embeddings_against_the_random_encoder_and_light():
    table = flat().assign(noise=np.random.default_rng(0).normal(0, 1, 100))
    sets = {
        "embeddings": ["NIRv"], "embeddings:random": ["noise"], "nirv_x_radiation": ["NIRv * SW"],
        "embeddings+my-set": ["NIRv", "SW"], "temperature": ["TA"],
    }  # fmt: skip
    result = run(table, features=sets)
    r2 = result.scores.set_index("features")["r2"].round(2)

    def text(value, sign=""):
        return f"{value:{sign}.2f}".replace("-", "−")

    light = r2["nirv_x_radiation"]
    random = f"{text(r2['embeddings'] - r2['embeddings:random'], '+')} against the random encoder"
    assert f"embeddings {text(r2['embeddings'])}, {random} ({text(r2['embeddings:random'])})" in answer(result)
    assert f" and {text(r2['embeddings'] - light, '+')} against NIRv x radiation ({text(light)})" in answer(result)
    alone = f"embeddings+my-set {text(r2['embeddings+my-set'])}, {text(r2['embeddings+my-set'] - light, '+')} against N"
    assert alone in answer(result)
    assert answer(result).endswith(f" regressor: temperature {text(r2['temperature'])}.")  # the others are told above
    for others in ({"embeddings": ["NIRv"], "bands": ["SW"]}, {"bands": ["NIRv"], "nirv_x_radiation": ["SW"]}):
        assert "embeddings add" not in answer(run(table, features=others))


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
    assert "contribute no row" not in write_report(result, tmp_path / "r.html").read_text()


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
    assert clearest_date(cube, z) == cube["time"].values[2]
    weights = cube[0, 3].copy(data=np.full((24, 24), 1 / 576))
    for w in (None, weights, weights * np.linspace(0, 2, 24)):
        assert picture_pair(cube, z, w, latitude=45.15, longitude=4.27).startswith(b"\x89PNG")


def test_picture_refuses_another_grid_or_other_dates():
    cube = worlds.cube()
    z = embedding_of(cube)
    with pytest.raises(GridError, match="XX-T01"):
        picture_pair(cube, z.assign_coords(x=z["x"] + 10))
    with pytest.raises(TableError, match="no date in common"):
        picture_pair(cube, z.assign_coords(time=z["time"] + np.timedelta64(1, "h")))


def test_footprint_share_by_hand():
    weights = np.array([[0.4, 0.3], [0.2, 0.0]])
    np.testing.assert_allclose(footprint_share(weights), [[0.4, 0.7], [0.9, 1.0]])
    np.testing.assert_allclose(footprint_share(np.array([[0.25, 0.25], [0.25, 0.0]])), [[0.75, 0.75], [0.75, 1.0]])


def test_stretch():
    image = np.random.default_rng(0).uniform(0, 1, (20, 20, 3)) * [0.1, 0.5, 1.0]
    image[0, 0] = np.nan
    apart, together = stretch(image), stretch(image, together=True)
    assert apart.min() >= 0
    assert apart.max() <= 1
    np.testing.assert_array_equal(apart[0, 0], [0.75] * 3)
    assert np.median(together[..., 0]) < 0.2 < 0.4 < np.median(apart[..., 0])
