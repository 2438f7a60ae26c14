"""The papers' models, one file each, and the registry that finds them by name."""

from tsgbench.models.base import Batch, Grounder, build, register

__all__ = ["Batch", "Grounder", "build", "register"]
