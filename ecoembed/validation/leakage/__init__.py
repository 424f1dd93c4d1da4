"""The audit before any model is fitted: what training could know of the test."""

from ecoembed.validation.leakage.audit import audit
from ecoembed.validation.leakage.neighbours import Pretraining

__all__ = ["Pretraining", "audit"]
