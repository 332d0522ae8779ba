"""Helpers: what stands between an operator and the hand. The controller is one, and what it is measured against.

Those that imitate, `imitator`, listen to the operator just as the controller does; they differ in whose action they
take for what a skilled hand would do. So each difference to the controller is what diffusion is worth.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from dexgen_jax.controller import commands, controller, listening
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.dataset import windows

ALONE, CLIPPED, LOW_PASSED, TURNED_DOWN = "alone", "clipped", "low-passed", "turned down"
AGREED, NEAREST, CLONED, CONTROLLER, OF_32 = "agreed", "nearest motion", "cloned", "controller", "nearest of 32"
PLAIN = (ALONE, CLIPPED, LOW_PASSED, TURNED_DOWN)  # those that have learned nothing
SHORT = (ALONE, TURNED_DOWN, CONTROLLER)  # what is always compared
LEARNED = (AGREED, NEAREST, CLONED, CONTROLLER, OF_32)  # those that listen with a strength


@dataclasses.dataclass(frozen=True)
class Helper:
    """What stands between an operator and the hand; both functions are for one environment."""

    reset: Callable[[jax.Array, jax.Array], Any]  # joints (n,) [rad], their targets (n,) [rad] -> its memory
    # memory, joints (n,), targets (n,), commanded joints (n,) [rad], strength (), key -> joint targets (n,), memory
    act: Callable[..., tuple[jax.Array, Any]]


def controlled(model: Model, weights: Weights, mode: int, settings: controller.Settings) -> Helper:
    """The controller, to which commanded joints are what is asked."""

    def act(memory: controller.State, q, target, command, strength, key) -> tuple[jax.Array, controller.State]:
        asked = commands.joints(model.hand, target, command)
        tick = TickInput(q=q, target=target, command=asked, mode=jnp.int32(mode), strength=strength, key=key)
        aim, memory, _ = controller.act(model, weights, memory, tick, settings)
        return aim, memory

    return Helper(functools.partial(controller.reset, model), act)


def agreed(model: Model, weights: Weights, mode: int, settings: controller.Settings) -> Helper:
    """The command as it is, and no motion while it is too far from what the controller would do.

    Too far is twice the error of the controller's own action, `Weights.action_std`.
    """
    alone = controlled(model, weights, mode, settings)

    def act(memory: controller.State, q, target, command, strength, key) -> tuple[jax.Array, controller.State]:
        own, memory = alone.act(memory, q, target, command, jnp.zeros_like(strength), key)
        apart = jnp.sqrt(jnp.mean((command - own) ** 2))
        return jnp.where(apart > 2 * weights.action_std, target, command), memory

    return Helper(alone.reset, act)


def imitator(
    model: Model, weights: Weights, settings: controller.Settings, imitate: Callable[[jax.Array], jax.Array]
) -> Helper:
    """What `imitate` makes of a normalised condition (H, C), a normalised action (n,), weighed against the command."""
    hand, normalizer = model.hand, weights.normalizer

    def act(memory: controller.State, q, target, command, strength, key) -> tuple[jax.Array, controller.State]:
        memory = memory.push(q, target)
        condition = normalizer.encode_condition(windows.condition(hand, memory.q, memory.target))
        own = q + normalizer.decode_action(imitate(condition))
        asked = commands.joints(hand, target, command)
        wanted, _, doubt = controller.weigh(hand, settings, weights.action_std, memory, asked, own, strength)
        most = settings.limits.max_step
        aim = jnp.clip(target + jnp.clip(wanted - target, -most, most), hand.lower, hand.upper)
        return aim, memory.replace(safe=aim, wish=wanted - own, doubt=doubt)

    return Helper(functools.partial(controller.reset, model), act)


def nearest(conditions: jax.Array, actions: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """The action of the recorded moment that is most like the present one.

    `conditions` (N, H, C) and `actions` (N, n) are normalised windows of the dataset; near is the Euclidean distance.
    """
    rows = conditions.reshape(len(conditions), -1)
    squares = jnp.sum(rows**2, axis=1)

    def imitate(condition: jax.Array) -> jax.Array:
        return actions[jnp.argmin(squares - 2 * rows @ condition.reshape(-1))]

    return imitate


def one_of(helpers: Sequence[Helper], which: jax.Array) -> Helper:
    """Number `which` () int32 of helpers that cost next to nothing: all are asked, and one program serves all."""

    def act(memories: tuple, q, target, command, strength, key) -> tuple[jax.Array, tuple]:
        pairs = zip(helpers, memories, strict=True)
        told = [helper.act(memory, q, target, command, strength, key) for helper, memory in pairs]
        aims, memories = zip(*told, strict=True)
        return jnp.stack(aims)[which], memories

    return Helper(lambda q, target: tuple(helper.reset(q, target) for helper in helpers), act)


def clip(most: float = 0.1) -> Helper:
    """The command, each joint no further from its target than the experts' own steps: `most` [rad]."""

    def act(memory: tuple, q, target, command, strength, key) -> tuple[jax.Array, tuple]:
        return target + jnp.clip(command - target, -most, most), memory

    return Helper(lambda q, target: (), act)


def low_pass(share: float = 0.3, gain: float = 1.5) -> Helper:
    """`gain` times the running mean of the wishes, in which a new one counts `share`."""

    def act(mean: jax.Array, q, target, command, strength, key) -> tuple[jax.Array, jax.Array]:
        mean = (1 - share) * mean + share * (command - target)
        return target + gain * mean, mean

    return Helper(lambda q, target: jnp.zeros_like(target), act)


def turn_down(config: ListeningConfig, action_std: jax.Array) -> Helper:
    """Of each wish the share that listening leaves of it if one's own is to keep still.

    What the learned motions are worth is what the controller does better than this.
    """

    def act(state: tuple[jax.Array, jax.Array], q, target, command, strength, key) -> tuple[jax.Array, tuple]:
        (wish, doubt), everywhere = state, jnp.ones_like(target)
        doubt = listening.doubt(config, action_std, doubt, command, target, everywhere)
        expected = target + config.persistence * wish
        aim = listening.weigh(expected, command, listening.precision(config, doubt), everywhere)
        return aim, (aim - target, doubt)

    return Helper(lambda q, target: (jnp.zeros_like(target), jnp.ones((), jnp.float32)), act)
