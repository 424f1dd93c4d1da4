"""ecoembed: GPP at unseen flux sites from footprint-weighted satellite embeddings.

Everything public is imported on first use, so that ``import ecoembed`` and ``ecoembed --help`` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ecoembed._version import __version__

_HOMES = {
    "read_sites": "ecoembed.archives.sites.reader",
    "merge_sites": "ecoembed.archives.sites.reader",
    "open_flux": "ecoembed.archives.flux.reader",
    "open_halfhours": "ecoembed.archives.flux.reader",
    "open_cube": "ecoembed.cubes.build",
    "Encoder": "ecoembed.embeddings.encode",
    "smooth": "ecoembed.cubes.pairing",
    "load_encoder": "ecoembed.embeddings.encode",
    "pretrain": "ecoembed.embeddings.pretrain",
    "load_official_checkpoint": "ecoembed.embeddings.reference",
    "ReferenceEncoder": "ecoembed.embeddings.reference",
    "footprint": "ecoembed.footprints.kljun",
    "footprint_climatology": "ecoembed.footprints.climatology",
    "fixed_radius": "ecoembed.footprints.extents",
    "fixed_square": "ecoembed.footprints.extents",
    "tower_footprint": "ecoembed.footprints.tower",
    "source_area": "ecoembed.footprints.contours",
    "extract": "ecoembed.footprints.extract",
    "representativeness": "ecoembed.footprints.representativeness",
    "feature_table": "ecoembed.gpp.features",
    "benchmark": "ecoembed.validation.run",
    "new_study": "ecoembed.additions",
    "add_site": "ecoembed.additions",
    "open_study": "ecoembed.study",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from ecoembed.additions import add_site as add_site
    from ecoembed.additions import new_study as new_study
    from ecoembed.archives.flux.reader import open_flux as open_flux
    from ecoembed.archives.flux.reader import open_halfhours as open_halfhours
    from ecoembed.archives.sites.reader import merge_sites as merge_sites
    from ecoembed.archives.sites.reader import read_sites as read_sites
    from ecoembed.cubes.build import open_cube as open_cube
    from ecoembed.cubes.pairing import smooth as smooth
    from ecoembed.embeddings.encode import Encoder as Encoder
    from ecoembed.embeddings.encode import load_encoder as load_encoder
    from ecoembed.embeddings.pretrain import pretrain as pretrain
    from ecoembed.embeddings.reference import ReferenceEncoder as ReferenceEncoder
    from ecoembed.embeddings.reference import load_official_checkpoint as load_official_checkpoint
    from ecoembed.footprints.climatology import footprint_climatology as footprint_climatology
    from ecoembed.footprints.contours import source_area as source_area
    from ecoembed.footprints.extents import fixed_radius as fixed_radius
    from ecoembed.footprints.extents import fixed_square as fixed_square
    from ecoembed.footprints.extract import extract as extract
    from ecoembed.footprints.kljun import footprint as footprint
    from ecoembed.footprints.representativeness import representativeness as representativeness
    from ecoembed.footprints.tower import tower_footprint as tower_footprint
    from ecoembed.gpp.features import feature_table as feature_table
    from ecoembed.study import open_study as open_study
    from ecoembed.validation.run import benchmark as benchmark


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ecoembed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
