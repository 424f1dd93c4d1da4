# %% [markdown]
# # The whole chain
# What `ecoembed run STUDY` does: each site on its own, then the benchmark; a second run does only what is missing.

# %%
import tempfile
from pathlib import Path

from ecoembed import open_study
from ecoembed.virtual.network import write_network

folder = write_network(Path(tempfile.mkdtemp()) / "study", sites=3, years=(2019, 2019), size=24, seed=1)
study = open_study(folder)
outcome = study.run()
print(outcome.benchmark.scores[["features", "regressor", "n", "sites", "r2"]].head(8))
print("report:", outcome.report)

# %% Every stage's result can be opened.
print(study.embedding("XX-V01").sizes, study.footprint("XX-V01").attrs["method"])
print(study.features().columns.get_level_values("set").unique().tolist())

# %% Nothing is done twice.
again = study.run()
assert again.benchmark.scores.equals(outcome.benchmark.scores)
