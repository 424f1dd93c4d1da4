"""The two-stage embedding model: each sensor encoded alone, then fused into seven dimensions; Cube in, Cube out.

Source: Peters et al. (2025), arXiv 2511.11706. ``batches`` is the only border between xarray and torch.
"""
