# %% [markdown]
# # A tower's daily file
# `open_flux` reads FLUXNET2015/ONEFlux FULLSET or SUBSET daily files, plain or inside their zip.

# %%
import tempfile
from pathlib import Path

from ecoembed import open_flux, read_sites
from ecoembed.virtual.network import write_network

study = write_network(Path(tempfile.mkdtemp()) / "study", sites=2, years=(2019, 2019), size=24, seed=1)
path = next((study / "flux").glob("*XX-V01*.zip"))

# %% The target keeps its FLUXNET name; its quality column and unit come from an explicit map.
flux = open_flux(path, target="GPP_NT_VUT_REF", min_qc=0.75)
print(flux)

# %% Every row is accounted for.
for reason, count in flux.attrs["rows"].items():
    print(f"{count:5d}  {reason}")
assert flux.attrs["rows"]["in"] == sum(n for reason, n in flux.attrs["rows"].items() if reason != "in")

# %% Another partitioning of the same days.
other = open_flux(path, target="GPP_DT_VUT_REF")
difference = flux["GPP_NT_VUT_REF"] - other["GPP_DT_VUT_REF"]
print(f"NT - DT: mean {float(difference.mean()):.2f}, sd {float(difference.std()):.2f} gC m-2 d-1")

# %% The site table: coordinates in full precision, heights, UTC offset.
sites = read_sites(study / "sites.csv")
print(sites[["latitude", "longitude", "igbp", "measurement_height", "utc_offset"]])
