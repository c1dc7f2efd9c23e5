"""Nominal sizes of what stands beside the road: length (ahead), width (left), height, metres."""

from __future__ import annotations

PROP_SIZES_M: dict[str, tuple[float, float, float]] = {
    'building_flat': (22.0, 13.0, 12.0),
    'building_gable': (11.0, 9.0, 9.0),
    'building_tower': (24.0, 20.0, 42.0),
    'tree_round': (6.0, 6.0, 8.0),
    'tree_conifer': (4.2, 4.2, 9.0),
    'bush': (1.6, 1.6, 1.1),
    'hedge': (4.0, 0.8, 1.2),
    'street_lamp': (2.2, 0.30, 7.0),
    'signal': (0.44, 0.34, 3.4),
    'sign_speed': (0.09, 0.62, 2.6),
    'sign_yield': (0.09, 0.80, 2.6),
    'sign_stop': (0.09, 0.76, 2.6),
    'bollard': (0.18, 0.18, 0.95),
    'bench': (0.62, 1.80, 0.86),
    'bin': (0.46, 0.46, 1.00),
    'fence': (3.0, 0.10, 1.1),
    'bus_shelter': (1.50, 4.00, 2.50),
}
