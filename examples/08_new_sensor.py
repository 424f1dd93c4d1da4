# %% [markdown]
# # A new sensor joins
# It trains its own encoder and a new fusion. The encoders that are there stay as they are, bit for bit.

# %% Four virtual places. One of the two Sentinel-2 satellites is put away: on its dates an HLS-like sensor saw them.
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import RidgeCV

from ecoembed import load_encoder, pretrain
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.embeddings.weights import default_weights
from ecoembed.sensors import HLS
from ecoembed.stages import write_cubes
from ecoembed.virtual.network import write_network

sensors, truth, work = ("S2_L2A", "S1", "HLS"), {}, Path(tempfile.mkdtemp())
study = write_network(work / "study", sites=4, years=(2019, 2019), size=18, seed=1)
stores = [work / f"{folder.name}.zarr" for folder in sorted((study / "satellite").iterdir())]
for store in stores:
    s2, s1 = write_cubes(study / "satellite" / store.stem, store, store.stem)
    kept = np.arange(s2.sizes["time"]) % 2 == 0
    coarse = s2[~kept].sel(band=list(HLS.products["HLSS30"])).coarsen(y=3, x=3).reduce(np.mean)  # pixels of 30 m
    hls = coarse.reindex(y=s2["y"], x=s2["x"], method="nearest").assign_coords(band=list(HLS.band_names))
    save_cubes({"S2_L2A": s2[kept], "HLS": hls.assign_attrs(sensor="HLS").astype("float32")}, store)  # S1 stays
    truth[store] = s2.sel(time=hls["time"])

# %% Train: what the weights `keep` know is taken from them. The last place is left out. Some thousand steps for use.
old, out = default_weights(), work / "three.safetensors"
three = pretrain(stores[:3], out, sensors=sensors, keep=old, steps=4, validation=1)
before, after = load_file(old), load_file(three)
same = [np.array_equal(before[name], after[name]) for name in before if name.startswith("encoders.")]
print(f"{sum(same)} of {len(same)} tensors of the old encoders are bit-identical")


# %% What it adds: NDVI on the dates that were put away, from z by a regression that was fitted at the other places.
def z_and_ndvi(encoder, store, missing):
    s2, s1, hls = (load_cube(store, name) for name in sensors)
    s1, more = None if "S1" in missing else s1, [] if "HLS" in missing else [hls]
    z = encoder.encode(s2, s1, more=more, dates=hls["time"].values).sel(band=[f"z{i}" for i in range(1, 8)])
    near, red = (truth[store].sel(band=band).values for band in ("B8A", "B04"))
    ndvi, z = (near - red) / (near + red), np.moveaxis(z.values, 1, -1)
    seen = np.isfinite(ndvi) & np.isfinite(z).all(axis=-1)
    return z[seen], ndvi[seen]


encoder = load_encoder(three)
for missing in ((), ("HLS",), ("S1",), ("S1", "HLS")):
    z, ndvi = map(np.concatenate, zip(*(z_and_ndvi(encoder, store, missing) for store in stores[:3]), strict=True))
    score = RidgeCV().fit(z, ndvi).score(*z_and_ndvi(encoder, stores[3], missing))
    print(f"without {' and '.join(missing) or 'nothing':12} r2 of NDVI at the unseen place {score:.2f}")
