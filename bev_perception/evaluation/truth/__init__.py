"""What really was around the vehicle: objects and maps, frame by frame."""
