import dataclasses
import importlib.util

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

BOX = catalog.load("box_50_50_80")


def test_a_control_step_is_a_tenth_of_a_second():
    scene = engines.make(allegro.load(), [BOX], "native", 1).scene
    np.testing.assert_allclose(engines.SUBSTEPS * scene.model.opt.timestep, 0.1)


def test_auto_is_native_on_a_cpu():
    assert engines.make(allegro.load(), [BOX], "auto", 1).name == "native"


def test_an_engine_starts_at_rest_with_readouts_of_its_hand(engine):
    model = engine.scene.model
    qpos = jnp.arange(model.nq, dtype=jnp.float32)
    state = engine.init(qpos)
    np.testing.assert_array_equal(state.joints(engine.hand), qpos[: engine.hand.num_joints])
    np.testing.assert_array_equal(state.object_pose(engine.hand), qpos[engine.hand.num_joints :])
    assert not state.qvel.any() and state.torque.shape == (engine.hand.num_joints,)
    assert state.touch.shape == (len(engine.hand.touch_names),) and bool(state.finite)
    assert not bool(engine.init(qpos.at[3].set(jnp.nan)).finite)


def test_the_model_of_an_object_has_its_shape_and_the_scene_stays_as_it_was(engine):
    before = engine.scene.model.geom_size.copy()
    ball = engine.model(1)
    first = engine.scene.slots.start
    assert ball.geom_type[first] == mujoco.mjtGeom.mjGEOM_SPHERE and ball.geom_size[first, 0] == pytest.approx(0.032)
    assert engine.model().geom_size[first] == pytest.approx([0.025, 0.025, 0.04])
    np.testing.assert_array_equal(engine.scene.model.geom_size, before)


def test_objects_are_drawn_by_their_number_also_inside_a_compiled_program(engine):
    sizes = jax.jit(jax.vmap(lambda i: engine.object(i).size))(jnp.array([1, 0]))
    np.testing.assert_allclose(sizes[0, 0, 0], 0.032, rtol=1e-6)
    np.testing.assert_allclose(sizes[1, 0], [0.025, 0.025, 0.04], rtol=1e-6)


def test_what_is_compiled_quickly_simulates_the_same(engine):
    assert dataclasses.replace(engine, name="mjx").compiler_options is None
    begin = jnp.concatenate([jnp.zeros(16), jnp.array([0.0, 0, 1, 1, 0, 0, 0])])
    fall = lambda qpos: engine.step(engine.init(qpos), qpos[:16], worlds.nominal(engine.object(0))).qpos
    thorough = {  # optimised, however the tests are compiled
        "xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False,
        "xla_cpu_use_fusion_emitters": True, "xla_cpu_parallel_codegen_split_count": 32,
    }  # fmt: skip
    assert thorough.keys() == engine.compiler_options.keys()
    ends = [jax.jit(fall, compiler_options=options)(begin) for options in (thorough, engine.compiler_options)]
    np.testing.assert_allclose(*ends, atol=1e-6)


def test_gravity_from_any_side_is_a_free_objects_acceleration(engine):
    start = engine.init(jnp.zeros(engine.scene.model.nq).at[-7:].set(jnp.array([1.0, 0, 0, 1, 0, 0, 0])))
    for gravity in ([0.0, 9.81, 0.0], [-3.0, 0.0, 4.0]):
        world = worlds.nominal(engine.object(jnp.asarray(1))).replace(gravity=jnp.array(gravity))
        after = engine.step(start, jnp.zeros(engine.hand.num_joints), world)
        np.testing.assert_allclose(after.qvel[engine.hand.num_joints :][:3], 0.1 * np.array(gravity), atol=1e-5)


def test_an_unknown_backend_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="no physics backend 'mujoco'; choose one of auto, native, mjx, warp"):
        engines.make(allegro.load(), [BOX], "mujoco")


@pytest.mark.skipif(importlib.util.find_spec("warp") is not None, reason="warp is installed here")
def test_a_backend_that_is_not_installed_says_how_to_install_it():
    with pytest.raises(ValueError, match=r"'warp' is not installed.*dexgen_jax\[warp\]"):
        engines.make(allegro.load(), [BOX], "warp")


def test_wrong_shapes_are_refused(engine):
    with pytest.raises(AssertionError, match=r"\(3,\)"):
        engine.init(jnp.zeros(3))
