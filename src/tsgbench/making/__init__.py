"""Data sets whose videos a phase makes itself: `shapes` rendered, `joined` from real clips.

`folders` is what both share: settings, encoding, resuming, many at once.
"""
