"""The experiment: an operator holds and turns objects, alone or with the controller's help, and drops are counted.

All rows see the same starts, gravity and goals: an environment's randomness is its own, whoever acts in it, until a
drop brings a fresh grasp.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State
from flax import struct

from dexgen_jax.controller import commands, controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.evaluation import intervals
from dexgen_jax.evaluation.operators import Operator
from dexgen_jax.experts import rollout
from dexgen_jax.experts.rollout import Policy
from dexgen_jax.objects.shapes import ObjectParams


@dataclasses.dataclass(frozen=True)
class Helper:
    """What stands between an operator and the hand; both functions are for one environment."""

    reset: Callable[[jax.Array, jax.Array], Any]  # joints (n,) [rad], their targets (n,) [rad] -> its memory
    # memory, joints (n,), targets (n,), commanded joints (n,) [rad], alpha (), key -> joint targets (n,), memory
    act: Callable[..., tuple[jax.Array, Any]]


def controller_helper(model: Model, weights: Weights, mode: int, settings: controller.Settings) -> Helper:
    """The guided controller: commanded joints become commanded keypoint offsets, and it samples a motion near them."""

    def act(memory: controller.State, q, target, command, alpha, key) -> tuple[jax.Array, controller.State]:
        asked = commands.joints(model.hand, q, command)
        aim, memory, _ = controller.act(
            model, weights, memory, q, target, asked, jnp.int32(mode), alpha, key, settings=settings
        )
        return aim, memory

    return Helper(functools.partial(controller.reset, model), act)


@struct.dataclass
class Tally:
    """What happened in each environment, (environments,) int32."""

    drops: jax.Array
    goals: jax.Array
    blown_up: jax.Array  # drops among these were made by the simulator, not by the hand


@struct.dataclass
class Trace:
    """What a film needs of a few environments; fields (steps, environments, ...), read before each action."""

    q: jax.Array  # (..., n) rad
    object_pose: jax.Array  # (..., 7) m and w x y z, palm frame
    goal_pose: jax.Array  # (..., 7)
    gravity: jax.Array  # (..., 3) m/s2, palm frame
    object: ObjectParams
    drops: jax.Array  # (...) bool: this step's action lost the object
    goals: jax.Array  # (...) bool


def simulate(env: Env, policy: Policy, operator: Operator, key: jax.Array, num_envs: int, steps: int, num_traced: int,
             helper: Helper | None = None, alpha: jax.Array | float = 0.0,
             sensor: str = "reading") -> tuple[Tally, Trace]:
    """Runs one row: `operator` spoils `policy` (batched) in `num_envs` environments for `steps` control steps.

    With `helper` the operator's action only commands: joint targets as they would become, which the helper turns into
    the joint targets that are set, guided with strength `alpha` [1/m^2]. Both read the joints as `info[sensor]`.
    """
    key_start, key_steps = jax.random.split(key)
    scale, lower, upper = env.config.action_scale, env.hand.lower, env.hand.upper

    def assisted(memory: Any, state: State, wish: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        q, target = state.info[sensor], state.info["target"]
        command = jnp.clip(target + scale * wish, lower, upper)
        aim, memory = helper.act(memory, q, target, command, alpha, key)
        chex.assert_equal_shape([aim, target])
        return (aim - target) / scale, memory

    def begin(state: State) -> Any:
        return helper.reset(state.info[sensor], state.info["target"]) if helper else ()

    def step_one(state: State, memory: Any, wanted: jax.Array, key: jax.Array) -> tuple:
        key_operator, key_helper = jax.random.split(key)
        action = operator.act(wanted, key_operator)
        if helper:
            action, memory = assisted(memory, state, action, key_helper)
        then, reached = rollout.auto_reset_step(env, state, action)
        over = rollout.ended(reached)
        memory = jax.tree.map(lambda new, old: jnp.where(over, new, old), begin(then), memory)
        events = [reached.done > 0, reached.metrics["success"] > 0, reached.metrics["blown_up"] > 0]
        return then, memory, Tally(*(event.astype(jnp.int32) for event in events))

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, Trace]:
        state, memory, tally = carry
        key_policy, key_step = jax.random.split(key)
        wanted = policy(state.obs, key_policy)
        then, memory, new = jax.vmap(step_one)(state, memory, wanted, jax.random.split(key_step, num_envs))
        traced = jax.tree.map(lambda x: x[:num_traced], _view(env, state, new))
        return (then, memory, jax.tree.map(jnp.add, tally, new)), traced

    state = jax.vmap(env.reset)(jax.random.split(key_start, num_envs))
    zeros = Tally(*(jnp.zeros(num_envs, jnp.int32) for _ in range(3)))
    carry = (state, jax.vmap(begin)(state), zeros)
    (_, _, tally), trace = jax.lax.scan(step, carry, jax.random.split(key_steps, steps))
    return tally, trace


def _view(env: Env, state: State, new: Tally) -> Trace:
    info = state.info
    return Trace(
        q=info["q"], object_pose=info["object_pose"], goal_pose=env.library.object_pose[info["goal"]],
        gravity=info["gravity"], object=info["world"].object, drops=new.drops > 0, goals=new.goals > 0,
    )  # fmt: skip


def summarise(
    name: str, alpha: float | None, tally: Tally, seconds_each: float, strength: float | None = None
) -> dict[str, Any]:
    """One row of the table, plain values. `seconds_each` [s] is what each environment was simulated for.

    `alpha` [1/m^2] and `strength` (lambda, unitless) say how much help there was, None for none. `halves` counts drops
    and seconds in the environments of even and of odd number, see `compare`.
    """
    drops, goals = np.asarray(tally.drops), np.asarray(tally.goals)
    seconds = len(drops) * seconds_each
    per_minute = intervals.rate(int(goals.sum()), seconds / 60)
    halves = [{"drops": int(drops[i::2].sum()), "seconds": len(drops[i::2]) * seconds_each} for i in (0, 1)]
    return {
        "operator": name,
        "strength": strength,
        "alpha": alpha,
        "environments": len(drops),
        "seconds": seconds,
        "drops": int(drops.sum()),
        "goals": int(goals.sum()),
        "hold_time": dataclasses.asdict(intervals.hold_time(int(drops.sum()), seconds)),
        "goals_per_minute": dataclasses.asdict(per_minute),
        "dispersion": intervals.dispersion(drops),
        "blown_up": int(np.asarray(tally.blown_up).sum()),
        "halves": halves,
    }


def compare(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the help was worth to one operator: `rows` are its own, `strength` None without help.

    The best strength is chosen by drops in the even environments, among those above 0 (at 0 the operator is not
    heard), and the ratio of hold times is measured in the odd ones: choosing and measuring on the same drops would
    flatter it.
    """
    alone = next(row for row in rows if row["strength"] is None)
    helped = [row for row in rows if row["strength"]]
    best = min(helped, key=lambda row: row["halves"][0]["drops"] / row["halves"][0]["seconds"])
    own, reference = best["halves"][1], alone["halves"][1]
    ratio = intervals.hold_time_ratio(own["drops"], own["seconds"], reference["drops"], reference["seconds"])
    return {
        "best_strength": best["strength"],
        "best_alpha": best["alpha"],
        "chosen": "fewest drops in the even environments; the ratio is of the odd ones",
        "assisted_over_unassisted": dataclasses.asdict(ratio),
        "unassisted": {name: alone[name] for name in ("drops", "hold_time", "goals_per_minute")},
        "assisted": {name: best[name] for name in ("drops", "hold_time", "goals_per_minute")},
    }
