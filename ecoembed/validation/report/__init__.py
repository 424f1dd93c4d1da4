"""The report of a benchmark: one HTML file that opens without a network, and its figures as files."""

from ecoembed.validation.report.write import answer, compared, write_report

__all__ = ["answer", "compared", "write_report"]
