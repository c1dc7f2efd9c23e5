"""People on two wheels."""

from __future__ import annotations

from dataclasses import dataclass

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.people import Look, head, shoe, torso
from bev_trainer.render.meshes.shapes import Part, both_sides, merge, tube

Place = tuple[float, float, float]

_S, _H, _G = Material.SKIN, Material.HAIR, Material.GLASS


@dataclass(frozen=True)
class Pose:
    """How a rider sits, metres.

    Attributes:
        seat: x and height of the hips.
        shoulders: x and height.
        head: x and height of its middle.
        hand: on the left grip.
        elbow: of the left arm.
        left_knee: of the left leg.
        left_ankle: likewise.
        right_knee: of the right leg, y negative.
        right_ankle: likewise.
    """

    seat: tuple[float, float]
    shoulders: tuple[float, float]
    head: tuple[float, float]
    hand: Place
    elbow: Place
    left_knee: Place
    left_ankle: Place
    right_knee: Place
    right_ankle: Place


def cycle_helmet(material: int) -> Look:
    """Returns the materials of a head under a cycle helmet."""
    return (
        (_S,) * 8,
        (_S, _S, _S, _H, _H, _S, _S, _S),
        (_S, *(material,) * 6, _S),
        (material,) * 8,
    )


def full_helmet(material: int) -> Look:
    """Returns the materials of a head in a closed helmet with a visor."""
    return ((material,) * 8, (material,) * 8, (_G, _G, *(material,) * 4, _G, _G), (material,) * 8)


def rider(pose: Pose, jacket: int, look: Look, head_size: float) -> Part:
    """Returns a seated person."""
    (seat_x, seat_z), (top_x, top_z) = pose.seat, pose.shoulders
    middle_x, middle_z = 0.45 * seat_x + 0.55 * top_x - 0.02, 0.45 * seat_z + 0.55 * top_z
    trunk = torso(
        (
            (seat_z - 0.10, seat_x, 0.14, 0.165),
            (middle_z, middle_x, 0.135, 0.17),
            (top_z, top_x, 0.115, 0.20),
            (top_z + 0.12, top_x + 0.04, 0.045, 0.05),
        ),
        jacket,
        7,
    )
    hand_x, hand_y, hand_z = pose.hand
    joints = (
        (top_x, 0.150, top_z + 0.055),
        (top_x, 0.185, top_z),
        pose.elbow,
        pose.hand,
        (hand_x + 0.09, hand_y - 0.01, hand_z - 0.01),
    )
    radii = (0.02, 0.060, 0.048, 0.038, 0.03)
    arm = tube(joints, radii, 4, (jacket, jacket, jacket, _S), lids=False).smooth(95)
    left = _leg((seat_x, 0.09, seat_z), pose.left_knee, pose.left_ankle)
    right = _leg((seat_x, -0.09, seat_z), pose.right_knee, pose.right_ankle)
    return merge(trunk, both_sides(arm), left, right, head(*pose.head, head_size, look))


def _leg(hip: Place, knee: Place, ankle: Place) -> Part:
    joints = (hip, knee, ankle)
    trousers = tube(joints, (0.09, 0.072, 0.046), 5, Material.CLOTH_DARK, lids=False)
    x, y, z = ankle
    return merge(trousers, shoe(x, y, 0.25, 0.09).moved(z=z - 0.07))
