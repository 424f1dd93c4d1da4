"""Scores of a benchmark: one summariser for all models, from sums by site."""

from ecoembed.validation.scores.tables import summarise, summarise_sites

__all__ = ["summarise", "summarise_sites"]
