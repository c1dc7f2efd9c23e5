"""What a perfect model would put out: labels of a frame as maps, per head."""
