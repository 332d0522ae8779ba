"""The controller: joint readings and a command in, safe joint targets out.

`act` is a pure function of one hand, to be vmapped over environments and jitted by the caller. `Controller` is the thin
thing around it that remembers history and key, and lives in a folder.
"""

import copy
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax import checkpoints, pretrained
from dexgen_jax.controller import commands, cpu_inference, fields, guidance, listening, safety, tick_input
from dexgen_jax.controller.commands import Command
from dexgen_jax.controller.fields import array
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.numbers import floats, place
from dexgen_jax.controller.sampler import TEMPERATURE, sample_motion
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.hand import kinematics, registry
from dexgen_jax.hand.description import Hand


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a controller is used, beside what it has learned: hashable, static."""

    candidates: int = 1  # motions drawn in a tick, of which the nearest to the command is taken
    eta: float = 0.0  # 0 is DDIM, 1 is DDPM
    temperature: float = TEMPERATURE  # of sampling, from 0 to 1; the paper's is 1
    # Whether the motion is bent toward the command with the strength that is said, as in the paper. If not, it is
    # drawn freely, and its action is weighed against the command: see `controller.listening`.
    guided: bool = False
    # Two rules for guided motions. Of a command's offsets (K, 3) [m] and weight (K,): what guidance makes small.
    distance: Callable[[jax.Array, jax.Array], guidance.Distance] = guidance.toward
    # Each of the keypoints (K, 3) [m] as they are now: what may not be, whatever the command and its strength.
    restraints: tuple[Callable[[jax.Array], guidance.Distance], ...] = ()
    limits: safety.Limits = safety.Limits()
    listening: ListeningConfig = ListeningConfig()

    def __post_init__(self) -> None:
        """Refuses what cannot be sampled."""
        if self.candidates < 1:
            raise ValueError(f"a tick needs at least 1 candidate, got {self.candidates}")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must be from 0 (DDIM) to 1 (DDPM), got {self.eta}")
        if not 0 <= self.temperature <= 1:
            raise ValueError(f"temperature must be from 0 to 1, got {self.temperature}")
        if not self.guided and (self.restraints or self.distance is not guidance.toward):
            raise ValueError("a distance or restraints of your own bend the motion: they need guided=True")


# `TickInput` is declared where a robot without JAX can read it.
jax.tree_util.register_dataclass(TickInput)


@struct.dataclass
class State:
    """What one hand remembers from tick to tick: the last H good readings, and its operator.

    `safe` is held when the targets in force are no numbers either; for `doubt` see `listening.doubt`.
    """

    q: jax.Array = array("history joints", "the last joint positions, oldest first [rad]")
    target: jax.Array = array("history joints", "the joint targets in force at each of them [rad]")
    safe: jax.Array = array("joints", "the joint targets set last, within the limits [rad]")
    wish: jax.Array = array("joints", "what the operator is believed to want beyond the networks' own action [rad]")
    doubt: jax.Array = array("", "variance of the operator's commands, in units of the networks' own error squared")

    def push(self, q: jax.Array, target: jax.Array) -> "State":
        """Forgets the oldest reading and adds one, (n,) [rad] each."""
        q, target = (jnp.concatenate([old[1:], new[None]]) for old, new in ((self.q, q), (self.target, target)))
        return self.replace(q=q, target=target)


@struct.dataclass
class Diagnostics:
    """What the controller meant by its action, and what it had to do about its input, see `safety.Event`."""

    motion: jax.Array = array("horizon keypoints 3", "keypoint offsets it wants, per step ahead [m, palm frame]")
    distance: jax.Array = array("", "root mean square distance of its commanded keypoints from the command [m]")
    overruled: jax.Array = array("", "root mean square of action minus the command's joint targets [rad]")
    spread: jax.Array = array("", "root mean square deviation of the candidates, 0 with one [m]")
    alpha: jax.Array = array("", "how much the command was heard, 0 if it was refused [1/m^2]")
    strength: jax.Array = array("", "the same as lambda")  # see `guidance.strength`
    doubt: jax.Array = array("", "standard deviation that commands are believed to have, each joint [rad]")
    events: jax.Array = array("", "bits of `events`; the targets in force are held if `held_if` meets them", "int32")


def reset(model: Model, q: jax.Array, target: jax.Array) -> State:
    """Fills the history with one reading, (n,) [rad] each and finite, so that the first actions see a hand at rest."""
    chex.assert_shape([q, target], (model.hand.num_joints,))
    q, target = jnp.asarray(q), jnp.asarray(target)
    readings, targets = (jnp.tile(reading, (model.history, 1)) for reading in (q, target))
    lower, upper = (jnp.asarray(limit, target.dtype) for limit in (model.hand.lower, model.hand.upper))
    return State(readings, targets, jnp.clip(target, lower, upper), jnp.zeros_like(target), jnp.ones((), jnp.float32))


def act(
    model: Model, weights: Weights, state: State, tick: TickInput, settings: Settings = Settings()
) -> tuple[jax.Array, State, Diagnostics]:
    """One control tick of one hand: returns the joint target (n,) [rad] to set now, safe whatever the input is.

    The command is heard as far as `tick.strength` says: 0 is the prior alone, infinity the command. Unless motions are
    `guided`, the operator is weighed, too: the better, the more it is heard. Only `model` and `settings` are static.
    Source: arXiv:2502.04307, section III, and `controller.listening`.
    """
    hand, limits = model.hand, settings.limits
    alpha = guidance.alpha_of(tick.strength, weights.normalizer.offset_std)
    events = safety.check_reading(hand, limits, tick.q, tick.target, tick.age)
    good = events == 0
    state = jax.tree.map(lambda new, old: jnp.where(good, new, old), state.push(tick.q, tick.target), state)
    released = jnp.asarray(tick.released)
    command, alpha, told = safety.check_command(hand, limits, tick.command, jnp.where(released, 0.0, alpha))

    there = jnp.clip(tick.mode, 0, len(model.modes) - 1)
    sound = dataclasses.replace(tick, command=command, mode=there)
    motion, own, spread = _intend(model, weights, state, sound, alpha, settings)
    own = jnp.where(tick.mode == there, own, jnp.nan)  # a mode that does not exist moves nothing
    strength = guidance.strength(alpha, weights.normalizer.offset_std)
    wanted, doubt = own, state.doubt
    if not settings.guided:
        wanted, strength, doubt = weigh(hand, settings, weights.action_std, state, command, own, strength)
    wish = jnp.where(released, 0.0, wanted - own)
    wanted = jnp.where(released, command.target, wanted)
    in_force = safety.in_force(hand, limits, tick.target, state.safe)
    action, events = safety.check_action(hand, limits, wanted, state.target[-1], in_force, events | told)
    held = events & int(safety.Event.HELD) > 0
    wish, doubt = jnp.where(held, state.wish, wish), jnp.where(held, state.doubt, doubt)
    diagnostics = Diagnostics(
        motion=motion, distance=guidance.rms_distance(motion, command.offsets, command.weight),
        overruled=jnp.sqrt(jnp.mean((action - command.target) ** 2)), spread=spread,
        alpha=guidance.alpha_of(strength, weights.normalizer.offset_std), strength=strength,
        doubt=weights.action_std / jnp.sqrt(listening.precision(settings.listening, doubt)), events=events,
    )  # fmt: skip
    return action, state.replace(safe=action, wish=wish, doubt=doubt), diagnostics


def weigh(
    hand: Hand, settings: Settings, action_std: jax.Array, state: State, command: Command, own: jax.Array,
    strength: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Returns joint targets (n,) [rad] between `own` and those commanded, the strength () in force, the doubt ()."""
    config, weight = settings.listening, listening.joint_weight(hand, command)
    lower, upper = (jnp.asarray(limit, own.dtype) for limit in (hand.lower, hand.upper))
    before, after = (jnp.clip(joints, lower, upper) for joints in (state.target[-1], command.target))
    # What a tick can do of it: a command from far away is no worse than one that is ahead by a step.
    wanted = before + jnp.clip(after - before, -settings.limits.max_step, settings.limits.max_step)
    heard = (strength > 0) & jnp.any(weight > 0)
    doubt = jnp.where(heard, listening.doubt(config, action_std, state.doubt, wanted, own, weight), state.doubt)
    strength = jnp.where(heard, strength * listening.precision(config, doubt), 0.0)
    expected = own + jnp.where(heard, config.persistence * state.wish, 0.0)
    return listening.weigh(expected, wanted, strength, weight), strength, doubt


def _intend(
    model: Model, weights: Weights, state: State, tick: TickInput, alpha: jax.Array, settings: Settings
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the motion (T, K, 3) [m] to make, the joint targets (n,) [rad] for it, the candidates' spread () [m]."""
    normalizer = weights.normalizer
    condition = normalizer.encode_condition(windows.condition(model.hand, state.q, state.target))
    keypoints = kinematics.keypoints(model.hand, state.q[-1])
    wish = settings.distance(tick.command.offsets, tick.command.weight)
    rules = [(wish, alpha)] + [(restraint(keypoints), jnp.inf) for restraint in settings.restraints]

    def guide(clean: jax.Array, variance: jax.Array) -> jax.Array:
        for distance, strength in rules:
            clean = guidance.pull(distance, normalizer.decode_offsets, clean, strength, variance)
        return clean

    def draw(key: jax.Array) -> jax.Array:
        bent = guide if settings.guided else None
        return sample_motion(model, weights, condition, tick.mode, key, bent, settings.eta, settings.temperature)

    count = settings.candidates
    sampled = jax.vmap(draw)(jax.random.split(tick.key, count)) if count > 1 else draw(tick.key)[None]
    motions = jax.vmap(normalizer.decode_offsets)(sampled)
    # Without a command to listen to, the first: choosing would be a way of listening.
    chosen = jnp.where(alpha > 0, jnp.argmin(jax.vmap(lambda motion: wish(motion).sum())(motions)), 0)
    action = model.inverse_dynamics.apply(weights.inverse_dynamics, condition, sampled[chosen])
    spread = jnp.sqrt(jnp.mean(jnp.sum(jnp.var(motions, axis=0), axis=-1)))
    return motions[chosen], state.q[-1] + normalizer.decode_action(action), spread


class Controller:
    """A trained controller of one hand; `model` and `weights` serve those who call `act` themselves.

    The first `reset` compiles what a tick needs, once; no later call does.
    """

    def __init__(self, model: Model, weights: Weights, seed: int = 0, settings: Settings = Settings()):
        """`seed` starts the sampler's randomness. Raises ValueError for an error of the networks that is none."""
        if not 0 < weights.action_std < np.inf:
            raise ValueError(f"the weights have an action_std of {weights.action_std} rad: it must be a number above 0")
        self.model, self.weights, self.settings = model, jax.device_put(weights), settings
        self.state: State | None = None
        self._key = np.asarray(jax.random.PRNGKey(seed))
        self._twins = np.random.SeedSequence(self._key.tolist())  # whose keys follow from this one
        strength = jax.jit(guidance.strength)
        self._strength_of_one = np.float32(strength(1.0, self.weights.normalizer.offset_std))  # of alpha
        self._options = tick_input.options(fields.sizes(model))
        self._programs: dict[str, Callable] = {}
        self._weights: Weights | None = None  # as the tick reads them

    @classmethod
    def from_pretrained(
        cls, folder: str | Path = "shipped", seed: int = 0, settings: Settings = Settings(), hand: Hand | None = None
    ) -> "Controller":
        """Loads a controller that `save` wrote; without a folder, the one that comes with the package, for `hand`.

        With `hand` given, it must be of that hand: a ValueError names both.
        """
        owner = "allegro" if hand is None else hand.name
        config, tree = checkpoints.load_weights(pretrained.find("controller", folder, hand=owner))
        if hand is not None:
            registry.refuse_other(f"the controller in {folder}", config["model"]["hand_name"], hand.name)
        weights = Weights(**{**tree, "normalizer": Normalizer(**tree["normalizer"])})
        return cls(Model.from_dict(config["model"]), weights, seed, settings)

    def twin(self) -> "Controller":
        """A controller for another hand, at once: weights and compiled programs are shared, memory and noise its own.

        The same seed gives the same twins, one after the other.
        """
        twin = copy.copy(self)
        (twin._twins,) = self._twins.spawn(1)
        twin.state, twin._key = None, twin._twins.generate_state(2)
        return twin

    def save(self, folder: str | Path, provenance: dict[str, Any] | None = None) -> None:
        """Writes sizes, weights and normaliser; `provenance` says how it was trained and on what."""
        checkpoints.save_weights(folder, {"model": self.model.to_dict(), "provenance": provenance or {}}, self.weights)

    def reset(self, q: np.ndarray, target: np.ndarray | None = None) -> None:
        """Forgets the past: `q` (n,) [rad] is where the hand is, `target` where it was told to be (default: there)."""
        q, target = self._joints(q, "q"), self._joints(q if target is None else target, "target")
        for name, reading in (("q", q), ("target", target)):
            safety.require_plausible(self.model.hand, self.settings.limits, reading, name)
        if not self._programs:
            self._programs = self._compile()
        self.state = self._programs["reset"](q, target)

    @tick_input.documented
    def act(
        self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None = None, kind: str = "joints",
        alpha: float | None = None, **options: Any,
    ) -> tuple[np.ndarray, Diagnostics]:  # fmt: skip
        """One control tick, see the function `act`: returns the joint targets (n,) [rad] to set now, and diagnostics.

        `q` is the reading and `target` the joint targets in force, (n,) [rad]. `command` is of one `kind` of
        `commands.KINDS`, measured from `target`; without it the prior moves the hand, or, `released`, it keeps still.
        The paper's `alpha` [1/m^2] may be said in place of `strength` (lambda = 2 alpha s^2, unitless). Wrong numbers
        are answered in `Diagnostics.events`; what is no number, or of another shape, or a name that does not exist, is
        a ValueError and changes nothing, see docs/deploy.md.
        """
        if self.state is None:
            raise RuntimeError("the controller has no history yet: call reset(q) before the first act")
        told = tick_input.read(options, self._options, {"modes": self.model.modes})
        if alpha is not None:
            told["strength"] = self._strength(alpha, options)
        if command is None:
            told["strength"] = np.float32(0)
        q, target = self._joints(q, "q"), self._joints(target, "target")
        tick = TickInput(q=q, target=target, command=self._command(target, command, kind), key=self._key, **told)
        action, self.state, diagnostics, self._key = self._programs["act"](self._weights, self.state, tick)
        return np.array(action), diagnostics  # of the caller, who may write into it

    def _strength(self, alpha: float, options: dict[str, Any]) -> np.ndarray:
        if "strength" in options:
            both = f"{options['strength']} and {alpha}"
            raise ValueError(f"say how much the command is heard, as strength or as alpha: got {both}")
        return floats(alpha, (), "alpha") * self._strength_of_one

    def _joints(self, values: np.ndarray, name: str) -> np.ndarray:
        return floats(values, (self.model.hand.num_joints,), f"{name} [rad] of the {self.model.hand_name} hand")

    def _command(self, target: np.ndarray, command: np.ndarray | None, kind: str) -> Command:
        place(kind, commands.KINDS, "kind of command")
        if command is None:
            return commands.none(self.model.hand, target)
        shape, unit = commands.KINDS[kind].shape(self.model.hand), commands.KINDS[kind].unit
        return self._programs[kind](target, floats(command, shape, f"a command of {kind} [{unit}]"))

    def _compile(self) -> dict[str, Callable]:
        """Compiles ahead of time all that a reset or a tick may run, by name."""
        model, self._weights = cpu_inference.for_one_hand(self.model, self.weights)
        hand = model.hand
        q = np.zeros(hand.num_joints, np.float32)

        def run(weights: Weights, state: State, tick: TickInput) -> tuple:
            key, now = jax.random.split(tick.key)
            return *act(model, weights, state, dataclasses.replace(tick, key=now), self.settings), key

        programs = {"reset": jax.jit(functools.partial(reset, model)).lower(q, q).compile()}
        for name, kind in commands.KINDS.items():
            asked = np.zeros(kind.shape(hand), np.float32)
            programs[name] = jax.jit(functools.partial(kind.make, hand)).lower(q, asked).compile()
        quiet = tick_input.read({}, self._options, {})
        tick = TickInput(q=q, target=q, command=commands.none(hand, q), key=self._key, **quiet)
        programs["act"] = jax.jit(run).lower(self._weights, programs["reset"](q, q), tick).compile()
        return programs
