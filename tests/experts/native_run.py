"""Run by test_native_resume.py: a short training on native physics that kills itself, or goes on from its checkpoint.

Command: python native_run.py FOLDER ITERATIONS [DIE_AFTER]; the last line is a hash of all that the run is.
"""

import hashlib
import os
import signal
import sys

import jax
import numpy as np

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.envs import registry
from dexgen_jax.experts import ppo
from dexgen_jax.experts.networks import ActorCritic, NetworkConfig
from dexgen_jax.grasps import sample
from dexgen_jax.grasps.library import GraspLibrary
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines

CONFIG = ppo.PPOConfig(num_envs=16, unroll_length=4, epochs=2, minibatches=2)


def postures(engine, count=32):
    """Hands about an object: no validated grasps, but physics enough to differ in every bit."""
    found = jax.vmap(sample.cupped, (0, None))(jax.random.split(jax.random.PRNGKey(0), count), engine.hand)
    q, pose = found[:, : engine.hand.num_joints], found[:, engine.hand.num_joints :]
    ring = (np.arange(count)[:, None] + np.arange(1, 5)) % count
    fields = dict(q=q, target=q, object_pose=pose, object_index=np.zeros(count, np.int32), neighbours=ring)
    fields |= {"centre": pose[:, :3].mean(0), "distance": np.ones(ring.shape, np.float32)}
    return fields | {"hand_name": engine.hand.name}


def main(folder, iterations, die_after=0):
    engine = engines.make(allegro.load(), [catalog.load("sphere_64")], "native", threads=2)
    library = jax.tree.map(jax.numpy.asarray, GraspLibrary(**postures(engine)))
    env = registry.make("anygrasp", {"episode_steps": 6}, engine=engine, library=library)
    networks = ActorCritic(NetworkConfig(actor=(16,), critic=(16,)), env.action_size)
    create = jax.jit(lambda: ppo.init(env, networks, CONFIG, jax.random.PRNGKey(0), 6))
    learn, checkpoints = jax.jit(lambda state: ppo.iteration(env, networks, CONFIG, state)[0]), Checkpoints(folder)
    done = checkpoints.latest_step() or 0
    state = checkpoints.restore(jax.eval_shape(create)) if done else create()
    for iteration in range(done + 1, iterations + 1):
        state = jax.block_until_ready(learn(state))
        if iteration == 2:
            checkpoints.save(iteration, state)
        if iteration == die_after:
            os.kill(os.getpid(), signal.SIGKILL)
    leaves = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))
    print(done, hashlib.sha256(leaves).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
