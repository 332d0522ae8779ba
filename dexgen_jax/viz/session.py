"""What happens in the viewer, step by step: who commands, who helps, what is shown. No browser, no clock, no screen.

Whoever looks on says what is wished with `wish`, from any thread; `tick` lives one control step of 0.1 s and never
asks anybody. A hand that nobody commands keeps the joint targets in force.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from dexgen_jax.controller import commands
from dexgen_jax.defaults import nearest
from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.viz import wrist as wrists
from dexgen_jax.viz.account import Account
from dexgen_jax.viz.moment import Moment

HELPED, ALONE, RELEASED = HELP = ("helped", "alone", "released")
STILL, SLIDERS, HANDLES = OWN = ("still", "sliders", "handles")  # operators of the viewer's own: nobody, or a person
DEVICE = "device"  # an operator with a glove or a tracker, where there is one
SHAKE = 0.4  # rad, half width of the noise on each joint's command in each step while "shake" is on
MOST_SHAKE = 1.0  # rad
MOST_STRENGTH = 10.0
FALL_STEPS = 8  # control steps in which a lost object is seen to fall

Track = Callable[[], np.ndarray]  # where a device wants the fingertips (tips, 3) [m]; TimeoutError if it is silent
Operator = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # the expert's action (n,) -> an action (n,)


class World(Protocol):
    """The simulated hand, see `simulation.Simulation`."""

    hand: Hand
    objects: Sequence[str]
    max_step: float

    def begin(self, thing: str, gravity: np.ndarray, seed: int) -> Moment:
        """Puts an object into the hand."""

    def step(self, target: np.ndarray, gravity: np.ndarray) -> Moment:
        """Moves the joint targets to `target` (n,) [rad] and lives one control step."""


class Helper(Protocol):
    """The controller, see `controller.Controller`."""

    def reset(self, q: np.ndarray, target: np.ndarray) -> None:
        """Forgets the past."""

    def act(self, q: np.ndarray, target: np.ndarray, command: np.ndarray, **how: Any) -> tuple[np.ndarray, Any]:
        """One control tick: the joint targets to set (n,) [rad]."""


@dataclasses.dataclass(frozen=True, eq=False)
class Wishes:
    """What whoever has the command wants; each field may change between two steps."""

    thing: str  # object in the hand
    help: str = HELPED  # one of HELP
    strength: float = 1.0  # how much the operator is heard
    operator: str = STILL  # who commands: a name of the session's operators, or one of OWN
    shake: float = 0.0  # rad, half width of the noise on each joint's command
    joints: np.ndarray | None = None  # (n,) rad, where the sliders stand
    tips: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)  # finger -> where it is dragged, (3,) m
    wrist: str | np.ndarray = "palm up"  # a name of `wrist.POSES`, TUMBLE, or a quaternion (4,), palm to room
    paused: bool = False
    speed: float = 1.0  # of the simulation, above 0 and at most 1


@dataclasses.dataclass(frozen=True)
class Step:
    """One control step that was lived, for whoever records."""

    before: Moment  # what was read before the action
    first: bool  # of its grasp
    dropped: bool
    reached: bool
    shaken: bool  # noise was on the command
    falling: bool  # the object was lost before
    command: np.ndarray  # (n,) rad, the joint targets asked for


class Session:
    """One hand, one object, one operator. `moment` is what is to be seen, `before` what was seen a step ago."""

    def __init__(
        self,
        world: World,
        helper: Helper,
        operators: Mapping[str, Operator],
        seed: int = 0,
        device: Track | None = None,
    ):
        """`operators` by name spoil the expert's action; the session begins with the world's first object.

        `device` is one more operator. While it is silent, or the helper is (TimeoutError, ConnectionResetError), the
        hand holds its joint targets, and `holding` says why.
        """
        own = (*OWN, DEVICE) if device else OWN
        self.world, self.helper, self.operators = world, helper, {**dict.fromkeys(own), **operators}
        self.device, self.holding = device, ""
        self.hand = world.hand
        self.account = Account(HELP, 1 / CONTROL_HZ)
        self.listeners: list[Callable[[Step], None]] = []
        self.wishes = Wishes(world.objects[0])
        self.wrist = wrists.POSES["palm up"]
        self.falling = 0  # control steps in which the object goes on falling
        self.clip: Sequence[Moment] | None = None  # what is replayed, if anything
        self._lock, self._seed, self._again, self._at = threading.RLock(), seed, False, 0
        self._tips, self._reach = _programs(self.hand)
        self._begin_again(self.wishes)

    def wish(self, **changes: Any) -> None:
        """Changes wishes by name. Raises ValueError, with nothing changed, for what cannot be wished."""
        unknown = [name for name in changes if name not in Wishes.__dataclass_fields__]
        if unknown:
            raise ValueError(f"no wish named {unknown[0]!r}; {nearest(unknown[0], Wishes.__dataclass_fields__)}")
        with self._lock:
            wishes = dataclasses.replace(self.wishes, **changes)
            self._check(wishes)
            if wishes.operator == SLIDERS and wishes.joints is None:
                wishes = dataclasses.replace(wishes, joints=self.moment.target)  # no slider moves the hand by itself
            self.wishes = wishes

    def drag(self, finger: int, position: np.ndarray) -> None:
        """A fingertip's handle is held at `position` (3,) [m, palm frame]; the handles have the command from now on."""
        with self._lock:
            self.wish(tips={**self.wishes.tips, finger: np.asarray(position, float)}, operator=HANDLES)

    def let_go(self) -> None:
        """Nobody holds a handle any more, whether they were put down or who held them is gone: the hand holds."""
        self.wish(tips={})

    def reset(self, seed: int | None = None) -> None:
        """Begins again with the next step: a fresh grasp and fresh counts; with `seed` everything that is drawn too."""
        with self._lock:
            self._seed, self._again = (self._seed + 1 if seed is None else seed), True

    def replay(self, clip: Sequence[Moment] | None) -> None:
        """Shows a clip over and over instead of living; None goes on living, with a fresh grasp."""
        if clip is not None and not len(clip):
            raise ValueError("a clip without a moment cannot be shown")
        with self._lock:
            self.clip, self._at, self._again = clip, 0, clip is None

    def tick(self) -> None:
        """Lives one control step, as the wishes are now."""
        with self._lock:
            wishes, again, clip, at = self.wishes, self._again, self.clip, self._at
            self._again = False
            if clip is not None and not wishes.paused:
                self._at = (at + 1) % len(clip)
        if clip is not None:
            self._show(clip, at, wishes)
        elif again or wishes.thing != self.moment.thing:
            self._begin_again(wishes)
        elif not wishes.paused:
            self._live(wishes)

    def tips(self) -> np.ndarray:
        """Where the fingertips are told to be (tips, 3) [m, palm frame]: there a handle waits to be dragged."""
        return np.asarray(self._tips(self.moment.target))

    def _begin_again(self, wishes: Wishes) -> None:
        self.account.clear()
        self._grasps = 0
        self._noise, self._hesitation = (np.random.default_rng([self._seed, i]) for i in range(2))
        if isinstance(wishes.wrist, str):  # the same seed begins the same: a tumble does so with the palm up
            self.wrist = wrists.POSES.get(wishes.wrist, wrists.POSES["palm up"])
        self._take_grasp(wishes)

    def _take_grasp(self, wishes: Wishes) -> None:
        """Puts the object into the hand once more."""
        draw = int(np.random.SeedSequence([self._seed, self._grasps]).generate_state(1)[0] >> 1)
        self._grasps, self.falling, self._first = self._grasps + 1, 0, True
        self.moment = self.before = self.world.begin(wishes.thing, wrists.gravity(self.wrist), draw)
        self.account.begin()
        self._known = False
        with contextlib.suppress(TimeoutError):  # a helper that is silent is told when it is asked next
            self._introduce()
        with self._lock:  # sliders and handles stand where another grasp had its fingers
            self.wishes = dataclasses.replace(self.wishes, joints=None, tips={})
            if self.wishes.operator == SLIDERS:
                self.wishes = dataclasses.replace(self.wishes, joints=self.moment.target)

    def _introduce(self) -> None:
        self.helper.reset(self.moment.reading, self.moment.target)
        self._known = True

    def _live(self, wishes: Wishes) -> None:
        self._turn(wishes)
        if self.falling:
            return self._fall(wishes)
        now, most = self.moment, self.world.max_step
        try:
            command = self._command(wishes, now)
            action, self.holding = self._act(wishes, now, command), ""
        except (TimeoutError, ConnectionResetError) as silence:
            command = action = now.target
            self.holding = str(silence)
        asked = np.clip(command - now.target, -most, most)
        then = self.world.step(action, wrists.gravity(self.wrist))
        made = np.clip(action - now.target, -most, most)
        intervention = float(np.sqrt(np.mean((made - asked) ** 2)))
        done = then.target - now.target
        self.account.add(wishes.help, asked, done, intervention, then.dropped, then.reached)
        self._tell(Step(now, self._first, then.dropped, then.reached, wishes.shake > 0, False, command))
        self.before, self.moment, self._first = now, then, False
        self.falling = FALL_STEPS if then.dropped else 0

    def _fall(self, wishes: Wishes) -> None:
        self.falling -= 1
        if not self.falling:
            return self._take_grasp(wishes)
        now = self.moment
        self._tell(Step(now, False, False, False, False, True, now.target))
        self.before, self.moment = now, self.world.step(now.target, wrists.gravity(self.wrist))

    def _show(self, clip: Sequence[Moment], at: int, wishes: Wishes) -> None:
        if not wishes.paused:
            self.moment = clip[at]
            self.before = self.moment if self.moment.first or not at else clip[at - 1]
        self.wrist = wrists.under(self.wrist, self.moment.gravity)

    def _command(self, wishes: Wishes, now: Moment) -> np.ndarray:
        """The joint targets (n,) [rad] that whoever commands asks for, within the limits."""
        command = now.target
        if wishes.operator == SLIDERS and wishes.joints is not None:
            command = wishes.joints
        elif wishes.operator == HANDLES and wishes.tips:
            tips = np.array(self._tips(now.target))
            for finger, position in wishes.tips.items():
                tips[finger] = position
            command = np.asarray(self._reach(now.target, tips))
        elif wishes.operator == DEVICE and self.device is not None:
            command = np.asarray(self._reach(now.target, self.device()))
        elif self.operators[wishes.operator] is not None:
            action = np.clip(self.operators[wishes.operator](now.wanted, self._hesitation), -1, 1)
            command = now.target + self.world.max_step * action
        # Drawn in every step, shaken or not: the same seed shakes the same way whenever it begins.
        noise = self._noise.uniform(-1, 1, len(now.target))
        return np.clip(command + wishes.shake * noise, self.hand.lower, self.hand.upper).astype(np.float32)

    def _act(self, wishes: Wishes, now: Moment, command: np.ndarray) -> np.ndarray:
        """The joint targets (n,) [rad] to set: this is the one place where the controller is asked."""
        if wishes.help == ALONE:
            return command
        if not self._known:
            self._introduce()
        how = {"strength": wishes.strength, "released": wishes.help == RELEASED}
        return self.helper.act(now.reading, now.target, command, **how)[0]

    def _turn(self, wishes: Wishes) -> None:
        most = wrists.TURN_RATE / CONTROL_HZ
        if isinstance(wishes.wrist, str) and wishes.wrist == wrists.TUMBLE:
            self.wrist = wrists.tumbled(self.wrist, self.account.time, wrists.TUMBLE_RATE / CONTROL_HZ)
        else:
            wanted = wrists.POSES[wishes.wrist] if isinstance(wishes.wrist, str) else wishes.wrist
            self.wrist = wrists.toward(self.wrist, wanted, most)

    def _tell(self, step: Step) -> None:
        for listener in tuple(self.listeners):
            listener(step)

    def _check(self, wishes: Wishes) -> None:
        """Raises ValueError for the first wish that cannot be."""
        choices = {"thing": self.world.objects, "help": HELP, "operator": self.operators}
        for name, known in choices.items():
            if getattr(wishes, name) not in known:
                raise ValueError(f"no {name} {getattr(wishes, name)!r}; {nearest(str(getattr(wishes, name)), known)}")
        ranges = {"strength": (0, MOST_STRENGTH), "shake": (0, MOST_SHAKE), "speed": (0.05, 1)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(wishes, name) <= high:  # NaN too
                raise ValueError(f"{name} is {getattr(wishes, name)}: it must be from {low} to {high}")
        arrays = {"joints": (wishes.joints, self.hand.num_joints), "wrist": (wishes.wrist, 4)}
        arrays |= {f"the place of finger {finger}": (place, 3) for finger, place in wishes.tips.items()}
        for name, (value, size) in arrays.items():
            if value is not None and not isinstance(value, str) and not _finite(value, size):
                raise ValueError(f"{name} must be {size} finite numbers, got {value}")
        if not isinstance(wishes.wrist, str) and not np.any(wishes.wrist):
            raise ValueError(f"wrist must be a quaternion, which has a length, got {wishes.wrist}")
        if isinstance(wishes.wrist, str) and wishes.wrist not in (known := (*wrists.POSES, wrists.TUMBLE)):
            raise ValueError(f"no wrist {wishes.wrist!r}; {nearest(wishes.wrist, known)}")
        if any(not 0 <= finger < self.hand.num_tips for finger in wishes.tips):
            raise ValueError(f"fingers are numbered from 0 to {self.hand.num_tips - 1}, got {list(wishes.tips)}")


@functools.cache
def _programs(hand: Hand) -> tuple[Callable, Callable]:
    """Joints -> fingertips (tips, 3) [m]; joint targets, fingertips wanted -> joint targets that bring them there.

    Compiled now: the first finger that is dragged must not wait for it.
    """
    q, there = np.zeros(hand.num_joints, np.float32), np.zeros((hand.num_tips, 3), np.float32)
    tips = jax.jit(lambda q: kinematics.keypoints(hand, q)[: hand.num_tips]).lower(q).compile()
    reach = jax.jit(lambda target, there: commands.tip_positions(hand, target, there).target)
    return tips, reach.lower(q, there).compile()


def _finite(value: np.ndarray, size: int) -> bool:
    return np.shape(value) == (size,) and bool(np.isfinite(value).all())
