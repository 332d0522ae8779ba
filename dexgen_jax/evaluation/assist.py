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

from dexgen_jax.controller import commands, controller, listening
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.evaluation import intervals
from dexgen_jax.evaluation.operators import Memory, Operator
from dexgen_jax.experts import rollout
from dexgen_jax.experts.rollout import Policy
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics.engine import CONTROL_HZ

ALONE, LOW_PASSED, TURNED_DOWN, CONTROLLER = HELPERS = ("alone", "low-passed", "turned down", "controller")
WINDOWS = (0.1, 0.5, 1.0, 2.0)  # s, over which following is measured


@dataclasses.dataclass(frozen=True)
class Helper:
    """What stands between an operator and the hand; both functions are for one environment."""

    reset: Callable[[jax.Array, jax.Array], Any]  # joints (n,) [rad], their targets (n,) [rad] -> its memory
    # memory, joints (n,), targets (n,), commanded joints (n,) [rad], strength (), key -> joint targets (n,), memory
    act: Callable[..., tuple[jax.Array, Any]]


def controller_helper(model: Model, weights: Weights, mode: int, settings: controller.Settings) -> Helper:
    """The guided controller: commanded joints become commanded keypoint offsets, and it samples a motion near them."""

    def act(memory: controller.State, q, target, command, strength, key) -> tuple[jax.Array, controller.State]:
        asked = commands.joints(model.hand, target, command)
        tick = TickInput(q=q, target=target, command=asked, mode=jnp.int32(mode), strength=strength, key=key)
        aim, memory, _ = controller.act(model, weights, memory, tick, settings)
        return aim, memory

    return Helper(functools.partial(controller.reset, model), act)


def low_pass(share: float = 0.3, gain: float = 1.5) -> Helper:
    """Help without any controller: `gain` times the running mean of the wishes, in which a new one counts `share`."""

    def act(mean: jax.Array, q, target, command, strength, key) -> tuple[jax.Array, jax.Array]:
        mean = (1 - share) * mean + share * (command - target)
        return target + gain * mean, mean

    return Helper(lambda q, target: jnp.zeros_like(target), act)


def turn_down(config: ListeningConfig) -> Helper:
    """Help without any controller: of each wish the share that listening leaves of it if one's own is to keep still.

    What the learned motions are worth is what the controller does better than this.
    """

    def act(state: tuple[jax.Array, jax.Array], q, target, command, strength, key) -> tuple[jax.Array, tuple]:
        (wish, doubt), everywhere = state, jnp.ones_like(target)
        doubt = listening.doubt(config, doubt, command, target, everywhere)
        expected = target + config.persistence * wish
        aim = listening.weigh(expected, command, listening.precision(config, doubt), everywhere)
        return aim, (aim - target, doubt)

    return Helper(lambda q, target: (jnp.zeros_like(target), jnp.ones((), jnp.float32)), act)


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
    # Changes of the joint targets, (..., n) rad: what the clean expert wanted, what the operator asked, what was done.
    wanted: jax.Array
    asked: jax.Array
    done: jax.Array


def simulate(
    env: Env,
    policy: Policy,
    operator: Operator,
    key: jax.Array,
    num_envs: int,
    steps: int,
    num_traced: int,
    helper: Helper | None = None,
    strength: jax.Array | float = 0.0,
    sensor: str = "reading",
) -> tuple[Tally, Trace]:
    """Runs one row: `operator` spoils `policy` (batched) in `num_envs` environments for `steps` control steps.

    With `helper` the operator's action only commands: joint targets as they would become, which the helper turns into
    the joint targets that are set, listening with `strength` (unitless). Both read the joints as `info[sensor]`.
    """
    key_start, key_steps = jax.random.split(key)
    scale, lower, upper = env.config.action_scale, env.hand.lower, env.hand.upper

    def change(target: jax.Array, action: jax.Array) -> jax.Array:
        """What an action would make of the joint targets (n,) [rad], within their limits."""
        return jnp.clip(target + scale * jnp.clip(action, -1, 1), lower, upper) - target

    def assisted(memory: Any, state: State, wish: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        assert helper is not None
        q, target = state.info[sensor], state.info["target"]
        command = target + change(target, wish)
        aim, memory = helper.act(memory, q, target, command, strength, key)
        chex.assert_equal_shape([aim, target])
        return (aim - target) / scale, memory

    def begin(state: State) -> tuple[Memory, Any]:
        helped = helper.reset(state.info[sensor], state.info["target"]) if helper else ()
        return operator.reset(env.action_size), helped

    def step_one(state: State, memory: tuple[Memory, Any], wanted: jax.Array, key: jax.Array) -> tuple:
        key_operator, key_helper = jax.random.split(key)
        asking, helping = memory
        asked, asking = operator.act(asking, wanted, key_operator)
        action = asked
        if helper:
            action, helping = assisted(helping, state, asked, key_helper)
        then, reached = rollout.auto_reset_step(env, state, action)
        over = rollout.ended(reached)
        memory = jax.tree.map(lambda new, old: jnp.where(over, new, old), begin(then), (asking, helping))
        events = [reached.done > 0, reached.metrics["success"] > 0, reached.metrics["blown_up"] > 0]
        before = state.info["target"]
        changes = {
            "wanted": change(before, wanted),
            "asked": change(before, asked),
            "done": reached.info["target"] - before,
        }
        return then, memory, Tally(*(event.astype(jnp.int32) for event in events)), changes

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, Trace]:
        state, memory, tally = carry
        key_policy, key_step = jax.random.split(key)
        wanted = policy(state.obs, key_policy)
        then, memory, new, changes = jax.vmap(step_one)(state, memory, wanted, jax.random.split(key_step, num_envs))
        traced = jax.tree.map(lambda x: x[:num_traced], _view(env, state, new, changes))
        return (then, memory, jax.tree.map(jnp.add, tally, new)), traced

    state = jax.vmap(env.reset)(jax.random.split(key_start, num_envs))
    zeros = Tally(*(jnp.zeros(num_envs, jnp.int32) for _ in range(3)))
    carry = (state, jax.vmap(begin)(state), zeros)
    (_, _, tally), trace = jax.lax.scan(step, carry, jax.random.split(key_steps, steps))
    return tally, trace


def _view(env: Env, state: State, new: Tally, changes: dict[str, jax.Array]) -> Trace:
    info = state.info
    return Trace(
        q=info["q"], object_pose=info["object_pose"], goal_pose=env.library.object_pose[info["goal"]],
        gravity=info["gravity"], object=info["world"].object, drops=new.drops > 0, goals=new.goals > 0,
        **changes,
    )  # fmt: skip


def following(trace: Trace) -> dict[str, Any]:
    """How well the hand follows, from traces (steps, environments, ...): plain values, None where nothing moved.

    `correlation`: of the changes of joint targets that were made and that the clean expert wanted, summed over windows
    of 0.1, 0.5, 1 and 2 s without a drop. `overruled`: share of the ticks in which the targets moved against the
    command (their product is negative).
    """
    wanted, asked, done = (np.asarray(change, np.float64) for change in (trace.wanted, trace.asked, trace.done))
    spoken = np.any(asked != 0, axis=-1)
    against = np.sum(asked * done, axis=-1) < 0
    correlation = {}
    for seconds in WINDOWS:
        steps = round(seconds * CONTROL_HZ)
        if steps > len(done):
            continue
        sums = [_window_sums(change, steps) for change in (wanted, done)]
        # A window may end with a drop, not go on after it.
        whole = _window_sums(np.asarray(trace.drops, np.float64)[: len(done) - 1], steps - 1) == 0
        pairs = [total[whole].ravel() for total in sums]
        moved = all(len(pair) and pair.std() > 0 for pair in pairs)
        correlation[f"{seconds:g} s"] = float(np.corrcoef(*pairs)[0, 1]) if moved else None
    return {"correlation": correlation, "overruled": float(against[spoken].mean()) if spoken.any() else None}


def _window_sums(values: np.ndarray, steps: int) -> np.ndarray:
    """Sums over `steps` consecutive rows, (rows - steps + 1, ...)."""
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    return total[steps:] - total[: len(total) - steps]


def summarise(
    name: str, tally: Tally, seconds_each: float, helper: str = ALONE, strength: float | None = None
) -> dict[str, Any]:
    """One row of the table, plain values. `seconds_each` [s] is what each environment was simulated for.

    `helper` is one of `HELPERS`, and `strength` how much the controller listened. `halves` counts drops, goals and
    seconds in the environments of even and of odd number, see `compare`.
    """
    drops, goals = np.asarray(tally.drops), np.asarray(tally.goals)
    seconds = len(drops) * seconds_each
    per_minute = intervals.rate(int(goals.sum()), seconds / 60)
    halves = [
        {"drops": int(drops[i::2].sum()), "goals": int(goals[i::2].sum()), "seconds": len(drops[i::2]) * seconds_each}
        for i in (0, 1)
    ]
    return {
        "operator": name,
        "helper": helper,
        "strength": strength,
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
    """What the controller was worth to one operator, whose rows these are.

    The strength is chosen in the even environments: the most goals among those above 0 (at 0 the operator is not
    heard) whose hold time is at least half the best. The ratios are measured in the odd ones: choosing and measuring on
    the same counts would flatter it.
    """
    alone = next(row for row in rows if row["helper"] == ALONE)
    helped = [row for row in rows if row["strength"]]
    even = lambda row: row["halves"][0]
    fewest = min(even(row)["drops"] for row in helped)
    # One drop more on both sides, or a strength without a drop by luck would rule out all others.
    holding = [row for row in helped if even(row)["drops"] + 1 <= 2 * (fewest + 1)]
    best = max(holding, key=lambda row: even(row)["goals"])
    own, reference = best["halves"][1], alone["halves"][1]
    kept = ("drops", "goals", "hold_time", "goals_per_minute")
    ratio = intervals.hold_time_ratio
    held = ratio(own["drops"], own["seconds"], reference["drops"], reference["seconds"])
    # Goals a minute over goals a minute is the same question with the roles exchanged.
    reached = ratio(reference["goals"], reference["seconds"], own["goals"], own["seconds"])
    return {
        "best_strength": best["strength"],
        "chosen": "even environments: the most goals among the strengths that hold at least half as long as the best; "
        "the ratios are of the odd ones",
        "hold_time_ratio": dataclasses.asdict(held),
        "goals_ratio": dataclasses.asdict(reached),
        "alone": {name: alone[name] for name in kept},
        "helped": {name: best[name] for name in kept},
    }
