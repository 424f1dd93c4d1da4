import re

import numpy as np
import pytest

from ecoembed.errors import GridError, TableError
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
    assert f"{best['r2']:.2f}" in text
    assert best["features"] in text
    assert "significant" not in text
    assert "3 sites that the model never saw" in text
    assert "no better than the mean" in text  # invented noise
    assert "no better than the mean" not in answer(run(flat()))


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
