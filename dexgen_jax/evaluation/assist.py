"""The experiment: an operator holds and turns objects, alone or with the controller's help, and drops are counted.

All rows see the same starts, gravity and goals: an environment's randomness is its own, whoever acts in it, until a
drop brings a fresh grasp.
"""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State
from flax import struct

from dexgen_jax.evaluation import helping, intervals
from dexgen_jax.evaluation.helping import Helper
from dexgen_jax.evaluation.operators import Memory, Operator
from dexgen_jax.experts import rollout
from dexgen_jax.experts.rollout import Policy
from dexgen_jax.hand import kinematics
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics.engine import CONTROL_HZ

WINDOWS = (0.1, 0.5, 1.0, 2.0)  # s, over which following is measured


@struct.dataclass
class Record:
    """What happened in every control step, fields (steps, environments)."""

    drop: jax.Array  # bool, the object was lost, and a fresh grasp taken
    goal: jax.Array  # bool, a goal was reached
    blown_up: jax.Array  # bool: the drop was the simulator's, not the hand's
    object: jax.Array  # int32, number of the object in the hand
    goal_age: jax.Array  # int32, control steps since the goal was set, this one included
    kept: jax.Array  # m, how far the keypoints that were commanded are from those that were set, mean over keypoints
    intervention: jax.Array  # rad, root mean square over joints of the targets set minus the targets commanded
    jerk: jax.Array  # rad/s3, root mean square over joints of the targets' third difference


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
) -> tuple[Record, Trace]:
    """Runs one row: `operator` spoils `policy` (batched) in `num_envs` environments for `steps` control steps.

    With `helper` the operator's action only commands: joint targets as they would become, which the helper turns into
    the joint targets that are set, listening with `strength` (unitless). Both read the joints with the sensors' noise.
    """
    key_start, key_steps = jax.random.split(key)
    scale, lower, upper = env.config.action_scale, env.hand.lower, env.hand.upper

    def change(target: jax.Array, action: jax.Array) -> jax.Array:
        """What an action would make of the joint targets (n,) [rad], within their limits."""
        return jnp.clip(target + scale * jnp.clip(action, -1, 1), lower, upper) - target

    def assisted(memory: Any, state: State, wish: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
        assert helper is not None
        q, target = state.info["reading"], state.info["target"]
        command = target + change(target, wish)
        aim, memory = helper.act(memory, q, target, command, strength, key)
        chex.assert_equal_shape([aim, target])
        return (aim - target) / scale, memory

    def begin(state: State) -> tuple[Memory, Any, jax.Array]:
        helped = helper.reset(state.info["reading"], state.info["target"]) if helper else ()
        return operator.reset(env.hand), helped, jnp.zeros((3, env.action_size))

    def step_one(state: State, memory: tuple, wanted: jax.Array, key: jax.Array) -> tuple:
        key_operator, key_helper = jax.random.split(key)
        asking, helped, moves = memory
        asked, asking = operator.act(env.hand, asking, wanted, key_operator)
        action = asked
        if helper:
            action, helped = assisted(helped, state, asked, key_helper)
        then, reached = rollout.auto_reset_step(env, state, action)
        over = rollout.ended(reached)
        before, after = state.info["target"], reached.info["target"]
        changes = {"wanted": change(before, wanted), "asked": change(before, asked), "done": after - before}
        moves = jnp.concatenate([moves[1:], changes["done"][None]])
        memory = jax.tree.map(lambda new, old: jnp.where(over, new, old), begin(then), (asking, helped, moves))
        return then, memory, _record(env, state, reached, changes["asked"], moves), changes

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, tuple[Record, Trace]]:
        state, memory = carry
        key_policy, key_step = jax.random.split(key)
        wanted = policy(state.obs, key_policy)
        keys = jax.random.split(key_step, num_envs)
        then, memory, record, changes = jax.vmap(step_one)(state, memory, wanted, keys)
        traced = jax.tree.map(lambda x: x[:num_traced], _view(env, state, record, changes))
        return (then, memory), (record, traced)

    state = jax.vmap(env.reset)(jax.random.split(key_start, num_envs))
    return jax.lax.scan(step, (state, jax.vmap(begin)(state)), jax.random.split(key_steps, steps))[1]


def _record(env: Env, state: State, reached: State, asked: jax.Array, moves: jax.Array) -> Record:
    """What happened from `state` to `reached`, for the change `asked` (n,) [rad] and the last three made (3, n)."""
    before, hand = state.info["target"], env.hand
    places = jax.vmap(lambda move: kinematics.keypoints(hand, before + move))(jnp.stack([asked, moves[2]]))
    return Record(
        drop=reached.done > 0,
        goal=reached.metrics["success"] > 0,
        blown_up=reached.metrics["blown_up"] > 0,
        object=env.library.object_index[state.info["goal"]],
        goal_age=state.info.get("goal_age", jnp.int32(0)) + 1,
        kept=jnp.linalg.norm(places[0] - places[1], axis=-1).mean(),
        intervention=_rms(asked - moves[2]),
        jerk=_rms(moves[2] - 2 * moves[1] + moves[0]) * CONTROL_HZ**3,
    )


def _rms(values: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(values**2))


def _view(env: Env, state: State, record: Record, changes: dict[str, jax.Array]) -> Trace:
    info = state.info
    return Trace(
        q=info["q"], object_pose=info["object_pose"], goal_pose=env.library.object_pose[info["goal"]],
        gravity=info["gravity"], object=info["world"].object, drops=record.drop, goals=record.goal,
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


def summarise(name: str, record: Record, helper: str = helping.ALONE, strength: float | None = None) -> dict[str, Any]:
    """One row of the table, plain values, with 95% intervals.

    `helper` is a name of `helping`, and `strength` how much it listened. `halves` counts drops, goals and seconds in
    the environments of even and of odd number, see `compare`.

    hold_time          s of all environments over the number of drops, the simulator's own included
    goals_per_minute   goals reached and held, of all environments
    seconds_to_goal    s from a goal's setting to its being held, of those that were reached
    command_kept_mm    mm from the keypoints that were commanded to those of the targets that were set, mean
    intervention_rad   rad, root mean square of the targets set minus those commanded; alone, the task's action noise
    jerk               rad/s3, root mean square of the targets' third difference
    dispersion         variance over mean of the drops of the environments, see `intervals.dispersion`
    """
    record = jax.tree.map(np.asarray, record)
    steps, environments = record.drop.shape
    drops, goals, seconds_each = record.drop.sum(0), record.goal.sum(0), steps / CONTROL_HZ
    count = lambda of: {"drops": int(drops[of].sum()), "goals": int(goals[of].sum())}
    halves = [count(slice(i, None, 2)) | {"seconds": len(drops[i::2]) * seconds_each} for i in (0, 1)]
    reached = record.goal_age[record.goal]
    return {
        "operator": name,
        "helper": helper,
        "strength": strength,
        "environments": environments,
        "seconds": environments * seconds_each,
        **count(slice(None)),
        **rates(int(drops.sum()), int(goals.sum()), environments * seconds_each),
        "goals_per_drop": float(goals.sum() / drops.sum()) if drops.any() else None,
        "seconds_to_goal": float(reached.mean() / CONTROL_HZ) if len(reached) else None,
        "command_kept_mm": float(1000 * record.kept.mean()),
        "intervention_rad": float(np.sqrt(np.mean(record.intervention**2))),
        "jerk": float(np.sqrt(np.mean(record.jerk**2))),
        "dispersion": intervals.dispersion(drops),
        "blown_up": int(record.blown_up.sum()),
        "halves": halves,
    }


def details(record: Record) -> dict[str, Any]:
    """What a row holds besides, for intervals of differences, curves and bars; plain values.

    `each` counts in each environment. `holds` are the seconds from a grasp to its loss, and to the end of those that
    were never lost. `by_object` has seconds, drops and goals by the number of the object.
    """
    record = jax.tree.map(np.asarray, record)
    each = {"drops": record.drop.sum(0).tolist(), "goals": record.goal.sum(0).tolist()}
    return {"each": each, "holds": holds(record.drop), "by_object": by_object(record)}


def rates(drops: int, goals: int, seconds: float) -> dict[str, Any]:
    """Seconds held per drop and goals a minute, each with its interval."""
    return {
        "hold_time": dataclasses.asdict(intervals.hold_time(drops, seconds)),
        "goals_per_minute": dataclasses.asdict(intervals.rate(goals, seconds / 60)),
    }


def holds(drop: np.ndarray) -> dict[str, list[float]]:
    """Seconds (each a list) of the grasps that were `lost`, and of those still held at the end, `open`."""
    lost: list[float] = []
    still: list[float] = []
    for column in drop.T:
        ends = np.concatenate([[0], np.flatnonzero(column) + 1])
        lost += (np.diff(ends) / CONTROL_HZ).tolist()
        still.append(float((len(column) - ends[-1]) / CONTROL_HZ))
    return {"lost": lost, "open": still}


def by_object(record: Record) -> dict[str, dict[str, float]]:
    """Seconds, drops and goals by the number of the object."""
    table = {}
    for number in np.unique(record.object):
        mine = record.object == number
        counts = {"drops": int(record.drop[mine].sum()), "goals": int(record.goal[mine].sum())}
        table[str(number)] = {"seconds": float(mine.sum() / CONTROL_HZ), **counts}
    return table


def compare(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the controller was worth to one operator, whose rows these are.

    The strength is chosen in the even environments: the most goals among those above 0 (at 0 the operator is not
    heard) whose hold time is at least half the best. The ratios are measured in the odd ones: choosing and measuring on
    the same counts would flatter it.
    """
    alone = next(row for row in rows if row["helper"] == helping.ALONE)
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
