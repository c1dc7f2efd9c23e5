"""Several models trained alike, tested alike, side by side."""
