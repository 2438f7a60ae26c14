"""Annotations: one reader per public format, one table of queries for all of them."""

from tsgbench.datasets.readers import read_annotations
from tsgbench.datasets.table import Queries, read_queries, write_queries

__all__ = ["Queries", "read_annotations", "read_queries", "write_queries"]
