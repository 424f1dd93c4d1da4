"""From a table to the rows that are scored: columns read, rows kept or dropped by reason, one index for all sets."""

from ecoembed.validation.samples.asked import Asked, check_sets, check_window, feature_sets
from ecoembed.validation.samples.make import Samples, make_samples

__all__ = ["Asked", "Samples", "check_sets", "check_window", "feature_sets", "make_samples"]
