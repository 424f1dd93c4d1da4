"""Probes at places never trained on: what an embedding holds, beside raw values, PCA-7 and a random encoder."""

from ecoembed.embeddings.probes.calibration import calibrate
from ecoembed.embeddings.probes.gates import verdict
from ecoembed.embeddings.probes.run import run_probes
from ecoembed.embeddings.probes.table import ProbeTable

__all__ = ["ProbeTable", "calibrate", "run_probes", "verdict"]
