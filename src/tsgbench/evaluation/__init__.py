"""Scoring of prediction files, never of live models, under named conventions.

`metrics`: R@n, dR@n and mIoU of ranked spans. `didemo`: the annotators' protocol. `conventions`:
what turns a prediction file into numbers, as data. `predictions`: the file itself. All of them
compute values per query, whose means are the metrics: `query_scores` is the file of these values,
and `resampling` says how sure their means are.
"""
