"""Benchmarks against restated peers: interleaved in one process, ratios rather than times."""
