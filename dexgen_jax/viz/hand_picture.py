"""A hand beside the file it was made from: what its maker shows, what collides there, and the capsules here.

One look says whether the capsules stand for the hand, and whether it was taken the right way up: the pictures have the
palm's own axes, +x, out of the palm, comes toward the viewer, and +z, along the fingers, goes up.
"""

import copy
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image

from dexgen_jax.hand.description import Hand
from dexgen_jax.viz import raycast, video

_FROM = np.array([0.72, -0.62, 0.3])  # toward the camera, palm frame
_ROOM = 0.8  # of the distance at which a ball about the hand would just be in view


def write(path: str | Path, hand: Hand, mjcf: str | Path, palm: str) -> None:
    """Writes the picture as a PNG; `hand` is what `from_mjcf` made of the file `mjcf`, whose palm is called `palm`."""
    Image.fromarray(draw(hand, mujoco.MjSpec.from_file(str(mjcf)).compile(), palm)).save(path)


def draw(hand: Hand, source: mujoco.MjModel, palm: str, width: int = 300, height: int = 320) -> np.ndarray:
    """The picture (rows, columns, 3) uint8: the hand as it rests above, cupped as its prior has it below."""
    here = hand.spec().compile()
    there = in_our_frame(here, source, palm)
    solid = (source.geom_contype > 0) | (source.geom_conaffinity > 0)
    ours = below(source, source.body(palm).id)[source.geom_bodyid]
    shown = {"as its maker shows it": (there, ours & ~solid), "what collides there": (there, ours & solid)}
    shown = {name: (model, geoms) for name, (model, geoms) in shown.items() if geoms.any()}
    shown[f"here: {len(hand.chain.capsule_radius)} capsules"] = (here, np.ones(here.ngeom, bool))
    joints = [source.joint(name).qposadr[0] for name in hand.joint_names]
    poses = np.stack([np.clip(0.0, hand.lower, hand.upper), hand.prior.joint_mean])
    camera = looking_at(here, poses)
    tiles = []
    for name, (model, geoms) in shown.items():
        qpos = poses
        if model is not here:
            qpos = np.tile(model.qpos0, (len(poses), 1))
            qpos[:, joints] = poses
        frames = raycast.render(only(model, geoms), qpos, width, height, camera, supersample=2)
        tiles.append(video.add_caption(frames, name, ["open", "cupped"]))
    return np.concatenate(video.beside(*tiles))


def in_our_frame(here: mujoco.MjModel, source: mujoco.MjModel, palm: str) -> mujoco.MjModel:
    """The maker's model with its palm where that of `here` is: both have the first joint at one place in the world."""
    model = copy.copy(source)
    number = model.body(palm).id
    joint, same = here.joint(0), model.joint(here.joint(0).name)
    mine, theirs = mujoco.MjData(here), mujoco.MjData(model)
    above = number
    while above:  # an arm, a wrist: nothing of it stands between the palm and the world
        _put(model, above, np.zeros(3), np.array([1.0, 0, 0, 0]))
        above = int(model.body_parentid[above])
    theirs.qpos[:] = model.qpos0
    theirs.qpos[same.qposadr[0]] = mine.qpos[0] = 0.0
    mujoco.mj_kinematics(here, mine)
    mujoco.mj_kinematics(model, theirs)
    turn = mine.xmat[joint.bodyid[0]].reshape(3, 3) @ theirs.xmat[same.bodyid[0]].reshape(3, 3).T
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, turn.reshape(-1))
    _put(model, number, mine.xanchor[0] - turn @ theirs.xanchor[same.id], quat)
    return model


def _put(model: mujoco.MjModel, body: int, place: np.ndarray, quat: np.ndarray) -> None:
    """Puts a body to a place (3,) [m] of its parent; one that floats has it as the start of its free joint."""
    model.body_pos[body], model.body_quat[body] = place, quat
    first = model.body_jntadr[body]
    if model.body_jntnum[body] and model.jnt_type[first] == mujoco.mjtJoint.mjJNT_FREE:
        model.qpos0[model.jnt_qposadr[first] :][:7] = [*place, *quat]


def below(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Which bodies (bodies,) bool hang on one, itself among them."""
    found = np.arange(model.nbody) == body
    for other in range(body + 1, model.nbody):  # parents come first
        found[other] |= found[model.body_parentid[other]]
    return found


def only(model: mujoco.MjModel, geoms: np.ndarray) -> mujoco.MjModel:
    """The model with these geoms (geoms,) bool alone to be seen."""
    model = copy.copy(model)
    model.geom_margin[:] = np.where(geoms, 0.0, 2 * raycast.OFF_MARGIN)
    return model


def looking_at(model: mujoco.MjModel, poses: np.ndarray) -> raycast.Camera:
    """A camera before the palm that has the whole hand in view in each of the poses (frames, joints) [rad]."""
    data, low, high = mujoco.MjData(model), np.full(3, np.inf), np.full(3, -np.inf)
    for pose in poses:
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        low = np.minimum(low, (data.geom_xpos - model.geom_rbound[:, None]).min(0))
        high = np.maximum(high, (data.geom_xpos + model.geom_rbound[:, None]).max(0))
    middle, way = 0.5 * (low + high), _FROM / np.linalg.norm(_FROM)
    far = _ROOM * 0.5 * np.linalg.norm(high - low) / np.sin(np.radians(raycast.Camera.field_of_view) / 2)
    return raycast.Camera(tuple(middle + far * way), tuple(middle), (0.0, 0.0, 1.0))
