"""Annotations: one reader per public format, one table of queries for all of them."""

from tsgbench.datasets.queries import Queries, read_queries, write_queries
from tsgbench.datasets.readers import read_annotations

__all__ = ["Queries", "read_annotations", "read_queries", "write_queries"]
