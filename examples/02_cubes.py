# %% [markdown]
# # From delivered files to one cube of a place
# The folder holds Sentinel-2 10 m and 20 m files and a Sentinel-1 file, as openEO delivers them.

# %%
import json
import tempfile
from pathlib import Path

from ecoembed import open_cube
from ecoembed.cubes.pairing import pair, smooth
from ecoembed.cubes.store import load_cube, save_cubes
from ecoembed.virtual.network import write_network

study = write_network(Path(tempfile.mkdtemp()) / "study", sites=2, years=(2019, 2019), size=24, seed=1)
place = study / "satellite" / "XX-V01"
print(*sorted(p.name for p in place.iterdir()), sep="\n")

# %% Reflectance 0-1 whatever each file declares; cloudy pixels are missing; what was decided is written down.
s2 = open_cube(place, sensor="S2_L2A")
print(dict(s2.sizes), s2.attrs["units"], f"{float(s2.notnull().mean()):.0%} valid")
for file in json.loads(s2.attrs["provenance"])["files"]:
    print(file["file"], "|", file["scale"])

# %% Backscatter in dB, slices of one pass merged, speckle reduced over three acquisitions.
s1 = smooth(open_cube(place, sensor="S1"))
index, gap = pair(s2, s1)
print(f"{(index >= 0).mean():.0%} of Sentinel-2 dates have a radar acquisition; largest gap {abs(gap).max():.1f} days")

# %% One Zarr v3 store for a place, one group for a sensor; all or nothing.
store = study / "cubes" / "XX-V01.zarr"
save_cubes({"S2_L2A": s2, "S1": s1}, store)
assert load_cube(store, "S2_L2A").equals(s2)
