"""The panels of the viewer: what everybody reads, and what moves the hand, for the one who has the command."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dexgen_jax.viz import session as sessions
from dexgen_jax.viz import wrist as wrists
from dexgen_jax.viz.account import SHOWN, Account
from dexgen_jax.viz.session import DEVICE, HANDLES, HELP, SLIDERS, STILL, Session

WELCOME = """**1** An expert turns the object to its ghost.

**2** **Shake** it: is it held **alone**? And **helped**?

**3** Take over: drag the blue ball at a fingertip."""
FOLLOW_EVERY = 5  # control steps between two looks of the sliders at the joints
_NAMES = {STILL: "nobody", SLIDERS: "me, by sliders", HANDLES: "me, by the fingertips", DEVICE: "me, by the device"}
_MARK = "● "
_DEGREES = 180 / np.pi
_BLUE, _ORANGE, _GREEN = "#3b82f6", "#f97316", "#10a37f"


class Readings:
    """What everybody sees: the three lines, the counts of each kind of help, and the plots of the last 30 s."""

    def __init__(self, gui: Any):
        """`gui` is that of the server: one for all clients."""
        gui.add_markdown(WELCOME, order=0)
        self._counts = gui.add_html("", order=2)
        with gui.add_folder("The last 30 s", order=60):
            self._motion = _plot(gui, "asked (orange), done (blue) [°/step]", {"asked": _ORANGE, "done": _BLUE})
            self._help = _plot(gui, "changed by [°]", {"changed by": _GREEN})
            self._held = _plot(gui, "in the hand [s]", {"in the hand": _BLUE})

    def show(self, session: Session, status: str) -> None:
        """Writes the counts; `status` is a word on what is going on."""
        self._counts.content = table(session.account, session.wishes.help, status)

    def plot(self, account: Account) -> None:
        """Draws the last 30 s."""
        if len(account.samples) < 2:
            return
        time = np.array([sample.time for sample in account.samples])
        column = lambda name, factor=1.0: factor * np.array([getattr(sample, name) for sample in account.samples])
        self._motion.data = time, column("asked", _DEGREES), column("done", _DEGREES)
        self._help.data = time, column("intervention", _DEGREES)
        self._held.data = time, column("held")


def table(account: Account, now: str, status: str) -> str:
    """The counts as HTML: a row for each kind of help, `now` the one in force."""
    style = "text-align:right;padding:1px 7px;font-variant-numeric:tabular-nums"
    head = "".join(
        f"<th style='{style};opacity:.6;font-weight:500'>{word}</th>"
        for word in ("", "held", "drops", "s per drop", "goals")
    )
    rows = ""
    for kind, tally in account.tallies.items():
        hold = f"{tally.hold_time:.0f}" if tally.drops else "–"
        values = (kind, f"{tally.seconds:.0f} s", tally.drops, hold, tally.goals)
        weight = "font-weight:650;background:rgba(59,130,246,.13)" if kind == now else "opacity:.65"
        rows += f"<tr style='{weight}'>" + "".join(f"<td style='{style}'>{cell}</td>" for cell in values) + "</tr>"
    last = account.samples[-1] if account.samples else None
    kept = f"{100 * last.kept:.0f}%" if last and np.isfinite(last.kept) else "–"
    changed = f"{_DEGREES * last.intervention:.1f}°" if last else "–"
    figures = {"in the hand": f"{account.held:.1f} s", "command kept": kept, "changed by": changed}
    cells = "".join(_figure(value, name) for name, value in figures.items())
    return (
        f"<div style='padding:0 .75em .4em;font-size:.8rem'><table style='border-collapse:collapse;width:100%'>"
        f"<tr>{head}</tr>{rows}</table><div style='display:flex;text-align:center;padding-top:9px'>{cells}</div>"
        f"<div style='padding:4px 7px 0;text-align:center'>{status}</div></div>"
    )


def _figure(value: str, name: str) -> str:
    large = "font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums"
    return (
        f"<div style='flex:1'><div style='{large}'>{value}</div>"
        f"<div style='opacity:.6;font-size:.72rem'>{name}</div></div>"
    )


class Controls:
    """What moves the hand: made for one client, and removed when the command goes to another."""

    def __init__(self, gui: Any, session: Session, refuse: Callable[[str], None]):
        """`refuse` tells the client why something it asked for cannot be."""
        self.session, self._refuse, self._made = session, refuse, []
        self._joints: list[Any] = []
        self._age = 0
        wishes, make = session.wishes, self._made.append
        with _kept(gui.add_folder("Command", order=10), make):
            operators = {_NAMES.get(name, f"expert, {name}"): name for name in session.operators}
            shown = self._labels = {name: label for label, name in operators.items()}
            self.help = gui.add_button_group("Help", _marked(wishes.help), hint="released: the controller's off switch")
            self.shake = gui.add_button("Shake", hint="noise on every joint's command (key S)")
            self.amount = gui.add_slider("Shake by [°]", 0.0, float(round(_DEGREES * sessions.MOST_SHAKE)), 1.0,
                                         float(round(_DEGREES * (wishes.shake or sessions.SHAKE))))  # fmt: skip
            self.strength = gui.add_slider("Strength", 0.0, 3.0, 0.1, min(wishes.strength, 3.0),
                                           hint="how much the operator is heard; 1: as far as believed")  # fmt: skip
            self.operator = gui.add_dropdown("Operator", tuple(operators), initial_value=shown[wishes.operator])
        with _kept(gui.add_folder("Scene", order=20), make):
            self.thing = gui.add_dropdown("Object", tuple(session.world.objects), initial_value=wishes.thing)
            held = wishes.wrist if isinstance(wishes.wrist, str) else "by the ring"
            self.wrist = gui.add_dropdown("Wrist", (*wrists.POSES, wrists.TUMBLE, "by the ring"), initial_value=held)
            self.reset = gui.add_button("Fresh grasp", hint="new grasp and new counts (key R)")
            self.paused = gui.add_checkbox("Pause", wishes.paused, hint="key P")
            self.speed = gui.add_slider("Speed", 0.1, 1.0, 0.1, max(round(wishes.speed, 1), 0.1))
        with _kept(gui.add_folder("Joints", order=50, expand_by_default=False), make):
            for i, name in enumerate(session.hand.joint_names):
                low, high = (round(float(_DEGREES * limit[i]), 1) for limit in (session.hand.lower, session.hand.upper))
                place = float(np.clip(round(_DEGREES * session.moment.target[i], 1), low, high))
                self._joints.append(gui.add_slider(name, low, high, 0.1, place))
        self._connect(operators)
        self._shake(wishes.shake > 0)
        for label, key, action in (
            ("Shake", "S", self._toggle_shake),
            ("Next kind of help", "H", self._next_help),
            ("Fresh grasp", "R", session.reset),
            ("Pause", "P", lambda: setattr(self.paused, "value", not self.paused.value)),
        ):
            command = gui.add_command(label, hotkey=key)
            command.on_trigger(lambda _, action=action: action())
            make(command)

    def remove(self) -> None:
        """Takes all of it off the client's page."""
        for made in self._made:
            made.remove()

    def follow(self) -> None:
        """Lets the sliders show where the hand is told to be, unless they lead it; now and then is often enough."""
        self._age += 1
        if self.session.wishes.operator != SLIDERS and self._age % FOLLOW_EVERY == 0:
            for slider, value in zip(self._joints, self.session.moment.target, strict=True):
                place = float(np.clip(round(_DEGREES * float(value), 1), slider.min, slider.max))
                if slider.value != place:
                    slider.value = place

    def show_operator(self) -> None:
        """Names the one who commands, who may have taken over by a slider or a handle."""
        label = self._labels[self.session.wishes.operator]
        if self.operator.value != label:
            self.operator.value = label

    def _connect(self, operators: dict[str, str]) -> None:
        on = lambda handle, make: handle.on_update(lambda event: self._wish(**make(event.target.value)))
        self.help.on_click(lambda event: self._help(event.target.value.removeprefix(_MARK)))
        self.shake.on_click(lambda _: self._toggle_shake())
        self.amount.on_update(lambda _: self._shake(self.session.wishes.shake > 0))
        on(self.strength, lambda value: {"strength": value})
        on(self.operator, lambda value: {"operator": operators[value]})
        on(self.thing, lambda value: {"thing": value})
        on(self.wrist, lambda value: {"wrist": self.session.wrist if value == "by the ring" else value})
        on(self.paused, lambda value: {"paused": value})
        on(self.speed, lambda value: {"speed": value})
        self.reset.on_click(lambda _: self.session.reset())
        for slider in self._joints:
            # Only a person's hand on a slider has a client; `follow` has none.
            slider.on_update(lambda event: self._lead() if event.client_id is not None else None)

    def _toggle_shake(self) -> None:
        self._shake(self.session.wishes.shake == 0)

    def _shake(self, on: bool) -> None:
        """Begins or ends the noise on the command, and says so on the button."""
        self._wish(shake=self.amount.value / _DEGREES if on else 0.0)
        self.shake.label, self.shake.color = ("Stop shaking", "red") if on else ("Shake", None)

    def _lead(self) -> None:
        """The sliders have the command from the moment one of them is moved."""
        joints = np.array([slider.value for slider in self._joints]) / _DEGREES
        self._wish(joints=np.clip(joints, self.session.hand.lower, self.session.hand.upper), operator=SLIDERS)
        self.show_operator()

    def _next_help(self) -> None:
        self._help(HELP[(HELP.index(self.session.wishes.help) + 1) % len(HELP)])

    def _help(self, kind: str) -> None:
        """Changes the kind of help, and marks the button of the one in force."""
        self._wish(help=kind)
        self.help.options = _marked(self.session.wishes.help)

    def _wish(self, **changes: Any) -> None:
        try:
            self.session.wish(**changes)
        except ValueError as error:
            self._refuse(str(error))


def _marked(help_given: str) -> tuple[str, ...]:
    """The labels of the kinds of help: the buttons of a group do not show by themselves which was pressed."""
    return tuple(_MARK + kind if kind == help_given else kind for kind in HELP)


def _kept(folder: Any, make: Callable[[Any], None]) -> Any:
    make(folder)
    return folder


def _plot(gui: Any, title: str, lines: dict[str, str]) -> Any:
    series = ({"label": "s"}, *({"label": name, "stroke": colour, "width": 1.6} for name, colour in lines.items()))
    empty = tuple(np.array([0.0, SHOWN]) if i == 0 else np.zeros(2) for i in range(len(series)))
    return gui.add_uplot(
        empty, series, title=title, height=136, scales={"x": {"time": False}}, legend={"show": False},
        cursor={"show": False}, axes=({"size": 34}, {"size": 44}),
    )  # fmt: skip
