"""Harmonized Landsat Sentinel-2 (HLS) v2.0: the bands that L30 and S30 have in common, as one sensor.

L30 is Landsat 8 and 9, S30 is Sentinel-2 brought to Landsat's bandpass, view and 30 m grid; both lie on the tiles of
Sentinel-2 (MGRS), so that a 30 m pixel is nine of 10 m. A name is not the same band in both: ``B05`` is near infrared
in L30 and red edge in S30. What a file holds is therefore told by its product, never by its bands.

Source: HLS Product User Guide, version 2.0 (LP DAAC, doi 10.5067/HLS/HLSL30.002 and 10.5067/HLS/HLSS30.002): names of
the bands, scale 0.0001, fill value -9999, bits of Fmask and its fill value 255.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ecoembed.archives.satellite.decoding import bands_in, decode
from ecoembed.archives.satellite.metadata import carried, origin, product_names, repaired
from ecoembed.archives.satellite.rasters import Source, open_raster
from ecoembed.errors import ProductError
from ecoembed.sensors import HLS

#: Fmask of a pixel without data: every bit set, and so unclear.
FMASK_FILL = 255


def open_hls(path: str | Source) -> xr.Dataset:
    """Read one delivered file of HLS, L30 or S30.

    Parameters
    ----------
    path : path or Source
        Any raster that :func:`~ecoembed.archives.satellite.rasters.open_raster` reads, with bands under the product's
        names (``B02``...) or ours (``BLUE``...), and ``Fmask``. Its name, or its attributes ``item``, ``product``,
        ``collection`` or ``title``, must tell L30 from S30 (``HLS.L30.T32UPU...``) unless the names are ours.

    Returns
    -------
    xr.Dataset
        Over (time, y, x): the bands that it holds as reflectance 0-1 (float32, NaN = missing), ``Fmask`` (uint8), and
        the metadata of :mod:`ecoembed.archives.satellite.metadata` where known. ``attrs``: ``scale`` (how each was
        decided), ``product`` (``HLSL30`` or ``HLSS30``), and ``site``, ``item`` and the like if the file names them.

    Raises
    ------
    FileError, ProductError, GridError
        Unreadable file, another sensor's file, a product that cannot be told, no CRS.
    UnitError
        The values contradict the declared scale.
    """
    raster, where = open_raster(path), (Path(path) if isinstance(path, str) else path).name
    product = HLS.product(*product_names(raster.attrs, where))
    raster = _with_our_names(raster, product, where)
    decoded = decode(raster[bands_in(raster, HLS, where)], HLS, where)
    data: dict[str, xr.DataArray] = {}
    for name, values in decoded.values.items():
        data[name] = raster[name].copy(data=values)
        data[name].attrs = {"units": HLS.unit}
    if "Fmask" in raster:
        bits = np.nan_to_num(raster["Fmask"].values, nan=FMASK_FILL).astype("uint8")
        data["Fmask"] = raster["Fmask"].copy(data=bits)
        data["Fmask"].attrs = {}
    attrs = {**origin(repaired(raster, decoded.repairs)), "scale": decoded.scale}
    attrs |= {"product": product} if product else {}
    return xr.Dataset(data | carried(raster), attrs=attrs).rio.write_crs(raster.rio.crs)


def _with_our_names(raster: xr.Dataset, product: str | None, where: str) -> xr.Dataset:
    """`raster` with the bands that the two products share under our names, and without their others."""
    theirs = {name for names in HLS.products.values() for name in names}
    if product is None and theirs & set(raster.data_vars):
        raise ProductError(
            "HLS bands without their product: the same name is another band in L30 and in S30",
            where=where,
            found=", ".join(sorted(theirs & set(raster.data_vars))),
            expected="HLS.L30 or HLS.S30 in the file's name or its attribute product",
            remedy="Keep the name under which the file was delivered",
        )
    ours = dict(zip(HLS.products[product], HLS.band_names, strict=True)) if product else {}
    return raster.rename({name: our for name, our in ours.items() if name in raster.data_vars})
