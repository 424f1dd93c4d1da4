# %% [markdown]
# # Embeddings of a place
# Two stages: each sensor alone, then their fusion into seven dimensions, at 10 m, on any date.

# %%
import tempfile
from pathlib import Path

import numpy as np

from ecoembed import load_encoder, pretrain
from ecoembed.cubes.store import load_cube
from ecoembed.stages import write_cubes
from ecoembed.virtual.network import write_network

work = Path(tempfile.mkdtemp())
study = write_network(work / "study", sites=3, years=(2019, 2019), size=24, seed=1)
stores = [work / f"{folder.name}.zarr" for folder in sorted((study / "satellite").iterdir())]
for store in stores:
    write_cubes(study / "satellite" / store.stem, store, store.stem)
s2, s1 = load_cube(stores[0], "S2_L2A"), load_cube(stores[0], "S1")

# %% The encoder that ships with the package, and the control that every comparison carries.
encoder = load_encoder()
random = encoder.random()
print(encoder.weights, encoder.card.objective, [place.id for place in encoder.card.places])

# %% On the dates of Sentinel-2. Centred: five acquisitions before and after each date. Causal: ten before, none after.
z = encoder.encode(s2, s1)
past = encoder.encode(s2, s1, window="causal")
print(z.dims, z.shape, z.attrs["window"], past.attrs["window"])

# %% On any date, cloudy ones too, with the error to be expected of the bands rebuilt from it: more, the longer the gap.
dates = np.arange("2019-05-01", "2019-08-01", 10, dtype="datetime64[D]")
daily = encoder.encode(s2, s1, dates=dates)
hidden = encoder.encode(s2[abs(s2["time"] - dates[4]) > np.timedelta64(30, "D")], s1, dates=dates)
for cube in (daily, hidden):
    print(cube.sel(band="error").mean(("y", "x")).values.round(4), cube.attrs["error_unit"])

# %% The embedding of a pixel needs its own 11 x 15 x 15 neighbourhood and nothing else.
t, y, x = 12, 9, 9
radar = int(np.abs(s1["time"].values - s2["time"].values[t]).argmin())
box = {"y": slice(y - 7, y + 8), "x": slice(x - 7, x + 8)}
alone = encoder.encode(
    s2.isel(time=slice(t - 5, t + 6), **box), s1.isel(time=slice(max(radar - 5, 0), radar + 6), **box)
)
here = {"time": z["time"].values[t], "y": z["y"].values[y], "x": z["x"].values[x]}
assert np.allclose(alone.sel(here), z.sel(here), atol=1e-5, equal_nan=True)

# %% Train your own on your region's cubes: one place stops the training, one is kept for the probes. A few steps here,
# some thousands for use. A model card and pictures lie beside the weights.
mine = pretrain(stores[:2], work / "mine.safetensors", steps=2, validation=1, test=stores[2:])
print(*sorted(path.name for path in work.glob("mine*")))
print(mine.with_suffix(".md").read_text()[:2000])
