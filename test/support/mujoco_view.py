"""The view of a pinhole camera in MuJoCo, an independent renderer.

Run as a program, because two renderers in one process fight for the current OpenGL context:
    python mujoco_view.py scene.npz view.npz
scene: points [n, 3] world corners of triangles, object [n / 3] of each, width, height, focal,
world_T_camera [4, 4]. view: object int [H, W] (-1: ground, -2: nothing), depth_m [H, W] along the
optical axis.
"""

from __future__ import annotations

import os
import sys

import numpy as np

GROUND, NOTHING = -1, -2


def main(source: str, target: str) -> None:
    """Renders one view of a scene."""
    os.environ['MUJOCO_GL'] = 'egl'
    import mujoco

    scene = np.load(source)
    width, height = int(scene['width']), int(scene['height'])
    spec = mujoco.MjSpec()
    spec.visual.global_.offwidth, spec.visual.global_.offheight = width, height
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.stat.extent = 1.0
    spec.visual.map.znear, spec.visual.map.zfar = 0.15, 1500.0
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    for number in np.unique(scene['object']):
        points = scene['points'].reshape(-1, 3, 3)[scene['object'] == number].reshape(-1, 3)
        name = f'object_{number}'
        # Shells need not be closed; MuJoCo moves meshes to their centres and keeps track of it.
        spec.add_mesh(
            name=name,
            uservert=points.ravel().tolist(),
            userface=np.arange(len(points)).tolist(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )
        spec.worldbody.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, contype=0, conaffinity=0
        )
    pose = scene['world_T_camera']
    # MuJoCo's cameras look along -z with y up.
    axes = np.concatenate([pose[:3, 0], -pose[:3, 1]])
    fovy = 2 * np.degrees(np.arctan(0.5 * height / float(scene['focal'])))
    camera = spec.worldbody.add_camera(name='camera', pos=pose[:3, 3], fovy=fovy)
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    camera.alt.xyaxes = axes
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, height, width) as renderer:
        renderer.enable_segmentation_rendering()
        renderer.update_scene(data, camera='camera')
        geom = renderer.render()[..., 0].astype(int)
        renderer.disable_segmentation_rendering()
        renderer.enable_depth_rendering()
        renderer.update_scene(data, camera='camera')
        depth = renderer.render()
    numbers = np.append(np.unique(scene['object']), NOTHING)
    found = np.where(geom == 0, GROUND, numbers[np.where(geom > 0, geom - 1, -1)])
    np.savez(target, object=found, depth_m=depth)


if __name__ == '__main__':
    main(*sys.argv[1:])
