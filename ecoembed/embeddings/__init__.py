"""The two-stage embedding model: each sensor encoded alone, then fused into seven dimensions; Cube in, Cube out.

Where to look:

- ``encode``: from cubes to embeddings; ``pretrain``: from cubes to a weights file. These two are the doors.
- ``checks``, ``dates``, ``tracks``, ``parts``, ``codes``: on the way through ``encode``: what is refused, the dates
  that are asked for, what each of them sees, what is read at once, and the codes of a sensor, fast.
- ``batches``: frames, windows, normalisation; the only border between xarray and torch.
- ``dense``, ``fusion``, ``pointwise``: the layers of the dense encoder. ``reference/``: the encoder of the paper.
- ``weights``, ``card``, ``modelcard``: a weights file, what it says of itself, and that to be read.
- ``training/``, ``probes/``, ``pictures/``: how it is trained, judged and shown.

Source: Peters et al. (2025), arXiv 2511.11706.
"""
