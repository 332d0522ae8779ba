"""A task with the Brax API that a policy learns in seconds: walk a point to a place it is shown, avoid the fence."""

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State


class Walk(Env):
    """Reward is how much nearer a step came; beyond 2 m the episode terminates, after `episode_steps` it is cut."""

    def __init__(self, episode_steps: int = 12):
        self.episode_steps = episode_steps

    action_size, backend = 2, "toy"
    observation_size = {"state": (4,), "privileged_state": (5,)}

    def reset(self, rng: jax.Array) -> State:
        key_goal, key_start, rng = jax.random.split(rng, 3)
        place = jax.random.uniform(key_start, (2,), minval=-1.0)
        info = {
            "rng": rng,
            "goal": jax.random.uniform(key_goal, (2,), minval=-1.0),
            "age": jnp.zeros((), jnp.int32),
            "truncation": jnp.zeros(()),
        }
        zero = jnp.zeros(())
        return State(place, self._observe(place, info), zero, zero, {"drop": zero}, info)

    def step(self, state: State, action: jax.Array) -> State:
        info, before = state.info, state.pipeline_state
        rng, key = jax.random.split(info["rng"])
        place = before + 0.2 * jnp.clip(action, -1, 1) + 0.01 * jax.random.normal(key, (2,))
        nearer = jnp.linalg.norm(info["goal"] - before) - jnp.linalg.norm(info["goal"] - place)
        drop = (jnp.linalg.norm(place) > 2.0).astype(jnp.float32)
        age = info["age"] + 1
        info = info | {"rng": rng, "age": age, "truncation": (age >= self.episode_steps) * (1.0 - drop)}
        return state.replace(
            pipeline_state=place,
            obs=self._observe(place, info),
            reward=10 * nearer,
            done=drop,
            metrics={"drop": drop},
            info=info,
        )

    def _observe(self, place: jax.Array, info: dict) -> dict[str, jax.Array]:
        seen = jnp.concatenate([place, info["goal"]])
        return {"state": seen, "privileged_state": jnp.append(seen, info["age"] / self.episode_steps)}


class Point(Env):
    """A point on a line has to reach 0; the reward is minus its squared distance. The best policy is known."""

    episode_steps, reach = 8, 0.2
    action_size, backend = 1, "toy"
    observation_size = {"state": (1,), "privileged_state": (2,)}

    def reset(self, rng: jax.Array) -> State:
        key, rng = jax.random.split(rng)
        place, zero = jax.random.uniform(key, (1,), minval=-1.0), jnp.zeros(())
        info = {"rng": rng, "age": jnp.zeros((), jnp.int32), "truncation": zero}
        return State(place, self._observe(place, info), zero, zero, {"drop": zero}, info)

    def step(self, state: State, action: jax.Array) -> State:
        place, age = state.pipeline_state + self.reach * jnp.clip(action, -1, 1), state.info["age"] + 1
        info = state.info | {"age": age, "truncation": (age >= self.episode_steps).astype(jnp.float32)}
        return state.replace(pipeline_state=place, obs=self._observe(place, info), reward=-(place[0] ** 2), info=info)

    def best(self, place: jax.Array) -> jax.Array:
        """The most that `episode_steps` from `place` () can earn: full steps, then stay at 0."""
        steps = jnp.arange(1, self.episode_steps + 1)
        return -jnp.sum(jnp.maximum(jnp.abs(place) - self.reach * steps, 0.0) ** 2)

    def _observe(self, place: jax.Array, info: dict) -> dict[str, jax.Array]:
        return {"state": place, "privileged_state": jnp.append(place, info["age"] / self.episode_steps)}
