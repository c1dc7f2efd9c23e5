"""What is there: road network, scenery, traffic and weather as plain data; no SUMO, no OpenGL."""
