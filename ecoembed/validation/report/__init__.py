"""The report of a benchmark: one HTML file that opens without a network, and its figures as files."""

from ecoembed.validation.report.answer import answer
from ecoembed.validation.report.gallery import write_figures
from ecoembed.validation.report.write import write_report

__all__ = ["answer", "write_figures", "write_report"]
