"""What a study's folder holds, opened: cubes, embeddings, footprints, series, fluxes, features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoembed import stages
from ecoembed.config import StudyConfig

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import xarray as xr

__all__ = ["StudyFolder"]


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder, its configuration and its sites."""

    folder: Path
    config: StudyConfig
    sites: gpd.GeoDataFrame

    def cube(self, site: str, sensor: str = "S2_L2A") -> xr.DataArray:
        """The built cube of a site."""
        from ecoembed.cubes.store import load_cube

        return load_cube(self.folder / "cubes" / f"{site}.zarr", sensor)

    def embedding(self, site: str, name: str = "embeddings") -> xr.DataArray:
        """The embedding cube of a site; `name` is ``embeddings``, ``embeddings:random``, ``...:s1`` or ``...:s2``."""
        from ecoembed.cubes.store import load_cube

        return load_cube(self.folder / "embeddings" / f"{site}.zarr", stages.SOURCES[name])

    def series(self, site: str) -> dict[str, xr.Dataset]:
        """The footprint series of a site, by feature set: of those that the study compares."""
        return stages.site_series(self.folder, site, self.config)

    def footprint(self, site: str) -> xr.DataArray:
        """The weights of a site's footprint on its cube's grid."""
        from ecoembed.cubes.store import load_series

        return load_series(self.folder / "series" / f"{site}.zarr", "footprint")["weight"]

    def flux(self, site: str) -> xr.Dataset:
        """The flux table of a site."""
        from ecoembed.cubes.store import load_series

        return load_series(self.folder / "series" / f"{site}.flux.zarr", "flux")

    def features(self, sites: list[str] | None = None) -> pd.DataFrame:
        """The feature table of these sites (all by default): one sample index for all feature sets."""
        from ecoembed.gpp.features import feature_table

        names = list(self.sites.index) if sites is None else sites
        return feature_table(
            {s: self.series(s) for s in names},
            {s: self.flux(s) for s in names},
            self.sites.loc[names],
            target=self.config.flux.target,
            min_coverage=self.config.footprint.min_coverage,
            gaps=self.config.benchmark.gaps,
            max_age=self.config.benchmark.max_age,
        )
