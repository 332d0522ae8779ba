"""Do the stored grasps hold? An independent check: MuJoCo's own C loop and the grasp files, nothing of our physics.

Every object gets 100 random grasps of its file, each under gravity along six directions for 2 s, with the stored joint
targets held, 0.1 kg and friction 0.85. A grasp holds if the object never leaves 2 cm and 0.5 rad of its stored pose.

Time: 2 minutes for 32 objects on 2 cores. Expected: every object holds at least 97%.
Command: python benchmarks/check_grasps.py [--hand=leap] [--folder=runs/demo/grasps] [--objects=cube_55]
The last line is one JSON object. Only the hand's and the objects' shapes are taken from the package.
"""

import argparse
import json
import os
from pathlib import Path

import mujoco
import numpy as np
from mujoco import rollout

from dexgen_jax import pretrained
from dexgen_jax.hand import registry
from dexgen_jax.objects import catalog, shapes

SIDES = np.concatenate([np.eye(3), -np.eye(3)])
MAX_SHIFT, MAX_TURN = 0.02, 0.5  # m, rad
SECONDS, MASS = 2.0, 0.1


def model_of(hand: str, name: str, friction: float, timestep: float) -> mujoco.MjModel:
    """The hand with one object in plain MuJoCo: the object's geoms as they are, default contacts and iterations."""
    spec, (thing,) = registry.load(hand).spec(), shapes.as_held([catalog.load(name)], registry.load(hand).name)
    spec.option.timestep, spec.option.cone = timestep, mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10  # friction stiffer than contact: otherwise whatever is held creeps
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    body = spec.worldbody.add_body(name="object")
    body.add_freejoint()
    body.explicitinertial, body.mass, body.inertia = True, MASS, MASS * thing.inertia.astype(float)
    body.ipos, body.iquat = thing.com, thing.inertia_quat
    for kind, size, position, quat in zip(thing.kind, thing.size, thing.position, thing.quat, strict=True):
        body.add_geom(type=int(kind), size=size, pos=position, quat=quat, friction=(friction, 0.005, 1e-4), priority=1)
    return spec.compile()


def read(path: Path, hand: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints and joint targets (N, n) [rad] and object poses (N, 7) of a hand's grasp file; see docs/grasps.md."""
    with np.load(path) as data:
        registry.refuse_other(f"grasp file {path}", json.loads(str(data["meta"]))["hand"], registry.load(hand).name)
        if data["q"].dtype != np.int16:
            return data["q"], data["target"], data["object_pose"]
        return 1e-4 * data["q"], 1e-4 * data["target"], data["object_pose"]


def held(name: str, path: Path, args: argparse.Namespace) -> np.ndarray:
    """Which of the drawn grasps hold under which direction of gravity, (grasps, 6) bool."""
    q, target, pose = read(path, args.hand)
    rows = np.random.default_rng(args.seed).permutation(len(q))[: args.grasps]
    model = model_of(args.hand, name, args.friction, args.timestep)
    start = np.zeros((len(rows), mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
    start[:, 1 : 1 + model.nq] = np.concatenate([q[rows], pose[rows]], axis=1)  # the time comes first
    steps = round(SECONDS / args.timestep)
    control = np.repeat(target[rows][:, None].astype(float), steps, axis=1)
    workers = [mujoco.MjData(model) for _ in range(os.cpu_count())]
    result = []
    for side in SIDES:
        model.opt.gravity[:] = 9.81 * side
        path_of_state, _ = rollout.rollout(model, workers, start, control)
        moved = path_of_state[:, :, 1 + q.shape[1] : 1 + model.nq]
        shift = np.linalg.norm(moved[..., :3] - pose[rows, None, :3], axis=-1)
        turn = 2 * np.arccos(np.clip(np.abs(np.sum(moved[..., 3:] * pose[rows, None, 3:], axis=-1)), 0, 1))
        result.append((shift < MAX_SHIFT).all(1) & (turn < MAX_TURN).all(1))  # False for NaN
    return np.stack(result, axis=1)


def main() -> None:
    """Reads the command line, checks every object, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hand", default="allegro", help="whose grasps: see dexgen_jax/hand/registry.py")
    parser.add_argument("--folder", default="shipped", help="a folder of grasp files, or the shipped ones")
    parser.add_argument("--objects", default="", help="names with commas; all files of the folder if not given")
    parser.add_argument("--grasps", type=int, default=100, help="random grasps of each object")
    parser.add_argument("--friction", type=float, default=0.85)
    parser.add_argument("--timestep", type=float, default=0.005, help="s, of the independent simulation")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.folder = pretrained.find("grasps", args.folder, hand=registry.load(args.hand).name)
    names = args.objects.split(",") if args.objects else sorted(path.stem for path in args.folder.glob("*.npz"))
    if not names:
        parser.error(f"no grasp files in {args.folder}")
    shares = {}
    for name in names:
        sides = held(name, args.folder / f"{name}.npz", args)
        shares[name] = round(float(sides.all(1).mean()), 4)
        print(f"{name:24} {shares[name]:.3f}   by direction {np.round(sides.mean(0), 3)}", flush=True)
    worst = min(shares, key=shares.get)
    print(json.dumps({"held_min": shares[worst], "worst_object": worst, "held": shares}))


if __name__ == "__main__":
    main()
