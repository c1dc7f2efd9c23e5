"""Metrics: pure functions on one frame, and summaries over scenes."""
