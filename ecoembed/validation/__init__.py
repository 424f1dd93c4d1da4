"""Scores at unseen sites: splits, metrics, the benchmark and its report."""
