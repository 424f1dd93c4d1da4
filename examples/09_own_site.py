# %% [markdown]
# # Your own site
# How well do models that never saw your tower predict it, is it like the towers that they learnt from, and what do your
# own data add? In a shell it is three commands, each of which stands below beside its call from Python:
#
#     ecoembed new STUDY
#     ecoembed add-site STUDY FILE
#     ecoembed run STUDY
#
# Models need other towers to learn from. Here a virtual network stands for them, and its last tower for yours: put your
# file in its place. For the others add downloaded files with `--no-own`, or copy the study of a colleague.

# %%
import shutil
import tempfile
from pathlib import Path

from ecoembed import open_study
from ecoembed.additions import add_site, new_study
from ecoembed.validation.ownsite import describe_own
from ecoembed.virtual.network import write_network

work = Path(tempfile.mkdtemp())
others = write_network(work / "network", sites=3, years=(2018, 2019), size=24, seed=1)
*theirs, mine = sorted((others / "flux").glob("*.zip"))

# %% `ecoembed new study`: a commented study.toml, the site table, folders, and a README that says what goes where.
study = new_study(work / "study")
print(sorted(path.name for path in study.iterdir()))

# %% `ecoembed add-site study FLX_XX-V01_....zip --no-own`: a tower to learn from. The tables in `sites/` (a BADM
# workbook, the shuttle's catalogue, a plain table as here) know coordinates, heights and vegetation of many at once.
known = (others / "sites.csv").read_text().splitlines()
(study / "sites" / "network.csv").write_text("\n".join(known[:-1]) + "\n")
for path in theirs:
    added = add_site(study, [path], own=False)
    print(added.site, added.flux.attrs["rows"], "next:", added.next_step)

# %% `ecoembed add-site study FLX_XX-V03_....zip --lat 55.307653 --lon 20.283224 --igbp ENF`: your tower, in a FULLSET
# file. Its name holds the site, its potential radiation the UTC offset; what nobody knows is listed with its cost.
added = add_site(study, [mine], known={"latitude": "55.307653", "longitude": "20.283224", "igbp": "ENF"})
print(added.origin[["column", "value", "source", "variable"]].to_string(index=False))
for lack in added.missing:
    print(f"MISSING {lack['what']}: {lack['costs']}. {lack['remedy']}")

# %% `ecoembed add-site study FLX_XX-V03_....zip --zm 21.8 --canopy-height 15.3 --elevation 223`: said later, it
# completes the row, and there is a footprint.
added = add_site(study, [mine], known={"measurement_height": 21.8, "canopy_height": 15.3, "elevation": 223})
print([lack["what"] for lack in added.missing], "next:", added.next_step)

# %% `ecoembed fetch study` gets the images; those of virtual towers are at hand.
for path in (others / "satellite").iterdir():
    shutil.copytree(path, study / "satellite" / path.name)

# %% `ecoembed run study`: the report has a section on your site; here it is as text.
outcome = open_study(study).run()
record = outcome.benchmark.record
for found in record["own_sites"]:
    print("\n".join(describe_own(found, record["units"])))
print("report:", outcome.report)
