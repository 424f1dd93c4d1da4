"""What networks and archives hand out, read rightly or refused with the reason.

Fluxes of a tower: :mod:`.fluxnet` (``open_flux``, ``open_halfhours``), which goes through

1. files to tables: `fluxfiles`, over `containers` (zip, gzip), `layout` and `blocks` (text), `workbooks`, `products`
   (which product is it?), `stamps` and `textcolumns` (numbers and times); `owntable` and `collection` (described by a
   user's TOML); `fluxfolder` (whose file is it?);
2. tables to series: `targets` and `columns` (which column?), `fluxtable`, `times` (order, repeats, daylight saving),
   `sun` (is the clock right? when is it night?);
3. series to days: `partition` (GPP where the file has none), `aggregate`, `days`;
4. judged: `quality` (which rows pass, and the account), `uncertainty`, `closure`.

Site tables: :mod:`.sites` (``read_sites``), over `sitetables` (files), `plain` and `badm` (what each source claims:
`claims`), `sitemerge` (which claim is believed) and `sitedoubts` (what the user is told).

Satellite rasters: :mod:`.sentinel1` and :mod:`.sentinel2`, over `rasters`.
"""
