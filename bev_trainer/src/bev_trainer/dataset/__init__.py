"""Drives on disk: one file each, a manifest beside them, and what other tools read."""
