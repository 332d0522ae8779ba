"""Writes leap_kinematics.npz: where MuJoCo has the bodies of Menagerie's LEAP Hand at 100 random joint vectors.

    python tests/hand/make_leap_fixture.py PATH/TO/mujoco_menagerie/leap_hand/right_hand.xml

The model is not part of this project. Its kinematics need no shapes, so geoms and meshes are taken off before it is
compiled: the file alone is enough.
"""

import sys
from pathlib import Path

import mujoco
import numpy as np


def bare(path: str) -> mujoco.MjModel:
    """The model without its shapes."""
    spec = mujoco.MjSpec.from_file(path)
    for thing in (*spec.geoms, *spec.meshes):
        spec.delete(thing)
    return spec.compile()


def main(path: str) -> None:
    """Everything in the frame of the palm, m and w x y z; the palm itself is left out."""
    model = bare(path)
    data, palm = mujoco.MjData(model), model.body("palm").id
    q = np.random.default_rng(0).uniform(*model.jnt_range.T, (100, model.njnt))
    position, quat = np.zeros((len(q), model.nbody, 3)), np.zeros((len(q), model.nbody, 4))
    for row, joints in enumerate(q):
        data.qpos[:] = joints
        mujoco.mj_kinematics(model, data)
        back = np.zeros(4)
        mujoco.mju_negQuat(back, data.xquat[palm])
        for body in range(model.nbody):
            mujoco.mju_rotVecQuat(position[row, body], data.xpos[body] - data.xpos[palm], back)
            mujoco.mju_mulQuat(quat[row, body], back, data.xquat[body])
    moving = [body for body in range(model.nbody) if body not in (0, palm)]
    np.savez_compressed(
        Path(__file__).with_name("leap_kinematics.npz"),
        q=q.astype(np.float32),
        joint_range=model.jnt_range,
        joints=[model.joint(i).name for i in range(model.njnt)],
        bodies=[model.body(i).name for i in moving],
        position=position[:, moving].astype(np.float32),
        quat=quat[:, moving].astype(np.float32),
        mujoco=mujoco.__version__,
    )


if __name__ == "__main__":
    main(sys.argv[1])
