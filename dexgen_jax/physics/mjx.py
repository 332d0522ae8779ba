"""MJX behind the same pure step: MJX-JAX wherever XLA runs (TPUs, and a CPU for comparison), MJX-Warp on NVIDIA GPUs.

Geom types are static in MJX, so the scene has a slot for every kind (`shapes.layout`), and a world switches slots off.
Simulator data is rebuilt from plain arrays inside every step: only arrays have to survive a reset or a checkpoint.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from mujoco import mjx

from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.engine import PhysicsState
from dexgen_jax.physics.scene import Scene
from dexgen_jax.physics.world import World

_STATIC = ("geom_type",)  # fixed by the scene, and equal to the world's by construction


def advance(scene: Scene, substeps: int, backend: str) -> Callable[[PhysicsState, jax.Array, World], PhysicsState]:
    """Returns MJX's `step(state, ctrl, world)` of a scene; `backend` is 'mjx' or 'warp'."""
    implementation = {"mjx": "jax", "warp": "warp"}[backend]
    base = mjx.put_model(scene.model, impl=implementation)

    def step(state: PhysicsState, ctrl: jax.Array, world: World) -> PhysicsState:
        with jax.numpy_rank_promotion("allow"):  # MJX leans on it throughout
            model = _write(base, scene, worlds.model_fields(world, scene.hand))
            data = mjx.make_data(scene.model, impl=implementation)
            push = jnp.zeros_like(data.xfrc_applied).at[scene.object_body, :3].set(world.push)
            data = data.replace(
                qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.warmstart, ctrl=ctrl, xfrc_applied=push
            )
            data = jax.lax.fori_loop(0, substeps, lambda _, d: mjx.step(model, d), data)
        return state.replace(
            qpos=data.qpos, qvel=data.qvel, warmstart=data.qacc_warmstart,
            torque=data.actuator_force, touch=data.sensordata,
        )  # fmt: skip

    return step


def _write(model: mjx.Model, scene: Scene, fields: dict[str, jax.Array]) -> mjx.Model:
    """Puts one world's fields into the model's arrays."""
    new = {}
    for name, value in fields.items():
        if name in _STATIC:
            continue
        old = model.opt.gravity if name == "opt.gravity" else getattr(model, name)
        new[name] = jnp.asarray(old).at[scene.rows[name]].set(value)
    return model.tree_replace(new)
