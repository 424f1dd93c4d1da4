"""How satellite rasters are delivered: GeoTIFFs, minicubes in NetCDF and Zarr, series of files, HDF5 patches."""
