"""Site tables: :mod:`.reader` (``read_sites``), over `tables` (files), `plain` and `badm` (what each source claims:
`claims`), `merge` (which claim is believed) and `doubts` (what the user is told).
"""
