"""Laws: what a world says is what the simulator's own model and forces show, for every field of it."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog, shapes
from dexgen_jax.objects.shapes import Primitive
from dexgen_jax.physics import scene as scenes
from dexgen_jax.physics import world as worlds

HAND = allegro.load()
TILTED = tuple(np.array([0.9, 0.1, -0.3, 0.2]) / np.linalg.norm([0.9, 0.1, -0.3, 0.2]))
PARTS = {
    "sphere": Primitive(shapes.SPHERE, (0.03,)),
    "capsule": Primitive(shapes.CAPSULE, (0.02, 0.03)),
    "ellipsoid": Primitive(shapes.ELLIPSOID, (0.02, 0.035, 0.04)),
    "cylinder": Primitive(shapes.CYLINDER, (0.025, 0.04)),
    "box": Primitive(shapes.BOX, (0.02, 0.03, 0.04)),
}
T_BLOCK = shapes.build(
    [
        Primitive(shapes.BOX, (0.01, 0.01, 0.04)),
        Primitive(shapes.BOX, (0.01, 0.035, 0.01), position=(0.0, 0.0, 0.05), quat=TILTED),
    ]
)


def _model(world, thing):
    """MuJoCo's model with the world written in, and data of it with the object far from the hand."""
    scene = scenes.build(HAND, tuple(int(k) for k in thing.kind))
    model = scenes.model_of(scene, jax.tree.map(np.asarray, worlds.model_fields(world, HAND)))
    data = mujoco.MjData(model)
    data.qpos[-7:] = [0.5, 0.0, 0.0, *TILTED]
    mujoco.mj_forward(model, data)
    return scene, model, data


def _compiled(thing, mass):
    """The same object built by MuJoCo's own compiler, which takes mass properties from our numbers."""
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="object")
    body.add_freejoint()
    body.explicitinertial, body.mass = True, mass
    body.ipos, body.iquat, body.inertia = thing.com, thing.inertia_quat, mass * thing.inertia
    for kind, size, position, quat in zip(thing.kind, thing.size, thing.position, thing.quat, strict=True):
        body.add_geom(type=int(kind), size=size, pos=position, quat=quat)
    return spec.compile()


@pytest.mark.parametrize("thing", [*(shapes.build([p]) for p in PARTS.values()), T_BLOCK], ids=[*PARTS, "t_block"])
def test_derived_fields_are_those_of_mujocos_compiler(thing):
    scene, model, _ = _model(worlds.nominal(thing).replace(mass=jnp.asarray(0.17)), thing)
    reference = _compiled(thing, 0.17)
    body, geoms = scene.object_body, scene.slots
    for name in ("geom_size", "geom_pos", "geom_quat", "geom_rbound", "geom_aabb", "geom_type"):
        ours, theirs = getattr(model, name)[geoms], getattr(reference, name)
        if name == "geom_size":  # unused entries are ours to choose
            ours = np.where(theirs > 0, ours, 0)
        np.testing.assert_allclose(ours, theirs, atol=1e-7, err_msg=name)
    for name in ("mass", "inertia", "ipos", "iquat", "invweight0"):
        ours, theirs = getattr(model, f"body_{name}")[body], getattr(reference, f"body_{name}")[1]
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-9, err_msg=name)
    # The trap: MuJoCo divides by the subtree's mass, and writing body_mass alone leaves the placeholder's there.
    np.testing.assert_allclose(model.body_subtreemass[body], 0.17, rtol=1e-6)


@pytest.mark.parametrize("name", ["box_50_50_80", "cylinder_40_90", "sphere_64"])
def test_shapes_stand_where_the_objects_pose_says(name):
    # A placeholder whose geoms share the inertial frame makes MuJoCo C turn every shape into that frame.
    thing = catalog.load(name)
    scene, model, data = _model(worlds.nominal(thing), thing)
    assert not model.geom_sameframe[scene.slots].any()
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, np.asarray(TILTED))
    np.testing.assert_allclose(data.geom_xpos[scene.slots.start], [0.5, 0, 0], atol=1e-7)
    np.testing.assert_allclose(data.geom_xmat[scene.slots.start], turn, atol=1e-6)


def test_inertia_is_largest_about_the_axis_across_a_rod():
    thing = catalog.load("cylinder_40_90")  # long axis z of the object
    _, model, data = _model(worlds.nominal(thing), thing)
    data.qpos[-4:] = [1, 0, 0, 0]
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    about = np.diag(inertia)[-3:] / 0.1
    np.testing.assert_allclose(about[2], 0.02**2 / 2, rtol=0.02)
    np.testing.assert_allclose(about[:2], (3 * 0.02**2 + 0.09**2) / 12, rtol=0.02)


def test_gravity_push_and_mass_are_the_objects_acceleration():
    # 0.2 kg, pushed with 0.4 N along y: 2 m/s2 on top of gravity.
    thing = catalog.load("sphere_64")
    world = worlds.nominal(thing).replace(
        gravity=jnp.array([1.0, -2.0, 3.0]), mass=jnp.asarray(0.2), push=jnp.array([0.0, 0.4, 0.0])
    )
    scene, model, data = _model(world, thing)
    data.xfrc_applied[scene.object_body, :3] = world.push
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qacc[scene.object_dofs][:3], [1, 0, 3], atol=1e-6)


def test_a_contact_has_the_mean_friction_of_object_and_hand():
    thing = catalog.load("sphere_64")
    world = worlds.nominal(thing).replace(object_friction=jnp.asarray(0.5), hand_friction=jnp.asarray(1.1))
    _, model, data = _model(world, thing)
    data.qpos[-7:-4] = [0.03, 0.0, -0.045]  # in the palm
    mujoco.mj_forward(model, data)
    frictions = [c.friction[:2] for c in data.contact]
    assert frictions
    np.testing.assert_allclose(frictions, 0.8, rtol=1e-6)


def test_gain_factors_are_the_servos_torque():
    # 1.1 x 3 N m/rad x 0.1 rad - 0.7 x 0.1 N m s/rad x 1 rad/s = 0.26 N m.
    thing = catalog.load("sphere_64")
    _, model, data = _model(worlds.nominal(thing).replace(kp_scale=jnp.asarray(1.1), kd_scale=jnp.asarray(0.7)), thing)
    data.qpos[: HAND.num_joints], data.qvel[: HAND.num_joints], data.ctrl[:] = 0.5, 1.0, 0.6
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.actuator_force, 0.26, rtol=1e-5)


def test_a_resized_object_is_the_object_built_at_that_size():
    factor = 1.05
    slots = zip(T_BLOCK.kind, factor * T_BLOCK.size, factor * T_BLOCK.position, T_BLOCK.quat, strict=True)
    parts = [Primitive(int(k), *(tuple(map(float, row)) for row in (s, p, q))) for k, s, p, q in slots]
    built, resized = shapes.build(parts), worlds.resize(T_BLOCK, factor)
    for name in ("size", "position", "quat", "com", "inertia"):
        np.testing.assert_allclose(getattr(resized, name), getattr(built, name), rtol=1e-4, atol=1e-8, err_msg=name)
    _, model, _ = _model(worlds.nominal(resized), resized)
    np.testing.assert_allclose(model.body_inertia[-1], 0.1 * built.inertia, rtol=1e-4)


def test_a_slot_that_is_off_touches_nothing():
    thing = catalog.load("sphere_64").replace(on=np.array([False]))
    _, model, data = _model(worlds.nominal(thing), thing)
    data.qpos[-7:-4] = [0.0, 0.0, -0.045]  # its centre inside the palm
    mujoco.mj_forward(model, data)
    forces = [c for c in data.contact if not c.exclude]
    assert forces == []
    np.testing.assert_allclose(data.qacc[-6:-3], worlds.PALM_UP, atol=1e-6)


def test_fields_are_the_same_under_jit_and_vmap():
    thing = jax.tree.map(jnp.asarray, T_BLOCK)
    fields = jax.jit(lambda m: worlds.model_fields(worlds.nominal(thing).replace(mass=m), HAND))
    masses = jnp.array([0.05, 0.2])
    batch = jax.vmap(fields)(masses)
    for i, mass in enumerate(masses):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[i], rtol=1e-6), fields(mass), batch)  # noqa: B023


@pytest.mark.parametrize("gravity", [(0.0, float("nan"), 0.0), (0.0, 0.0, -float("inf")), (9.81,)])
def test_impossible_gravity_is_named(gravity):
    with pytest.raises(ValueError, match=r"gravity is three finite numbers \[m/s2, palm frame\], got"):
        worlds.nominal(T_BLOCK, gravity)
