"""Can the hands of MuJoCo Menagerie be taken? Each file that is there is read by `from_mjcf`, and measured or refused.

Neither is part of this project: git clone https://github.com/google-deepmind/mujoco_menagerie, and for the ORCA hand,
all of whose shapes are meshes, the folder that `pip download --no-deps orca_sim` unpacks to.
Time: 12 s of one core, and 2 to 18 s for each picture. Expected: the table of docs/hands.md, and on the last line one
JSON object.
Command: python benchmarks/menagerie_hands.py [--menagerie=mujoco_menagerie] [--orca=FOLDER] [--pictures=FOLDER]

Kinematics: all joints and bodies at 100 random joint vectors, beside MuJoCo's own of the maker's file. Capsules:
`short` is how far the surface of what collides lies outside of them, `over` how far they stand out of it (its meshes by
their convex hulls), body by body.
"""

import argparse
import json
from pathlib import Path

import mujoco
import numpy as np
from scipy.spatial import cKDTree

from dexgen_jax.hand import hulls
from dexgen_jax.hand.capsules import Capsule
from dexgen_jax.hand.description import Hand
from dexgen_jax.hand.mjcf import from_mjcf
from dexgen_jax.hand.mjcf_source import Source
from dexgen_jax.viz import hand_picture

FINE = 1e-3  # m, between points on a surface
ALLEGRO = dict(
    palm="palm",
    fingers={finger: f"{finger}_tip" for finger in ("ff", "mf", "rf", "th")},
    kp=3.0,
    kd=0.1,
    torque_limit=0.7,  # its file has other gains and no limits: those of `allegro` here
)
LEAP = dict(
    palm="palm", fingers={finger: f"{finger}_ds" for finger in ("if", "mf", "rf", "th")}, out="-z", along="+x",
    kp=3.0, kd=0.1, torque_limit=0.5,
)  # fmt: skip
HANDS = {
    "wonik_allegro/right_hand.xml": ALLEGRO,
    "wonik_allegro/left_hand.xml": ALLEGRO,
    "leap_hand/right_hand.xml": LEAP,
    "leap_hand/left_hand.xml": LEAP,
    "shadow_hand/right_hand.xml": dict(palm="rh_palm", fingers={"first": "rh_ffdistal"}, out="-y"),
    "shadow_hand/left_hand.xml": dict(palm="lh_palm", fingers={"first": "lh_ffdistal"}, out="-y"),
    "robotiq_2f85/2f85.xml": dict(palm="base", fingers={"left": "left_pad"}, out="+z", along="+x"),
}
FINGERS = ("index", "middle", "ring", "pinky")
ORCA = {
    "orca_sim/scene_right.xml": dict(
        palm="right_palm", fingers={f: f"right_{f}_ip" for f in FINGERS} | {"thumb": "right_thumb_dp"}, out="+y"
    ),
}


def kinematics(hand: Hand, source: mujoco.MjModel, palm: str) -> tuple[float, float]:
    """The largest difference of a joint's place [m] and of an entry of a body's rotation matrix."""
    here = hand.spec().compile()
    there = hand_picture.in_our_frame(here, source, palm)
    mine, theirs = mujoco.MjData(here), mujoco.MjData(there)
    joints = [there.joint(name) for name in hand.joint_names]
    places, turns = [], []
    for q in np.random.default_rng(0).uniform(hand.lower, hand.upper, (100, hand.num_joints)):
        mine.qpos[:], theirs.qpos[[joint.qposadr[0] for joint in joints]] = q, q
        mujoco.mj_kinematics(here, mine)
        mujoco.mj_kinematics(there, theirs)
        places.append(mine.xanchor - theirs.xanchor[[joint.id for joint in joints]])
        turns.append(mine.xmat[here.jnt_bodyid] - theirs.xmat[[joint.bodyid[0] for joint in joints]])
    return float(np.linalg.norm(places, axis=-1).max()), float(np.abs(turns).max())


def departure(source: Source) -> dict[str, float]:
    """How far capsules and shapes are apart [mm], over all bodies: the 95th percentile and the most."""
    short, over = [], []
    for body in source.bodies:
        if not (geoms := source.geoms(body)):
            continue
        points = [hulls.in_body(source.model, geom, hulls.corners(source.model, geom)) for geom in geoms]
        planes = [hulls.planes(of) for of in points]
        outside = lambda at, planes=planes: np.min([(at @ of[:, :3].T + of[:, 3]).max(1) for of in planes], axis=0)
        surface = np.concatenate([hulls.surface(of, FINE) for of in points])
        surface = surface[outside(surface) > -1e-6]  # what another shape of the body covers cannot be touched
        row = [capsule.moved(source.shift(body)) for capsule in source.shapes(body)]
        short.append(np.maximum(np.min([capsule.distance(surface) for capsule in row], axis=0), 0))
        skin = np.concatenate([skin_of(capsule) for capsule in row])
        skin = skin[np.min([capsule.distance(skin) for capsule in row], axis=0) > -1e-6]
        over.append(np.where(outside(skin) > 0, cKDTree(surface).query(skin)[0], 0))
    figures = {}
    for name, parts in (("short", short), ("over", over)):
        values = 1e3 * np.concatenate(parts)
        figures |= {f"{name}_95_mm": float(np.percentile(values, 95)), f"{name}_most_mm": float(values.max())}
    return {name: round(value, 1) for name, value in figures.items()}


def skin_of(capsule: Capsule) -> np.ndarray:
    """Points (n, 3) [m] on a capsule."""
    return hulls.surface(np.concatenate([end + capsule.radius * hulls.directions(300) for end in capsule.ends]), FINE)


def tried(path: Path, settings: dict, pictures: Path | None) -> dict:
    """What came of one file."""
    if not path.is_file():
        return {"result": "no such file"}
    name = f"{path.parent.name}_{path.stem}"
    try:
        hand = from_mjcf(path, name=name, **settings)
    except ValueError as error:
        return {"result": "refused", "why": str(error)}
    model = mujoco.MjModel.from_xml_path(str(path))
    place, turn = kinematics(hand, model, settings["palm"])
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        hand_picture.write(pictures / f"{name}.png", hand, path, settings["palm"])
    return {
        "result": "taken",
        "joints": hand.num_joints,
        "capsules": len(hand.chain.capsule_radius),
        "place_m": place,
        "rotation": turn,
        **departure(Source(name, model, model.body(settings["palm"]).id)),
    }


def main() -> None:
    """Reads the command line, tries every hand, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--menagerie", type=Path, default=Path("mujoco_menagerie"), help="your copy of MuJoCo Menagerie"
    )
    parser.add_argument("--orca", type=Path, help="where the folder orca_sim lies")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each hand that is taken")
    args = parser.parse_args()
    if not args.menagerie.is_dir():
        parser.error(f"no folder {args.menagerie}: clone MuJoCo Menagerie, and name where with --menagerie=PATH")
    found = {}
    files = {name: (args.menagerie / name, settings) for name, settings in HANDS.items()}
    if args.orca:
        files |= {name: (args.orca / name, settings) for name, settings in ORCA.items()}
    for name, (path, settings) in files.items():
        found[name] = tried(path, settings, args.pictures)
        print(f"{name:30} {json.dumps(found[name])}", flush=True)
    print(json.dumps({"mujoco": mujoco.__version__, "hands": found}))


if __name__ == "__main__":
    main()
