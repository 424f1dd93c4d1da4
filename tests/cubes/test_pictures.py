"""Cubes as pictures: true colour, and files that are whole."""

import numpy as np
import pytest

from ecoembed.cubes.pictures import clear_shares, save_figure, true_colour
from ecoembed.errors import ConfigError
from tests.gpp import worlds


def test_true_colour_keeps_hues_and_leaves_forests_dark():
    forest, sand = np.full((4, 4, 3), [0.02, 0.04, 0.02]), np.full((4, 4, 3), [0.5, 0.4, 0.3])
    sand[0, 0] = np.nan
    dark, bright = true_colour(forest), true_colour(sand)
    assert dark.max() < 0.5 < bright.max() <= 1
    assert dark[0, 0, 1] > dark[0, 0, 0] == dark[0, 0, 2]  # green
    assert (np.diff(bright[1, 1]) < 0).all()
    np.testing.assert_array_equal(bright[0, 0], [0.75] * 3)


def test_dates_that_are_shown_together_share_one_scale():
    dim, bright = np.full((4, 4, 3), 0.1), np.full((4, 4, 3), 0.6)
    together = true_colour(np.stack([dim, bright]))
    assert together[0].max() < true_colour(dim).max()
    np.testing.assert_allclose(together[1], true_colour(bright))


def test_what_is_clear_is_a_share_of_the_place():
    cube = worlds.cube(np.random.default_rng(0).uniform(0, 0.4, (2, 10, 8, 8)), size=8, dates=2)
    cube[0, 2, :2] = np.nan  # one of the three bands is enough
    cube[1, 9] = np.nan  # none of the three
    np.testing.assert_allclose(clear_shares(cube), [0.75, 1.0])


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.PNG", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")]
)
def test_the_same_figure_is_the_same_file(tmp_path, name, start):
    from matplotlib.figure import Figure

    contents = []
    for folder in ("one", "two"):
        figure = Figure()
        figure.subplots().plot([1, 2])
        save_figure(figure, tmp_path / folder / name)
        contents.append((tmp_path / folder / name).read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(start)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.png.zarr"])
def test_another_ending_is_refused(tmp_path, name):
    from matplotlib.figure import Figure

    with pytest.raises(ConfigError, match=r"expected \.png, \.svg, \.pdf"):
        save_figure(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())
