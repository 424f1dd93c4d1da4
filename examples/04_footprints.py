# %% [markdown]
# # What the tower sees
# The flux footprint of Kljun et al. (2015), on the grid of a cube, and the series that passes through it.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np

from ecoembed import extract, fixed_radius, footprint, open_cube, read_sites
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.footprints.contours import source_area
from ecoembed.footprints.jitter import jitter
from ecoembed.footprints.maps import footprint_map
from ecoembed.footprints.representativeness import representativeness
from ecoembed.footprints.tower import tower_footprint
from ecoembed.virtual.network import write_network

study = write_network(Path(tempfile.mkdtemp()) / "study", sites=2, years=(2019, 2019), size=48, seed=1)
site = read_sites(study / "sites.csv").loc["XX-V01"]
cube = open_cube(study / "satellite" / "XX-V01")
halfhours = open_halfhours(next((study / "flux").glob("*XX-V01*.zip")))

# %% One half-hour, with FFP's own argument names.
single = footprint(zm=20.0, z0=0.1, h=2000.0, ol=-100.0, sigmav=0.6, ustar=0.4, wind_dir=30.0)
print(f"the footprint peaks {single.x_ci_max:.1f} m upwind")

# %% A year of daytime on the cube's grid; what had to be estimated, and what was left out, is said.
weights = tower_footprint(site, halfhours, cube)
print(f"{weights.attrs['n']} half-hours, {weights.attrs['inside']:.0%} of the footprint inside the cube")
print(f"left out: {weights.attrs['excluded']}")
for name, how in json.loads(weights.attrs["notes"]).items():
    print(f"  {name}: {how}")
print(source_area(weights)[["share", "area_m2", "reason"]].to_string(index=False))

# %% Seen on the map.
picture = Path(tempfile.mkdtemp()) / "footprint.png"
picture.write_bytes(footprint_map(weights, cube, title="XX-V01"))

# %% Any cube passes through it: bands, indices, embeddings. So does it through a footprint by month, or by overpass.
series = extract(cube, weights)
others = {
    "by month": tower_footprint(site, halfhours, cube, period="month"),
    "by overpass": tower_footprint(site, halfhours, cube, period="overpass"),
    "a disc of 100 m": fixed_radius(cube, 100.0, x=weights.attrs["tower_x"], y=weights.attrs["tower_y"]),
}
for name, other in others.items():
    through = extract(cube, other)
    both = (series["coverage"] > 0.5) & (through["coverage"] > 0.5)
    apart = np.abs(series["value"] - through["value"]).where(both).sel(feature="B08").mean()
    print(f"near-infrared reflectance, {name}: {float(apart):.4f} from that of the whole year")

# %% Does it stand for the land around? And what do wrong coordinates cost?
bias = representativeness(cube, weights, radii=[100, 200]).to_dataframe().groupby("target")["location_bias"].first()
print("sensor location bias of NDVI: " + ", ".join(f"{value:+.1%} of {target}" for target, value in bias.items()))
moved = jitter(cube, weights).sel(feature="B08").mean("direction")
print(
    f"30 m off, near-infrared reflectance moves by {float(moved['mean_change']):.4f}, "
    f"{float(moved['relative_mean']):.0%} of its standard deviation over the year"
)
