"""Satellite rasters: :mod:`.sentinel1` and :mod:`.sentinel2`, over `rasters`."""
