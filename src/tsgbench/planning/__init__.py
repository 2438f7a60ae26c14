"""The plan: every job of a study, which results are current, and what the others cost."""
