"""All meshes in one vertex and one index array, so that one call draws many models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.finishes import FINISHES, Kind
from bev_trainer.render.mesh import Material, Mesh
from bev_trainer.render.meshes import mesh_of
from bev_trainer.world.catalogue import MODELS
from bev_trainer.world.scenery import PROP_CLASSES

FloatArray = NDArray[np.float32]

VERTEX_DTYPE = np.dtype(
    [('position', '<f4', 3), ('normal', 'u1', 4), ('color', 'u1', 4), ('extra', 'u1', 4)]
)
VERTEX_FORMAT = '3f 4f1 4f1 4f1'
VERTEX_NAMES = ('in_position', 'in_normal', 'in_color', 'in_extra')
_CREASE_COSINE = np.cos(np.deg2rad(48.0))
MODEL_NAMES: tuple[str, ...] = (*MODELS, *PROP_CLASSES)
MODEL_INDEX = {name: index for index, name in enumerate(MODEL_NAMES)}


@dataclass(frozen=True, eq=False)
class MeshStore:
    """Vertices and indices of all models.

    Attributes:
        vertices: [n] of `VERTEX_DTYPE`. extra: gloss, glow, limb, whether it is smooth.
        indices: uint32 [m], three per triangle, base vertex added.
        ranges: int64 [models, kinds, 2]: (first index, count) by `MODEL_NAMES` and `Kind`.
        glow_points: per model, {glow code: [k, 3] points of its unit box where it shines}.
        walls: per model, [k, 5] boxes of its unit box that are walled all around from the ground:
            lower x and y, upper x and y, top.
    """

    vertices: NDArray[np.void]
    indices: NDArray[np.uint32]
    ranges: NDArray[np.int64]
    glow_points: tuple[dict[int, FloatArray], ...]
    walls: tuple[NDArray[np.float64], ...]


@cache
def mesh_store() -> MeshStore:
    """Returns the meshes of all models that a world may hold."""
    vertices, indices, ranges = [], [], np.zeros((len(MODEL_NAMES), len(Kind), 2), np.int64)
    vertex_count = index_count = 0
    for number, name in enumerate(MODEL_NAMES):
        mesh = mesh_of(name)
        unique, triangles = _indexed(_vertices(mesh))
        kinds = _kinds(mesh.materials[::3])
        for kind in Kind:
            part = triangles[kinds == kind]
            ranges[number, kind] = index_count, part.size
            indices.append((part + vertex_count).ravel())
            index_count += part.size
        vertices.append(unique)
        vertex_count += len(unique)
    meshes = [mesh_of(name) for name in MODEL_NAMES]
    return MeshStore(
        np.concatenate(vertices),
        np.concatenate(indices).astype(np.uint32),
        ranges,
        tuple(_glow_points(mesh) for mesh in meshes),
        tuple(_walls(mesh) for mesh in meshes),
    )


def _kinds(materials: NDArray[np.uint8]) -> NDArray[np.int64]:
    table = np.array([int(FINISHES[material].kind) for material in Material])
    return table[materials]


def _vertices(mesh: Mesh) -> NDArray[np.void]:
    finishes = [FINISHES[material] for material in Material]
    colors = np.array([(*f.color_rgb, f.tint) for f in finishes])
    # Square roots spread dark reflectances over more of the 256 values.
    colors[:, :3] = np.sqrt(colors[:, :3])
    extra = np.array([(f.gloss * 255, int(f.glow), 0, 0) for f in finishes])
    smooth = np.array([f.smooth for f in finishes])[mesh.materials]
    rows = np.zeros(len(mesh.positions), VERTEX_DTYPE)
    rows['position'] = mesh.positions
    normals = np.where(smooth[:, None], _rounded(mesh, smooth), mesh.normals)
    rows['normal'][:, :3] = np.rint(normals * 127.0 + 128.0)
    rows['color'] = np.rint(colors[mesh.materials] * 255)
    rows['extra'] = np.rint(extra[mesh.materials])
    rows['extra'][:, 2] = mesh.limbs
    return rows


def _rounded(mesh: Mesh, smooth: NDArray[np.bool_]) -> FloatArray:
    """Returns normals [3 t, 3] averaged over the faces that meet in a point at a blunt angle."""
    normals = mesh.normals.astype(np.float64).copy()
    key = np.column_stack([np.rint(mesh.positions * 20000), mesh.materials]).astype(np.int64)
    _, group = np.unique(key, axis=0, return_inverse=True)
    group = group.ravel()
    order = np.argsort(group, kind='stable')
    bounds = np.flatnonzero(np.diff(group[order])) + 1
    for members in np.split(order, bounds):
        if not smooth[members[0]]:
            continue
        around = mesh.normals[members].astype(np.float64)
        near = (around @ around.T) > _CREASE_COSINE
        # Each direction counts once, however many triangles share it.
        weight = 1.0 / ((around @ around.T) > 0.999).sum(axis=1)
        total = (near * weight) @ around
        normals[members] = total / np.linalg.norm(total, axis=1, keepdims=True)
    return normals.astype(np.float32)


def _indexed(rows: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Returns (distinct vertices in order of first use, triangles [t, 3])."""
    raw = rows.view([('bytes', f'V{rows.dtype.itemsize}')])['bytes']
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    order = np.argsort(first, kind='stable')
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rows[first[order]], rank[inverse.ravel()].reshape(-1, 3)


def _glow_points(mesh: Mesh) -> dict[int, FloatArray]:
    """Returns the centres of lamps in the unit box, left and right ones apart."""
    points: dict[int, FloatArray] = {}
    centers = mesh.positions.reshape(-1, 3, 3).mean(axis=1)
    materials = mesh.materials[::3]
    for material, finish in FINISHES.items():
        mine = centers[materials == material]
        if finish.glow and len(mine):
            sides = [mine[mine[:, 1] > 0.1], mine[mine[:, 1] < -0.1]]
            parts = [side for side in sides if len(side)] or [mine]
            points[int(finish.glow)] = np.stack([part.mean(axis=0) for part in parts])
    return points


def _walls(mesh: Mesh) -> NDArray[np.float64]:
    """Returns the walled boxes of `MeshStore.walls`: fronts stand on the ground or on others."""
    is_front = np.isin(mesh.materials, [int(Material.FACADE)])
    points = mesh.positions[is_front].astype(np.float64)
    boxes: list[tuple[float, ...]] = []
    reach = 1e-3
    for level in np.unique(points[:, 2].round(4)):
        foot = points[np.abs(points[:, 2] - level) < 1e-3]
        low, high = foot[:, :2].min(axis=0), foot[:, :2].max(axis=0)
        ends = [(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])]
        tops = [points[(np.abs(points[:, :2] - end) < 1e-3).all(axis=1), 2] for end in ends]
        top = min((float(each.max()) if len(each) else 0.0) for each in tops)
        if level < reach and top > level + 0.01:
            boxes.append((*low, *high, top))
            reach = max(reach, top)
    return np.array(boxes, np.float64).reshape(-1, 5)
