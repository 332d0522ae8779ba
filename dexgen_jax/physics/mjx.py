"""MJX: the same step as XLA arrays, for TPUs (MJX-JAX) and NVIDIA GPUs (MJX-Warp).

MJX's `Data` is rebuilt from plain arrays inside every step: only arrays have to survive a reset or a checkpoint.
"""

import copy
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
from mujoco import mjx

from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.scene import Scene
from dexgen_jax.physics.state import PhysicsState
from dexgen_jax.physics.world import World

_STATIC = ("geom_type",)  # fixed by the scene, and equal to the world's by construction
# What Warp keeps room for. Contacts (and pairs that may touch) have one store for all environments, rows one each.
# Measured in MuJoCo C with every object of the catalogue, hands closed, squeezed and moved about for 3 s: 5.5 contacts
# on average, 44 and 132 rows at most in one environment (a triangular prism, whose six boxes overlap).
CONTACTS_PER_ENV, ROWS_PER_ENV = 48, 192

Step = Callable[[PhysicsState, jax.Array, World], PhysicsState]


def advance_jax(scene: Scene, substeps: int) -> Step:
    """Returns MJX-JAX's `step(state, ctrl, world)` of a scene."""
    base = mjx.put_model(scene.model, impl="jax")

    def step(state: PhysicsState, ctrl: jax.Array, world: World) -> PhysicsState:
        with jax.numpy_rank_promotion("allow"):  # MJX leans on it throughout
            model, data = _inputs(base, mjx.make_data(scene.model, impl="jax"), scene, state, ctrl, world)
            return _outputs(state, jax.lax.fori_loop(0, substeps, lambda _, d: mjx.step(model, d), data))

    return step


def advance_warp(scene: Scene, substeps: int, contacts: int = CONTACTS_PER_ENV, rows: int = ROWS_PER_ENV) -> Step:
    """Returns MJX-Warp's `step(state, ctrl, world)` of a scene.

    Warp drops what exceeds its stores and only prints it: here an overflow raises RuntimeError with the size needed.
    The contact store is common to all environments, so every level of `vmap` is folded into one batch first.
    """
    native = copy.copy(scene.model)
    # Warp has neither of these: nothing to switch off.
    native.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE | mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    base = mjx.put_model(native, impl="warp")
    # An overflow is raised here, and the solver's last iterations in float32 are not worth a printed line each.
    base = base.tree_replace({"opt._impl.warn_overflow": 0})

    @jax.custom_batching.custom_vmap
    def batched(state: PhysicsState, ctrl: jax.Array, world: World) -> PhysicsState:
        envs = ctrl.shape[0]
        empty = mjx.make_data(native, impl="warp", naconmax=contacts * envs, njmax=rows)

        def one(state: PhysicsState, ctrl: jax.Array, world: World) -> tuple[PhysicsState, jax.Array]:
            model, data = _inputs(base, empty, scene, state, ctrl, world)

            def substep(_, carry: tuple[mjx.Data, jax.Array]) -> tuple[mjx.Data, jax.Array]:
                data, most = carry
                data = mjx.step(model, data)
                counts = data._impl.nacon, data._impl.ncollision, data._impl.nefc
                return data, jnp.maximum(most, jnp.stack([jnp.max(count) for count in counts]))

            data, most = jax.lax.fori_loop(0, substeps, substep, (data, jnp.zeros(3, jnp.int32)))
            return _outputs(state, data), most

        with jax.numpy_rank_promotion("allow"):
            after, most = jax.vmap(one)(state, ctrl, world)
        most = jnp.max(most, axis=0)
        used = jnp.stack([jnp.maximum(most[0], most[1]), most[2]])
        over = (used[0] > contacts * envs) | (used[1] > rows)
        jax.lax.cond(over, lambda: jax.debug.callback(_raise_overflow, used, envs, contacts, rows), lambda: None)
        return after

    @batched.def_vmap
    def fold(axis_size: int, is_batched: tuple, *inputs: tuple) -> tuple[PhysicsState, PhysicsState]:
        whole = jax.tree.map(
            lambda x, b: x if b else jnp.broadcast_to(x, (axis_size, *x.shape)), inputs, tuple(is_batched)
        )
        inner = whole[1].shape[1]
        after = batched(*jax.tree.map(lambda x: x.reshape(axis_size * inner, *x.shape[2:]), whole))
        after = jax.tree.map(lambda x: x.reshape(axis_size, inner, *x.shape[1:]), after)
        return after, jax.tree.map(lambda _: True, after)

    def step(state: PhysicsState, ctrl: jax.Array, world: World) -> PhysicsState:
        after = batched(*jax.tree.map(lambda x: jnp.asarray(x)[None], (state, ctrl, world)))
        return jax.tree.map(lambda x: x[0], after)

    return step


def _raise_overflow(used: jax.Array, envs: int, contacts: int, rows: int) -> None:
    needed = math.ceil(int(used[0]) / envs)
    raise RuntimeError(
        f"MJX-Warp ran out of room and dropped contacts: {int(used[0])} contacts in {envs} environments (naconmax is "
        f"{contacts * envs}) and {int(used[1])} constraint rows in one (njmax is {rows}); set CONTACTS_PER_ENV to at "
        f"least {needed} and ROWS_PER_ENV to at least {int(used[1])} in physics/mjx.py"
    )


def _inputs(
    model: mjx.Model, data: mjx.Data, scene: Scene, state: PhysicsState, ctrl: jax.Array, world: World
) -> tuple[mjx.Model, mjx.Data]:
    """Puts one environment's world into the model and its state into the data."""
    new = {}
    for name, value in worlds.model_fields(world, scene.hand).items():
        if name in _STATIC:
            continue
        old = jnp.asarray(model.opt.gravity if name == "opt.gravity" else getattr(model, name))
        part = old.at[scene.rows[name]]
        new[name] = part.set(value.reshape(part.get().shape))  # Warp keeps boxes as (2, 3), the others as (6,)
    push = jnp.zeros_like(data.xfrc_applied).at[scene.object_body, :3].set(world.push)
    data = data.replace(qpos=state.qpos, qvel=state.qvel, qacc_warmstart=state.warmstart, ctrl=ctrl, xfrc_applied=push)
    return model.tree_replace(new), data


def _outputs(state: PhysicsState, data: mjx.Data) -> PhysicsState:
    return state.replace(
        qpos=data.qpos,
        qvel=data.qvel,
        warmstart=data.qacc_warmstart,
        torque=data.actuator_force,
        touch=data.sensordata,
    )
