"""tsgbench: reproduce temporal sentence grounding papers from raw video to LaTeX table."""

__version__ = "0.1.0"
