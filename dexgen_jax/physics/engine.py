"""Engine: a simulator as one pure function `step(state, ctrl, world) -> state` of plain arrays, written for one
environment and vmapped by the caller.

The same program runs on every backend: MuJoCo C on a thread pool (`native`), MJX-JAX (`mjx`), MJX-Warp (`warp`).
"""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Sequence

import chex
import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics import native
from dexgen_jax.physics import scene as scenes
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.scene import Scene
from dexgen_jax.physics.state import BLOWN_UP, PhysicsState
from dexgen_jax.physics.world import World

BACKENDS = ("auto", "native", "mjx", "warp")
CONTROL_HZ = 10.0  # the paper's 1e10 transitions in 31.7 years are exactly 0.1 s each
SUBSTEPS = round(1 / (CONTROL_HZ * scenes.TIMESTEP))
_QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Engine:
    """A simulator for one hand and one set of objects; `advance` is the backend's step."""

    name: str
    scene: Scene
    objects: ObjectParams  # (N, ...) the objects, packed into the scene's slots
    advance: Callable[[PhysicsState, jax.Array, World], PhysicsState]

    @property
    def hand(self) -> Hand:
        return self.scene.hand

    @property
    def compiler_options(self) -> dict[str, bool | int] | None:
        """For the `jax.jit` of a program that mostly simulates: a third of the time to compile, as fast to run.

        On a CPU, MuJoCo C is compiled already, and what XLA adds around it is little. Networks do gain from XLA's
        optimisations: a training, and help by the controller, want to be compiled without these options.
        """
        return dict(_QUICKLY) if self.name == "native" and jax.default_backend() == "cpu" else None

    def init(self, qpos: jax.Array) -> PhysicsState:
        """A simulation at rest at `qpos` (n + 7,): joints, object position, object quaternion."""
        model = self.scene.model
        chex.assert_shape(qpos, (model.nq,))
        qpos = jnp.asarray(qpos, jnp.float32)  # as every engine gives it back, under JAX_ENABLE_X64 too
        rest = jnp.zeros(model.nv, qpos.dtype)
        return PhysicsState(
            qpos=qpos,
            qvel=rest,
            warmstart=rest,
            torque=jnp.zeros(model.nu, qpos.dtype),
            touch=jnp.zeros(model.nsensordata, qpos.dtype),
            finite=jnp.isfinite(qpos).all(),
            steps=jnp.zeros((), jnp.int32),
        )

    def step(self, state: PhysicsState, ctrl: jax.Array, world: World) -> PhysicsState:
        """Advances one control step (0.1 s) with joint targets `ctrl` (n,) [rad] held constant."""
        chex.assert_shape(ctrl, (self.scene.model.nu,))
        after = self.advance(state, ctrl, world)
        # Also False for NaN. A simulation on its way out would otherwise leave huge rewards before it is seen.
        sound = (jnp.abs(after.qpos) < BLOWN_UP).all() & (jnp.abs(after.qvel) < BLOWN_UP).all()
        return after.replace(finite=sound, steps=state.steps + 1)

    def object(self, index: jax.Array) -> ObjectParams:
        """The parameters of object `index` () of this engine."""
        return jax.tree.map(lambda field: jnp.asarray(field)[index], self.objects)

    def model(self, index: int = 0) -> mujoco.MjModel:
        """The hand with object number `index` in a world without randomisation, to draw or to inspect it."""
        return scenes.model_of(self.scene, self._nominal_fields(index))

    @functools.cached_property
    def _nominal_fields(self) -> Callable[[int], dict[str, jax.Array]]:
        return jax.jit(lambda index: worlds.model_fields(worlds.nominal(self.object(index)), self.hand))


def make(hand: Hand, objects: Sequence[ObjectParams], backend: str = "auto", threads: int = 0) -> Engine:
    """Builds an engine whose environments may hold any of `objects`, or of their images if the hand is an image.

    `backend` 'auto' takes native on a CPU, warp on an NVIDIA GPU and mjx elsewhere; `threads` 0 means all cores.
    Raises ValueError for a backend that is unknown or not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"no physics backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    if backend == "auto":
        backend = {"cpu": "native", "gpu": "warp"}.get(jax.default_backend(), "mjx")
    if backend == "warp" and importlib.util.find_spec("warp") is None:
        raise ValueError("physics backend 'warp' is not installed: pip install 'dexgen_jax[warp]', or choose mjx")
    objects = shapes.as_held(objects, hand.name)
    static_kinds = backend != "native"
    slot_kinds = shapes.layout(objects, static_kinds)
    scene = scenes.build(hand, slot_kinds)
    packed = jax.tree.map(np.asarray, shapes.stack(objects, slot_kinds, static_kinds))
    if backend == "native":
        return Engine(backend, scene, packed, native.advance(scene, SUBSTEPS, threads))
    from dexgen_jax.physics import mjx  # here, for it takes seconds to import and a CPU does without

    advance = {"mjx": mjx.advance_jax, "warp": mjx.advance_warp}[backend]
    return Engine(backend, scene, packed, advance(scene, SUBSTEPS))
