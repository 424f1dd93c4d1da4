# %% [markdown]
# # Another sensor: one entry, one reader, one test class
# Harmonized Landsat Sentinel-2 (HLS) came into the package that way. Its cube holds the six bands that Landsat (L30)
# and Sentinel-2 (S30) share. Here the red edge, which S30 alone sees, becomes a sensor of your own, from outside.

# %% Simulated granules as the archive delivers them: a GeoTIFF for each band, int16, -9999 for missing, bits in Fmask.
import json
import tempfile
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

from ecoembed import open_cube
from ecoembed.archives.satellite.decoding import decode
from ecoembed.archives.satellite.metadata import carried, origin, repaired
from ecoembed.archives.satellite.rasters import open_raster
from ecoembed.cubes.build import READERS
from ecoembed.sensors import HLS, SENSORS, Band, Sensor

folder, rng = Path(tempfile.mkdtemp()), np.random.default_rng(0)
leaf = {"BLUE": 0.03, "GREEN": 0.06, "RED": 0.04, "NIR": 0.36, "SWIR1": 0.20, "SWIR2": 0.11}
red_edge = {"B05": 0.10, "B06": 0.26, "B07": 0.33}
profile = {"driver": "GTiff", "width": 12, "height": 12, "count": 1, "crs": "EPSG:32632"}
profile["transform"] = rasterio.Affine(30, 0, 600_000, 0, -30, 5_400_000)
for day in range(121, 211, 5):
    product, time = ("HLSL30", "101530") if day % 2 else ("HLSS30", "103031")
    granule = f"HLS.{product[3:]}.T32UPU.2021{day}T{time}.v2.0"
    layers = dict(zip(HLS.products[product], leaf.values(), strict=True)) | (red_edge if product == "HLSS30" else {})
    clouds = np.where(rng.random((12, 12)) < 0.2, 0b10, 0).astype("uint8")
    for band, reflectance in layers.items():
        numbers = np.where(clouds, 7000, reflectance * 1e4 + rng.normal(0, 30, (12, 12))).astype("int16")
        with rasterio.open(folder / f"{granule}.{band}.tif", "w", dtype="int16", nodata=-9999, **profile) as tif:
            tif.write(numbers, 1)
    with rasterio.open(folder / f"{granule}.Fmask.tif", "w", dtype="uint8", nodata=255, **profile) as tif:
        tif.write(clouds, 1)
print(f"{len(list(folder.iterdir()))} files such as {granule}.B05.tif")

# %% The sensor that is there. B05 is near infrared in L30 and red edge in S30: the product tells, not the band's name.
cube = open_cube(folder, "HLS", dilation=0)
print(dict(cube.sizes), f"{float(cube.notnull().mean()):.0%} valid;", "median of each band against the truth:")
for band, truth in leaf.items():
    print(f"  {band:6}{float(cube.sel(band=band).median()):.3f}  {truth:.3f}")

# %% 1. The entry: what must be known of the product, once. In the package it stands in sensors.py.
RED_EDGE = Sensor(
    name="HLS_RED_EDGE",
    title="HLS red edge (S30)",
    bands=(Band("RE1", 704.1, 30), Band("RE2", 740.5, 30), Band("RE3", 782.8, 30)),
    unit="1",
    valid_range=(0.0, 1.0),
    scale=1e-4,
    nodata=-9999,
    quality="Fmask",
    unclear_bits=HLS.unclear_bits,
    overpass_hours=(10.5,),
    products={"HLSS30": ("B05", "B06", "B07")},
)


# %% 2. The reader: a delivered file -> physical values under the sensor's names. In the package: archives/satellite/.
def open_red_edge(path):
    raster = open_raster(path)
    names = {theirs: ours for theirs, ours in zip(red_edge, RED_EDGE.band_names, strict=True) if theirs in raster}
    decoded = decode(raster.rename(names)[[*names.values()]], RED_EDGE, path.name)
    data = {ours: raster[theirs].copy(data=decoded.values[ours]) for theirs, ours in names.items()}
    data |= {"Fmask": raster["Fmask"].astype("uint8")} if "Fmask" in raster else {}
    attrs = {**origin(repaired(raster, decoded.repairs)), "scale": decoded.scale}
    return xr.Dataset(data | carried(raster), attrs=attrs)  # orbit, repairs and the like are handed on


# %% Masks, grid, mosaics, checks, provenance and the store are the same for every sensor.
SENSORS[RED_EDGE.name], READERS[RED_EDGE.name] = RED_EDGE, open_red_edge
cube = open_cube(folder, "HLS_RED_EDGE", dilation=0)
low, _, high = (cube.sel(band=band) for band in RED_EDGE.band_names)
print(dict(cube.sizes), f"{float(cube.notnull().mean()):.0%} valid")
print(f"red-edge chlorophyll index {float((high / low - 1).median()):.2f}, truth {0.33 / 0.10 - 1:.2f}")
print(json.loads(cube.attrs["provenance"])["files"][-1])

# %% [markdown]
# 3. The test class says in one method how the files look; `tests/contracts/test_sensors.py` does the rest:
# ```python
# class TestRedEdge(SensorContract):
#     sensor, clear, unclear = RED_EDGE, (0, 32, 64), (2, 4, 8, 16, 255)
#     def write(self, folder, truth): ...
# ```
