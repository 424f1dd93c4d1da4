# %% [markdown]
# # Embeddings of a place
# Two stages: each sensor alone, then their fusion into seven dimensions, at 10 m and every cloud-free Sentinel-2 date.

# %%
import tempfile
from pathlib import Path

import numpy as np

from ecoembed import load_encoder, pretrain
from ecoembed.cubes.store import load_cube
from ecoembed.stages import write_cubes
from ecoembed.virtual.network import write_network

work = Path(tempfile.mkdtemp())
study = write_network(work / "study", sites=2, years=(2019, 2019), size=24, seed=1)
stores = [work / f"{site}.zarr" for site in ("XX-V01", "XX-V02")]
for store in stores:
    write_cubes(study / "satellite" / store.stem, store, store.stem)

# %% The encoder that ships with the package, and the control that every comparison carries.
encoder = load_encoder()
print(encoder.weights, [place.id for place in encoder.card.places])
random = load_encoder("random")

# %% Centred: five acquisitions before and after each date. Causal: ten before, none after.
s2, s1 = load_cube(stores[0], "S2_L2A"), load_cube(stores[0], "S1")
z = encoder.encode(s2, s1)
past = encoder.encode(s2, s1, window="causal")
print(z.dims, z.shape, z.attrs["window"], past.attrs["window"])

# %% The embedding of a pixel needs its own 11 x 15 x 15 neighbourhood and nothing else.
t, y, x = 12, 9, 9
radar = int(np.abs(s1["time"].values - s2["time"].values[t]).argmin())
box = {"y": slice(y - 7, y + 8), "x": slice(x - 7, x + 8)}
alone = encoder.encode(
    s2.isel(time=slice(t - 5, t + 6), **box), s1.isel(time=slice(max(radar - 5, 0), radar + 6), **box)
)
here = {"time": z["time"].values[t], "y": z["y"].values[y], "x": z["x"].values[x]}
assert np.allclose(alone.sel(here), z.sel(here), atol=1e-5, equal_nan=True)

# %% Train your own on your region's cubes; a few steps here, some thousands for use.
mine = pretrain(stores, work / "mine.safetensors", steps=5, validation=1)
print(load_encoder(mine).card.scores)
