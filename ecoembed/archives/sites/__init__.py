"""Site tables: :mod:`.reader` (``read_sites``), over `tables` (files), `plain` and `badm` (what each source claims:
`claims`), `merge` (which claim is believed; how far apart two are: `distance`) and `doubts` (what the user is told).
"""
