"""Satellite rasters, from the outside in: :mod:`.formats` (how files are laid out), :mod:`.rasters` (the way in),
:mod:`.decoding` (what numbers mean), and one reader for each sensor: :mod:`.sentinel2`, :mod:`.sentinel1`, :mod:`.hls`.
"""
