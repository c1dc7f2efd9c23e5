"""What a training is: typed, every key checked."""
