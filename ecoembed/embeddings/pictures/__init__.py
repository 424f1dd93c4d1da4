"""Pictures: an embedding as colours, maps and strips; curves and probes as figures. Nothing here needs torch."""
