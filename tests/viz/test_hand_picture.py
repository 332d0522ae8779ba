"""Laws: a hand and its file stand in one place, whatever carries the palm, and cover about the same pixels."""

import mujoco
import numpy as np
import pytest
from PIL import Image

from dexgen_jax.hand.mjcf import from_mjcf
from dexgen_jax.viz import hand_picture, raycast

FINGER = """<body name="{f}_lower" pos="0.03 {y} 0" quat="0.9 0.1 0 0.1">
  <joint name="{f}_lower" axis="0 1 0" pos="0.004 0 0.002" range="-0.3 1.5"/>
  <geom type="box" size="0.02 0.009 0.008" pos="0.02 0 0"/>
  <body name="{f}_upper" pos="0.045 0 0"><joint name="{f}_upper" axis="0 1 0" range="-0.3 1.5"/>
    <geom type="box" size="0.02 0.009 0.008" pos="0.02 0 0"/>{seen}</body></body>"""
JOINTS = [f"{f}_{link}" for f in ("left", "right") for link in ("lower", "upper")]
SERVOS = "".join(f'<position joint="{j}" kp="2" kv="0.05" forcerange="-0.5 0.5"/>' for j in JOINTS)
CARRIERS = {
    "nothing": "{}",
    "an arm": '<body pos="0 0 0.5" quat="0 1 0 0"><joint name="wrist"/><geom size="0.2"/>{}</body>',
    "nobody": "{}",  # it floats
}


@pytest.fixture
def write(tmp_path):
    def to_file(carrier="nothing", seen=""):
        fingers = "".join(FINGER.format(f=f, y=y, seen=seen) for f, y in (("left", 0.03), ("right", -0.03)))
        free = "<freejoint/>" if carrier == "nobody" else ""
        palm = f"""<body name="base" pos="0.1 0 0.2" quat="0.5 0.5 -0.5 0.5">{free}
          <geom type="box" size="0.03 0.05 0.012"/>{fingers}</body>"""
        path = tmp_path / "gripper.xml"
        path.write_text(f"""<mujoco><compiler angle="radian"/><worldbody>{CARRIERS[carrier].format(palm)}</worldbody>
          <actuator>{SERVOS}</actuator></mujoco>""")
        tips = {f: f"{f}_upper" for f in ("left", "right")}
        hand = from_mjcf(path, "base", tips, out="-z", along="+x", origin=(0.01, 0.02, -0.03))
        return path, hand, mujoco.MjModel.from_xml_path(str(path))

    return to_file


@pytest.mark.parametrize("carrier", CARRIERS)
def test_the_file_stands_where_the_hand_does(carrier, write):
    _, hand, source = write(carrier)
    here, there = hand.spec().compile(), hand_picture.in_our_frame(hand.spec().compile(), source, "base")
    mine, theirs = mujoco.MjData(here), mujoco.MjData(there)
    theirs.qpos[:] = there.qpos0
    mine.qpos[:] = theirs.qpos[[there.joint(name).qposadr[0] for name in JOINTS]] = [0.3, -0.2, 0.9, 1.2]
    mujoco.mj_kinematics(here, mine)
    mujoco.mj_kinematics(there, theirs)
    np.testing.assert_allclose(mine.xanchor, [theirs.joint(name).xanchor for name in JOINTS], atol=1e-9)
    rotations = [theirs.body(name).xmat for name in JOINTS]
    np.testing.assert_allclose([mine.body(name).xmat for name in JOINTS], rotations, atol=1e-9)
    assert source.body("base").pos[0] == 0.1  # the maker's model itself is not touched


def test_boxes_and_capsules_cover_about_the_same_pixels(write):
    _, hand, source = write("an arm")
    here = hand.spec().compile()
    there = hand_picture.in_our_frame(here, source, "base")
    solid = hand_picture.below(source, source.body("base").id)[source.geom_bodyid]
    assert solid.sum() == 5 and source.ngeom == 6  # the arm is not shown
    camera, covered = hand_picture.looking_at(here, np.zeros((1, 4))), []
    for model, geoms in ((here, np.ones(here.ngeom, bool)), (there, solid)):
        seen, empty = (
            raycast.render(hand_picture.only(model, shown), model.qpos0[None], 80, 80, camera)[0].astype(int)
            for shown in (geoms, ~np.ones(model.ngeom, bool))
        )
        covered.append(np.abs(seen - empty).max(-1) > 0)
    assert covered[0].sum() > 500
    assert (covered[0] & covered[1]).sum() > 0.7 * (covered[0] | covered[1]).sum()


def test_what_is_only_to_be_seen_has_a_tile_of_its_own_and_the_picture_is_a_file(write, tmp_path, monkeypatch):
    path, hand, source = write(seen='<geom size="0.006" pos="0.045 0 0" contype="0" conaffinity="0"/>')
    three = hand_picture.draw(hand, source, "base", 40, 40)
    assert three.shape[1] == 3 * 40 + 2 * 6
    monkeypatch.setattr(hand_picture, "draw", lambda *_: three)
    hand_picture.write(tmp_path / "hand.png", hand, path, "base")
    assert Image.open(tmp_path / "hand.png").size == three.shape[1::-1]
