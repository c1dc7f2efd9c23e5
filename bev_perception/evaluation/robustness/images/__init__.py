"""Corruptions of decoded images."""
