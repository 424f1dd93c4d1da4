# %% [markdown]
# # A tower's flux file
# `open_flux` reads what the networks hand out (FLUXNET2015/ONEFlux of any resolution, AmeriFlux BASE, raw half-hours)
# and an own table with its description: plain, zipped, or a workbook. What a file is, is judged by its content.

# %%
import tempfile
from pathlib import Path

from ecoembed import open_flux, read_sites
from ecoembed.archives.flux.quality import describe_quality
from ecoembed.archives.flux.reader import open_halfhours
from ecoembed.virtual.network import write_network

study = write_network(Path(tempfile.mkdtemp()) / "study", sites=2, years=(2019, 2019), size=24, seed=1)
path = next((study / "flux").glob("*XX-V01*.zip"))
sites = read_sites(study / "sites.csv")
place = {name: sites.loc["XX-V01", name] for name in ("latitude", "longitude", "utc_offset")}

# %% The target keeps its FLUXNET name; beside it stand its quality, its uncertainty and the drivers, each with its unit
# and the column or formula that it comes from.
flux = open_flux(path, target="GPP_NT_VUT_REF", min_qc=0.75, **place)
for name, variable in flux.data_vars.items():
    print(f"{name:20s} {variable.attrs['units']:12s} {variable.attrs.get('column') or variable.attrs['formula']}")

# %% Every row is accounted for.
print("\n".join(describe_quality(flux.attrs)))
assert flux.attrs["rows"]["in"] == sum(n for reason, n in flux.attrs["rows"].items() if reason != "in")

# %% Another target, the first of several that the file has; and FLUXCOM's filter by agreement of the partitionings.
other = open_flux(path, target=["GPP_DT_CUT_REF", "GPP_DT_VUT_REF"], agreement=0.95)
print(other.attrs["target"], other.attrs["rows"])
difference = flux["GPP_NT_VUT_REF"] - other[other.attrs["target"]]
print(f"NT - DT: mean {float(difference.mean()):.2f}, sd {float(difference.std()):.2f} gC m-2 d-1")

# %% The half-hours that a footprint needs.
halfhours = open_halfhours(path)
print({name: (variable.attrs["column"], variable.attrs["units"]) for name, variable in halfhours.data_vars.items()})

# %% The site table: coordinates in full precision, heights, UTC offset.
print(sites[["latitude", "longitude", "igbp", "measurement_height", "utc_offset"]])
