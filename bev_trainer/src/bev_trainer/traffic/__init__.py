"""Makes worlds with SUMO: road networks, traffic, ego drives; needed only to generate."""
