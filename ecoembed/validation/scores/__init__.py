"""Scores of a benchmark: one summariser for all models, from sums by site."""

from ecoembed.validation.scores.ceiling import noise_ceiling
from ecoembed.validation.scores.groups import summarise_groups
from ecoembed.validation.scores.tables import summarise, summarise_sites
from ecoembed.validation.scores.undefined import undefined

__all__ = ["noise_ceiling", "summarise", "summarise_groups", "summarise_sites", "undefined"]
