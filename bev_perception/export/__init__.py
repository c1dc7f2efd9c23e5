"""Models as files for other engines."""
