"""The reference encoder: the architecture and losses of the paper, for reproduction, with the authors' weights or ours.

Source: Peters et al. (2025), arXiv 2511.11706.
"""

from ecoembed.embeddings.reference.encode import ReferenceEncoder, load_official_checkpoint
from ecoembed.embeddings.reference.losses import fusion_loss, reference_loss
from ecoembed.embeddings.reference.model import ReferenceModel, random_reference

__all__ = [
    "ReferenceEncoder",
    "ReferenceModel",
    "fusion_loss",
    "load_official_checkpoint",
    "random_reference",
    "reference_loss",
]
