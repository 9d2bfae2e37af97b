"""A time-series anomaly detector: a reconstruction of each window, and a score from its error."""
