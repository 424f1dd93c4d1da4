"""A tower's fluxes: :mod:`.reader` (``open_flux``, ``open_halfhours``), which goes through

1. files to tables: `files`, over `layout` and `blocks` (text), `products` (which product is it?), `stamps` and
   `textcolumns` (times and numbers); `owntable` and `collection` (described by a user's TOML); `folder` (whose file is
   it?);
2. tables to series: `targets` and `columns` (which column?), `table`, `times` (order, repeats, daylight saving), `sun`
   (is the clock right? when is it night?);
3. series to days: `partition` (GPP where the file has none), `aggregate`, `days`;
4. judged: `quality` (which rows pass, and the account), `uncertainty`, `closure`.
"""
