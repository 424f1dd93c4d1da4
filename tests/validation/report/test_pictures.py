import numpy as np
import pytest
import xarray as xr

from ecoembed.cubes.pictures import TRUE_COLOUR, clearest_date
from ecoembed.errors import GridError, TableError
from ecoembed.validation.report.encoded import picture_uri
from ecoembed.validation.report.pictures import picture_pair
from tests.gpp import worlds


def embedding_of(cube):
    z = cube.isel(band=[0, 1, 2]).assign_coords(band=["z1", "z2", "z3"])
    return z.assign_attrs(sensor="embeddings", weights="x", window="centred")


def test_picture_of_the_clearest_date():
    cube = worlds.cube(np.random.default_rng(0).uniform(0, 0.4, (3, 10, 24, 24)), size=24, dates=3)
    z = embedding_of(cube)
    cube[0, 0, :12] = np.nan
    z[1, 1, :3] = np.nan
    z[2, 1, :1] = np.nan
    assert clearest_date((cube, TRUE_COLOUR), (z, ("z1", "z2", "z3"))) == cube["time"].values[2]
    green = cube.fillna(0.1)
    green.loc[{"band": "B08", "time": green["time"][1]}] = 0.6
    assert clearest_date((green, TRUE_COLOUR)) == cube["time"].values[1]  # of equals the greenest
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


def test_a_picture_in_a_report_is_small():
    noise = np.random.default_rng(0).uniform(0, 1, (200, 200, 3))
    assert picture_uri(noise).startswith("data:image/webp;base64,")
    assert len(picture_uri(noise)) < noise.size * 0.7  # as bytes of a PNG, noise takes all of them
