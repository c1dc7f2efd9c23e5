"""Exact labels on any grid, from drives and from images."""
