"""MuJoCo C behind `jax.pure_callback`: a thread pool steps a whole batch of environments at each call.

Under `vmap` the callback receives the batch at once, so `jit(vmap(scan(step)))` costs little more than a bare loop in
C. The simulators keep nothing between calls: every field that matters is written before stepping, so the function
is pure and its result does not depend on the number of threads.
"""

import collections
import math
import threading
from collections.abc import Callable

import jax
import numpy as np
from mujoco.batch import Batch

from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.scene import Scene
from dexgen_jax.physics.state import PhysicsState
from dexgen_jax.physics.world import World

_KEPT_BATCHES = 4  # batch sizes whose simulators are kept: training, evaluation, a single environment, ...


def advance(scene: Scene, substeps: int, threads: int) -> Callable[[PhysicsState, jax.Array, World], PhysicsState]:
    """Returns the native `step(state, ctrl, world)` of a scene; `threads` 0 means all cores."""
    simulators = _Simulators(scene, substeps, threads)

    def step(state: PhysicsState, ctrl: jax.Array, world: World) -> PhysicsState:
        shapes = {k: jax.ShapeDtypeStruct(getattr(state, k).shape, np.float32) for k in _Simulators.OUTPUTS}
        fields = worlds.model_fields(world, scene.hand)
        inputs = (state.qpos, state.qvel, state.warmstart, ctrl, world.push)
        out = jax.pure_callback(simulators.run, shapes, inputs, fields, vmap_method="broadcast_all")
        return state.replace(**out)

    return step


class _Simulators:
    """One `mujoco.batch.Batch` per batch size, used by one caller at a time."""

    OUTPUTS = {
        "qpos": "qpos",
        "qvel": "qvel",
        "warmstart": "qacc_warmstart",
        "torque": "actuator_force",
        "touch": "sensordata",
    }

    def __init__(self, scene: Scene, substeps: int, threads: int):
        self.scene, self.substeps, self.threads = scene, substeps, threads
        self.batches: collections.OrderedDict[int, Batch] = collections.OrderedDict()
        self.lock = threading.Lock()  # several devices of one process may call at once; a Batch must not be shared

    def run(self, inputs: tuple, fields: dict) -> dict[str, np.ndarray]:
        """Writes every input, steps, reads every output; leading axes of all arrays are the batch."""
        qpos, qvel, warmstart, ctrl, push = (np.asarray(x) for x in inputs)
        lead = qpos.shape[:-1]
        count = math.prod(lead)
        with self.lock:
            batch = self._batch(count)
            batch.bind("qpos")[:] = qpos.reshape(count, -1)
            batch.bind("qvel")[:] = qvel.reshape(count, -1)
            batch.bind("qacc_warmstart")[:] = warmstart.reshape(count, -1)
            batch.bind("ctrl")[:] = ctrl.reshape(count, -1)
            batch.bind("xfrc_applied")[:, self.scene.object_body, :3] = push.reshape(count, 3)
            for name, value in fields.items():
                value = np.asarray(value)
                batch.expand(name)[self.scene.batch_rows(name)] = value.reshape(count, *value.shape[len(lead) :])
            batch.step(nstep=self.substeps)
            return {
                name: batch.bind(field).astype(np.float32).reshape(*lead, -1) for name, field in self.OUTPUTS.items()
            }

    def _batch(self, count: int) -> Batch:
        batch = self.batches.pop(count, None)
        if batch is None:
            batch = Batch(self.scene.model, nsim=count, nthread=self.threads)
            for field in self.OUTPUTS.values():
                batch.bind(field)
        self.batches[count] = batch
        if len(self.batches) > _KEPT_BATCHES:
            self.batches.popitem(last=False)
        return batch
