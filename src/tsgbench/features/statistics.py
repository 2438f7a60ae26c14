"""Names of the statistics that the pool `channel_stats` takes of every channel, in their order."""

STATISTICS = ("mean", "change", "maximum", "deviation", "deviation_over_time")
