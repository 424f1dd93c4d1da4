"""What networks and archives hand out, read rightly or refused with the reason.

`flux`: a tower's fluxes; `sites`: where towers stand and how they are built; `satellite`: rasters of Sentinel-1 and
Sentinel-2. `containers` (zip, gzip) and `workbooks` serve all of them.
"""
