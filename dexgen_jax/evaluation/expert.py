"""How good an expert is: goals a minute and hold time, split by object and by gravity, and where its minutes go.

Yardsticks that learned nothing stand beside it, in the same starts: a still hand, random motion, and joints that go
straight to the goal's. All of them run in one compiled program.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State
from flax import struct

from dexgen_jax.envs import observations
from dexgen_jax.evaluation import intervals
from dexgen_jax.evaluation import tries as all_tries
from dexgen_jax.experts import rollout
from dexgen_jax.experts.networks import Expert
from dexgen_jax.grasps.library import GraspLibrary
from dexgen_jax.hand import kinematics
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.world import PALM_UP

Actor = Callable[[State, jax.Array], jax.Array]  # (batch of states, key) -> actions

SECTORS = {"palm up": (0.0, 60.0), "sideways": (60.0, 120.0), "palm down": (120.0, 180.1)}  # degrees from palm-up


@struct.dataclass
class Events:
    """What each control step saw and did, fields (steps, environments)."""

    goal: jax.Array  # bool, a goal was reached
    drop: jax.Array  # bool
    blown_up: jax.Array  # bool, the drop was the simulator's
    ended: jax.Array  # bool, by a drop or by the time limit
    given_up: jax.Array  # bool, the goal was not reached in its time
    object: jax.Array  # int32
    angle: jax.Array  # degrees between gravity and palm-up's
    goal_age: jax.Array  # int32, control steps since the goal was set, this one included
    asked: jax.Array  # (..., 3) how far the goal was when it was set: m, rad, rad rms
    left: jax.Array  # (..., 3) how far it is now
    tip_speed: jax.Array  # m/s, mean over the fingertips
    turning: jax.Array  # speed of turning over the commanded one: 1 as asked, -1 the other way; 0 in other tasks
    command: jax.Array  # rad/s, the commanded speed, negative the other way about the axis; 0 in other tasks


def actors(env: Env, expert: Expert) -> dict[str, Actor]:
    """The expert, deterministic, and what it is measured against."""

    shape = lambda state: state.info["target"].shape
    return {
        "expert": lambda state, key: expert.act(state.obs),
        "zero action": lambda state, key: jnp.zeros(shape(state)),
        "random": lambda state, key: jax.random.uniform(key, shape(state), minval=-1.0),
        "straight to the goal's joints": lambda state, key: env.toward_grasp(state.info),
    }


def simulate(env: Env, choices: Sequence[Actor], which: jax.Array, key: jax.Array, num_envs: int, steps: int) -> Events:
    """Runs the actor of number `which` () in `num_envs` environments for `steps` control steps."""
    key_start, key_steps = jax.random.split(key)

    def far(state: State, goal: jax.Array) -> jax.Array:
        info, library = state.info, env.library
        error = observations.goal_error(info["q"], info["object_pose"], library.q[goal], library.object_pose[goal])
        return jnp.stack(error.sizes())

    def step(carry: tuple[State, jax.Array, jax.Array], key: jax.Array) -> tuple[tuple, Events]:
        state, age, asked = carry
        action = jnp.clip(jax.lax.switch(which, choices, state, key), -1.0, 1.0)
        then, reached = jax.vmap(lambda s, a: rollout.auto_reset_step(env, s, a))(state, action)
        goal, over = reached.metrics["success"] > 0, rollout.ended(reached)
        given_up = reached.metrics["given_up"] > 0 if "given_up" in reached.metrics else jnp.zeros_like(goal)
        up = jnp.asarray(PALM_UP) / jnp.linalg.norm(jnp.asarray(PALM_UP))
        gravity = state.info["gravity"]
        cosine = gravity @ up / jnp.linalg.norm(gravity, axis=-1)
        events = Events(
            goal=goal, drop=reached.done > 0, blown_up=reached.metrics["blown_up"] > 0, ended=over,
            given_up=given_up, object=env.library.object_index[state.info["goal"]],
            goal_age=age + 1, asked=asked, left=jax.vmap(far)(reached, state.info["goal"]),
            angle=jnp.degrees(jnp.arccos(jnp.clip(cosine, -1.0, 1.0))),
            tip_speed=_tip_speed(env, state.info["q"], reached.info["q"]), turning=_turning(state, reached),
            command=state.info.get("command", jnp.zeros_like(reached.reward)),
        )  # fmt: skip
        new = goal | over | given_up
        asked = jnp.where(new[:, None], jax.vmap(far)(then, then.info["goal"]), asked)
        return (then, jnp.where(new, 0, age + 1), asked), events

    state = jax.vmap(env.reset)(jax.random.split(key_start, num_envs))
    carry = (state, jnp.zeros(num_envs, jnp.int32), jax.vmap(far)(state, state.info["goal"]))
    return jax.lax.scan(step, carry, jax.random.split(key_steps, steps))[1]


def _tip_speed(env: Env, before: jax.Array, after: jax.Array) -> jax.Array:
    tips = lambda q: kinematics.keypoints(env.hand, q)[: env.hand.num_tips]
    travel = jax.vmap(tips)(after) - jax.vmap(tips)(before)
    return jnp.linalg.norm(travel, axis=-1).mean(-1) * CONTROL_HZ


def _turning(state: State, reached: State) -> jax.Array:
    if "command" not in state.info:  # of fine rotation, rad/s
        return jnp.zeros_like(reached.reward)
    return reached.metrics["turned"] * CONTROL_HZ / jnp.abs(state.info["command"])


def summarise(events: Events, object_names: Sequence[str], tolerances: Sequence[float] | None = None) -> dict[str, Any]:
    """One policy's figures, plain values, with 95% intervals; groups in which nothing happened are left out.

    `tolerances` (3,) [m, rad, rad rms] are those of the task's goals, if they are held places.
    """
    events = jax.tree.map(np.asarray, events)
    by_object = {name: events.object == i for i, name in enumerate(object_names)}
    by_gravity = {name: (low <= events.angle) & (events.angle < high) for name, (low, high) in SECTORS.items()}
    by_direction = {"forward": events.command > 0, "backward": events.command < 0}  # in fine rotation
    return {
        **_row(events, np.ones_like(events.goal)),
        "tip_speed": float(events.tip_speed.mean()),
        "blown_up": int(events.blown_up.sum()),
        "dispersion": intervals.dispersion(events.drop.sum(0)),
        "by_object": {name: _row(events, group) for name, group in by_object.items() if group.any()},
        "by_gravity": {name: _row(events, group) for name, group in by_gravity.items() if group.any()},
        "by_direction": {name: _row(events, group) for name, group in by_direction.items() if group.any()},
        "tries": _tries(events, object_names, tolerances),
    }


def _tries(events: Events, object_names: Sequence[str], tolerances: Sequence[float] | None) -> dict[str, Any]:
    found = all_tries.collect(events)
    families = np.array([name.split("_")[0] for name in object_names])[found.object]
    groups = {
        "family": {str(name): families == name for name in dict.fromkeys(families)},
        "gravity": {name: (low <= found.angle) & (found.angle < high) for name, (low, high) in SECTORS.items()},
    }
    return all_tries.summarise(found, groups, tolerances) if len(found) else {}


def graph_quantiles(library: GraspLibrary) -> dict[str, dict[str, float]]:
    """Quantiles of how far the goals of a library are from the grasps they are goals of, see `tries`."""

    @jax.jit
    def sizes(start: jax.Array, goal: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        error = jax.vmap(observations.goal_error)(
            library.q[start], library.object_pose[start], library.q[goal], library.object_pose[goal]
        )
        return jax.vmap(observations.GoalError.sizes)(error)

    return all_tries.graph_quantiles(library, sizes)


def _row(events: Events, group: np.ndarray) -> dict[str, Any]:
    """Rates over the control steps of a group (steps, environments)."""
    seconds, goals, drops = group.sum() / CONTROL_HZ, int(events.goal[group].sum()), int(events.drop[group].sum())
    row = {
        "seconds": float(seconds),
        "goals": goals,
        "drops": drops,
        "goals_per_minute": dataclasses.asdict(intervals.rate(goals, seconds / 60)),
        "hold_time": dataclasses.asdict(intervals.hold_time(drops, seconds)),
    }
    if events.command.any():  # the share of the commanded speed that was achieved
        turned = np.where(group, events.turning, 0.0).sum(0)
        row["turn_rate"] = dataclasses.asdict(intervals.paired_ratio(turned, group.sum(0)))
    return row


def compare(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The expert's goals a minute over those of the best baseline, and whether their intervals are apart."""
    best = max((name for name in rows if name != "expert"), key=lambda name: rows[name]["goals_per_minute"]["value"])
    own, other = rows["expert"]["goals_per_minute"], rows[best]["goals_per_minute"]
    ratio = own["value"] / other["value"] if other["value"] > 0 else float("inf")
    return {"best_baseline": best, "goals_over_best": ratio, "intervals_apart": own["low"] > other["high"]}
