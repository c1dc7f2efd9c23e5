"""Work on several cores of this computer, or on the machines of a Ray cluster."""
