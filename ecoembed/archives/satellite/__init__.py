"""Satellite rasters: :mod:`.sentinel1`, :mod:`.sentinel2` and :mod:`.hls`, over `rasters`."""
