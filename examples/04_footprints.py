# %% [markdown]
# # What the tower sees
# The flux footprint of Kljun et al. (2015), on the grid of a cube, and the series that passes through it.

# %%
import tempfile
from pathlib import Path

import numpy as np

from ecoembed import extract, fixed_radius, footprint, footprint_climatology, open_cube, read_sites
from ecoembed.archives.fluxnet import open_halfhours
from ecoembed.cubes.grid import tower_position
from ecoembed.footprints.turbulence import turbulence
from ecoembed.virtual.network import write_network

study = write_network(Path(tempfile.mkdtemp()) / "study", sites=2, years=(2019, 2019), size=24, seed=1)
site = read_sites(study / "sites.csv").loc["XX-V01"]
cube = open_cube(study / "satellite" / "XX-V01")

# %% One half-hour, with FFP's own argument names.
single = footprint(zm=20.0, z0=0.1, h=2000.0, ol=-100.0, sigmav=0.6, ustar=0.4, wind_dir=30.0)
print(f"the footprint peaks {single.x_ci_max:.1f} m upwind")

# %% Thousands of half-hours on the cube's grid; what had to be estimated, and what was left out, is said.
inputs = turbulence(open_halfhours(next((study / "flux").glob("*XX-V01*.zip"))), site)
x, y = tower_position(cube, site["latitude"], site["longitude"])
weights = footprint_climatology(**inputs, grid=cube, x=x, y=y)
print(f"{weights.attrs['n']} half-hours, {weights.attrs['inside']:.0%} of the footprint inside the cube")
print(weights.attrs["notes"])

# %% Any cube passes through it: bands, indices, embeddings.
series = extract(cube, weights)
disc = extract(cube, fixed_radius(cube, 100.0, x=x, y=y))
both = (series["coverage"] > 0.5) & (disc["coverage"] > 0.5)
apart = np.abs(series["value"] - disc["value"]).where(both).sel(feature="B08").mean()
print(f"near-infrared reflectance, footprint against a disc of 100 m: they differ by {float(apart):.3f}")
