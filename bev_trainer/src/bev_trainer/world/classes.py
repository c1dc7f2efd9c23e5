"""What a pixel, a cell or an object of the synthetic world can be."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class SemanticClass(IntEnum):
    """Class of a pixel (uint8 in class images). Values from CAR on are also object classes."""

    VOID = 0
    SKY = 1
    ROAD = 2
    LANE_MARKING = 3
    CROSSING = 4
    SIDEWALK = 5
    TERRAIN = 6
    BUILDING = 7
    VEGETATION = 8
    STRUCTURE = 9  # poles, lamps, signs, traffic lights, fences
    CAR = 10
    VAN = 11
    TRUCK = 12
    BUS = 13
    MOTORCYCLE = 14
    BICYCLE = 15
    PEDESTRIAN = 16

    @property
    def label(self) -> str:
        """Lower-case name as written to files."""
        return self.name.lower()


GROUND_CLASSES = (
    SemanticClass.ROAD,
    SemanticClass.LANE_MARKING,
    SemanticClass.CROSSING,
    SemanticClass.SIDEWALK,
    SemanticClass.TERRAIN,
)
DRIVABLE_CLASSES = (SemanticClass.ROAD, SemanticClass.LANE_MARKING, SemanticClass.CROSSING)
OBJECT_CLASSES = tuple(item for item in SemanticClass if item >= SemanticClass.CAR)
VEHICLE_CLASSES = (
    SemanticClass.CAR,
    SemanticClass.VAN,
    SemanticClass.TRUCK,
    SemanticClass.BUS,
)
TWO_WHEELER_CLASSES = (SemanticClass.MOTORCYCLE, SemanticClass.BICYCLE)


class GroundLayer(IntFlag):
    """Layers of the flat ground, which overlap: bits of a ground raster (uint8)."""

    DRIVABLE = 1
    LANE_MARKING = 2
    CROSSING = 4
    SIDEWALK = 8
