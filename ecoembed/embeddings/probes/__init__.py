"""Probes at places never trained on: what an embedding holds, beside raw values, PCA-7 and a random encoder."""

from ecoembed.embeddings.probes.table import ProbeTable

__all__ = ["ProbeTable"]
