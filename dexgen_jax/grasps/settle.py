"""Physics has the last word: the hand closes on the object, and only what holds under gravity from all sides is kept.

Grasps made from geometry alone eject the object at reset or cannot be reached as goals (TeleDexter, 2026, found the
same); here every stored grasp has been held in simulation, together with the joint targets that hold it. Cheap trials
come first and later ones run only for what is left, so a second of simulation is spent on the promising.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.grasps import overlap
from dexgen_jax.grasps.sample import Candidate
from dexgen_jax.hand import rotation
from dexgen_jax.physics.engine import Engine
from dexgen_jax.physics.state import PhysicsState
from dexgen_jax.physics.world import STANDARD_GRAVITY, World

STAGES = ("closed", "shaken", "held")  # trials in physics, in this order
_CHUNKS = 8  # of a batch: whole chunks without a candidate left are skipped


@dataclasses.dataclass(frozen=True)
class SettleConfig:
    """How a candidate is closed and what it must survive. Times in control steps of 0.1 s."""

    closing_steps: int = 6  # steps over which the targets move
    rest_steps: int = 3  # steps the closed hand then rests, still without gravity
    squeeze: float = 0.3  # rad, largest target minus position kept: it is what presses
    min_parts: int = 2  # links, or a link and the palm, that must touch the object
    max_depth: float = 0.008  # m the hand may sink into the object: soft contacts give 3-6 mm, an impaling link more
    shake_steps: int = 2  # steps under each of six gravity directions in turn, with the worst friction
    worst_friction: float = 0.5  # the low end of the paper's range, for object and hand alike
    shake_shift: float = 0.015  # m, largest movement of the object while it is shaken
    shake_turn: float = 0.4  # rad
    hold_steps: int = 4  # steps under each of six gravity directions, each from the start, with the world's friction
    hold_shift: float = 0.004  # m, largest movement of the object under any of them: what creeps is lost in the end
    hold_turn: float = 0.12  # rad


@struct.dataclass
class Settled:
    """A closed candidate and the verdict on it."""

    q: jax.Array  # (n,) rad
    target: jax.Array  # (n,) rad, the targets that hold it
    object_pose: jax.Array  # (7,) m and quaternion w x y z, palm frame
    touches: jax.Array  # (capsules,) bool, what of the hand touches the object
    depth: jax.Array  # () m, how deep the hand sinks into the object
    shift: jax.Array  # (2,) m, largest movement while shaken and while held; infinite if it was not tried
    turn: jax.Array  # (2,) rad, likewise
    passed: jax.Array  # () int32, how many of `STAGES` it has passed

    @property
    def accepted(self) -> jax.Array:
        """Whether it is a grasp, () bool."""
        return self.passed == len(STAGES)


def settle(engine: Engine, world: World, candidates: Candidate, tried: jax.Array, config: SettleConfig) -> Settled:
    """Closes the hand on candidates (B, ...) in one `world` and tries those where `tried` (B,) bool, stage by stage."""
    weightless = world.replace(gravity=jnp.zeros(3))
    (start, settled), closed = _staged(lambda c: _close(engine, weightless, c, config), candidates, tried)
    target = settled.target
    moves = []
    for trial in (_shake, _hold):
        move, good = _staged(lambda one, trial=trial: trial(engine, world, *one, config), (start, target), closed)
        moves.append(jnp.where(closed[:, None], move, jnp.inf))
        settled = settled.replace(passed=settled.passed + closed)
        closed = good
    shift, turn = jnp.moveaxis(jnp.stack(moves, 1), -1, 0)
    return settled.replace(shift=shift, turn=turn, passed=settled.passed + closed)


def _staged(trial: Callable, batch, tried: jax.Array):
    """Maps `trial` -> (result, good) over the rows of `batch` where `tried` (B,); elsewhere nothing is good."""
    count = len(tried)
    size = -(-count // _CHUNKS)
    order = jnp.argsort(~tried, stable=True)  # those to be tried first: the last chunks hold none
    chunks = jnp.pad(order, (0, _CHUNKS * size - count), mode="edge").reshape(_CHUNKS, size)
    all_of = lambda rows: jax.vmap(trial)(jax.tree.map(lambda x: x[rows], batch))
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(all_of, chunks[0]))

    def of_chunk(rows: jax.Array):
        # What is not to be tried may be anything, NaN too: a row that is stands in for it.
        rows = jnp.where(tried[rows], rows, rows[0])
        return jax.lax.cond(tried[rows[0]], all_of, lambda _: nothing, rows)

    out = jax.lax.map(of_chunk, chunks)
    back = jnp.argsort(order)
    result, good = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[back], out)
    return result, good & tried


def _close(
    engine: Engine, world: World, candidate: Candidate, config: SettleConfig
) -> tuple[tuple[PhysicsState, Settled], jax.Array]:
    """Closes without gravity and lets the closed hand rest; good if it then holds the object between its parts."""
    hand = engine.hand
    q = candidate.qpos[: hand.num_joints]
    ramp = jnp.arange(1, config.closing_steps + 1) / config.closing_steps

    def advance(state: PhysicsState, share: jax.Array) -> tuple[PhysicsState, None]:
        return engine.step(state, q + share * (candidate.goal - q), world), None

    closed = jax.lax.scan(advance, engine.init(candidate.qpos), ramp)[0]
    target = closed.joints(hand) + jnp.clip(candidate.goal - closed.joints(hand), -config.squeeze, config.squeeze)
    rest = _steps(engine, closed, target, world, config.rest_steps)
    q, pose = rest.joints(hand), rest.object_pose(hand)
    depths = overlap.depths(hand, q, world.object, pose)
    touches, depth = overlap.touching(depths), jnp.max(depths)
    # A simulation that blew up gives NaN, and every comparison with NaN is False.
    good = (overlap.count_parts(hand, touches) >= config.min_parts) & (depth < config.max_depth) & rest.finite
    untried = jnp.full(2, jnp.inf)
    settled = Settled(q, target, pose, touches, depth, untried, untried, jnp.zeros((), jnp.int32))
    # Only positions are stored, so the trials start from them alone.
    return (engine.init(rest.qpos), settled), good


def _shake(
    engine: Engine, world: World, start: PhysicsState, target: jax.Array, config: SettleConfig
) -> tuple[jax.Array, jax.Array]:
    """Turns gravity through six sides with the worst friction; returns the largest movement (2,) [m, rad]."""
    friction = jnp.asarray(config.worst_friction)
    slippery = world.replace(object_friction=friction, hand_friction=friction)

    def lean(state: PhysicsState, side: jax.Array) -> tuple[PhysicsState, jax.Array]:
        pulled = slippery.replace(gravity=STANDARD_GRAVITY * side)
        state = _steps(engine, state, target, pulled, config.shake_steps)
        return state, _moved(engine, start, state)

    moved = jnp.max(jax.lax.scan(lean, start, _sides())[1], axis=0)
    return moved, (moved[0] < config.shake_shift) & (moved[1] < config.shake_turn)


def _hold(
    engine: Engine, world: World, start: PhysicsState, target: jax.Array, config: SettleConfig
) -> tuple[jax.Array, jax.Array]:
    """Holds under gravity from each of six sides; returns the largest movement (2,) [m, rad] under any of them."""

    def fall(side: jax.Array) -> jax.Array:
        pulled = world.replace(gravity=STANDARD_GRAVITY * side)
        return _moved(engine, start, _steps(engine, start, target, pulled, config.hold_steps))

    moved = jnp.max(jax.vmap(fall)(_sides()), axis=0)
    return moved, (moved[0] < config.hold_shift) & (moved[1] < config.hold_turn)


def _sides() -> jax.Array:
    return jnp.concatenate([jnp.eye(3), -jnp.eye(3)])


def _moved(engine: Engine, start: PhysicsState, end: PhysicsState) -> jax.Array:
    before, after = start.object_pose(engine.hand), end.object_pose(engine.hand)
    return jnp.stack([jnp.linalg.norm(after[:3] - before[:3]), rotation.angle_between(after[3:], before[3:])])


def _steps(engine: Engine, state: PhysicsState, target: jax.Array, world: World, steps: int) -> PhysicsState:
    return jax.lax.scan(lambda s, _: (engine.step(s, target, world), None), state, None, length=steps)[0]
