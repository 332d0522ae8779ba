"""Free motion: no object; the fingers follow smooth random joint targets. Nothing to learn: `follow` is the expert.

Source: arXiv:2502.04307, section III-B: free finger motion is part of the data. A target goes from posture to posture
along minimum-jerk lines, which start and end at rest. The object is switched off and parked out of sight.
"""

import dataclasses

import jax
import jax.numpy as jnp
from brax.envs.base import State

from dexgen_jax.defaults import require
from dexgen_jax.envs import randomization, restarts
from dexgen_jax.envs.hand_task import HandTask, narrow
from dexgen_jax.envs.randomization import RandomizationConfig
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.state import PhysicsState

_PARKED = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)  # m and w x y z, palm frame


@dataclasses.dataclass(frozen=True)
class FreeMotionConfig:
    """The task."""

    action_scale: float = 0.15  # rad of joint target per control step at |action| = 1
    episode_steps: int = 200  # control steps of 0.1 s until truncation
    seconds: tuple[float, float] = (0.8, 2.5)  # s from one posture to the next, drawn uniformly
    reach: float = 0.8  # share of each joint's range, around its middle, that postures are drawn from
    tolerance: float = 0.15  # rad rms within which a posture must be reached at its time to count as a goal
    randomization: RandomizationConfig = RandomizationConfig()

    def __post_init__(self) -> None:
        require(self, counts="episode_steps", positive="action_scale tolerance", shares="reach")


class FreeMotion(HandTask):
    """Brax environment; the reward is minus the rms distance [rad] of the joints from the line they should be on."""

    config: FreeMotionConfig

    def reset(self, rng: jax.Array) -> State:
        """The hand at the joints of a random grasp of the library, whose object is not there."""
        key_row, key_world, key_begin, key_next = jax.random.split(rng, 4)
        library, zero = self.library, jnp.zeros(())
        row = library.draw_start(key_row)
        thing = self.engine.object(library.object_index[row])
        world = randomization.sample_world(key_world, thing, self.config.randomization)
        world = world.replace(object=thing.replace(on=jnp.zeros_like(thing.on)))
        q = library.q[row]
        physics, info = self._begin(key_begin, q, q, jnp.asarray(_PARKED), world)
        # Targets start where the joints are, so the hand is at rest.
        info |= {"goal": row, "target": info["q"], **self._next(key_next, info["q"])}
        metrics = dict.fromkeys(("success", "drop", "blown_up"), zero)
        return narrow(State(physics, self._observe(physics, info), zero, zero, metrics, restarts.remember(info)))

    def step(self, state: State, action: jax.Array) -> State:
        """Moves the joint targets by `action` (n,) in [-1, 1] times `action_scale` and simulates 0.1 s."""
        info = restarts.recall(state)
        key_move, key_next, rng = jax.random.split(info["rng"], 3)
        physics, info = self._move(key_move, state.pipeline_state, info, action)
        physics = self._park(physics)
        info |= {"elapsed": info["elapsed"] + 1 / CONTROL_HZ}
        arrived = info["elapsed"] >= info["duration"] - 1e-3
        off = jnp.sqrt(jnp.mean((physics.joints(self.hand) - line(info, 0.0)) ** 2))
        success = arrived & (off < self.config.tolerance)
        then = self._next(key_next, info["destination"])
        info |= {name: jnp.where(arrived, value, info[name]) for name, value in then.items()}
        over = ~physics.finite
        info |= {
            "rng": rng,
            "goals": info["goals"] + success,
            "truncation": self._late(info, over),
            **self._views(physics, info["world"]),
        }
        blown_up = 1.0 - physics.finite
        metrics = {"success": success.astype(jnp.float32), "drop": jnp.zeros(()), "blown_up": blown_up}
        return narrow(state.replace(
            pipeline_state=physics, obs=self._observe(physics, info), reward=-off, done=blown_up, metrics=metrics,
            info=info,
        ))  # fmt: skip

    def _park(self, physics: PhysicsState) -> PhysicsState:
        """The object neither falls nor turns: in 20 s it would be 2 km away."""
        n = self.hand.num_joints
        return physics.replace(
            qpos=physics.qpos.at[n:].set(jnp.asarray(_PARKED)),
            qvel=physics.qvel.at[n:].set(0.0),
            warmstart=physics.warmstart.at[n:].set(0.0),
        )

    def _next(self, key: jax.Array, here: jax.Array) -> dict[str, jax.Array]:
        """A line from `here` (n,) to the next posture: where it comes from and goes to, and how long it takes."""
        key_place, key_seconds = jax.random.split(key)
        middle, half = 0.5 * (self.hand.upper + self.hand.lower), 0.5 * (self.hand.upper - self.hand.lower)
        place = jax.random.uniform(key_place, here.shape, minval=-1.0)
        low, high = self.config.seconds
        return {
            "origin": here,
            "destination": middle + self.config.reach * half * place,
            "elapsed": jnp.zeros(()),
            "duration": jax.random.uniform(key_seconds, minval=low, maxval=high),
        }

    def _observe(self, physics: PhysicsState, info: dict) -> dict[str, jax.Array]:
        """First what `follow` does, then joints and targets."""
        wanted = (line(info, 1 / CONTROL_HZ) - info["target"]) / self.config.action_scale
        seen = jnp.concatenate([wanted, info["reading"], info["target"] - info["reading"]])
        return {"state": seen, "privileged_state": jnp.concatenate([seen, physics.qvel[: self.hand.num_joints]])}


def line(info: dict, ahead: float) -> jax.Array:
    """Where the joints (n,) [rad] should be `ahead` [s] from now, on a line of minimum jerk.

    Source: Flash and Hogan 1985, doi:10.1523/JNEUROSCI.05-07-01688.1985.
    """
    s = jnp.clip((info["elapsed"] + ahead) / info["duration"], 0.0, 1.0)
    share = s**3 * (10 - 15 * s + 6 * s**2)
    return info["origin"] + share * (info["destination"] - info["origin"])


def follow(obs: dict[str, jax.Array], key: jax.Array | None = None) -> jax.Array:
    """The expert: the action (..., n) that sets the joint targets to the line's next place."""
    del key  # a policy's signature
    wanted = obs["state"].shape[-1] // 3
    return jnp.clip(obs["state"][..., :wanted], -1.0, 1.0)
