"""The virtual flux network: a world, not a stage. It writes the files that :mod:`ecoembed.archives` reads."""
