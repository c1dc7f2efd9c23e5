"""Averages of weights, and weights used again."""
