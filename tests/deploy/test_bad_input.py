"""One meaning of bad input: the same tick through every entry, and what the hand is told to do compared.

Wrong numbers are answered by the tick: held, or not heard, with the events that say so. What is no number, or not as
many as belong there, or a name that does not exist, is an error, and nothing has happened.
"""

import copy
import threading

import numpy as np
import pytest
from counting_session import MIDDLE
from test_loop import FakeClock, FakeRobot

from dexgen_jax.controller.safety import Event
from dexgen_jax.deploy import contract, loop
from dexgen_jax.deploy.client import Client
from dexgen_jax.deploy.server import Server

NAN, INF = np.float32(np.nan), np.float32(np.inf)
TARGET, WISH = MIDDLE + np.float32(0.05), MIDDLE + np.float32(0.1)
GOOD = {"q": MIDDLE, "target": TARGET, "command": WISH, "strength": np.inf}
BAD_READING, LATE, BAD_ACTION, REFUSED, CLIPPED = (
    Event.BAD_READING,
    Event.LATE,
    Event.BAD_ACTION,
    Event.COMMAND_REFUSED,
    Event.COMMAND_CLIPPED,
)
CUT = Event.ACTION_CLIPPED


def but(joints, value, joint=5):
    """The joints, one of them with another value."""
    joints = np.array(joints, np.float64)
    joints[joint] = value
    return joints


# What is said instead of `GOOD`, and the events of that tick; the hand is held if they say so.
JUDGED = {
    "q NaN": ({"q": but(MIDDLE, np.nan)}, BAD_READING),
    "q infinite": ({"q": but(MIDDLE, -np.inf)}, BAD_READING),
    "q beyond 32 bits": ({"q": but(MIDDLE, 1e300)}, BAD_READING),
    "q in degrees": ({"q": np.degrees(MIDDLE)}, BAD_READING),
    "q masked": ({"q": np.ma.masked_array(MIDDLE, MIDDLE > 0.8)}, BAD_READING),
    "target NaN": ({"target": but(TARGET, np.nan)}, BAD_READING | REFUSED),
    "target infinite": ({"target": but(TARGET, np.inf)}, BAD_READING),
    "target far outside": ({"target": but(TARGET, 3.0)}, BAD_READING),
    "command NaN": ({"command": but(WISH, np.nan)}, REFUSED),
    "command outside": ({"command": but(WISH, 9.0)}, CLIPPED),
    "command infinite": ({"command": but(WISH, np.inf)}, CLIPPED),
    "command beyond 32 bits": ({"command": but(WISH, 1e300)}, CLIPPED),
    "strength NaN": ({"strength": np.nan}, REFUSED),
    "strength negative": ({"strength": -1.0}, REFUSED),
    "strength beyond 32 bits": ({"strength": 1e300}, 0),
    "strength an int of 70 bits": ({"strength": 2**70}, 0),
    "reading late": ({"age": 0.2}, LATE),
    "age NaN": ({"age": np.nan}, LATE),
    "age infinite": ({"age": np.inf}, LATE),
    "clock 2 ms ahead": ({"age": -0.002}, 0),
    "clock 5 s ahead": ({"age": -5.0}, LATE),
    "released, command NaN": ({"released": True, "command": but(WISH, np.nan)}, BAD_ACTION | REFUSED),
    "released, strength NaN": ({"released": True, "strength": np.nan}, 0),
    "released, no command": ({"released": True, "command": None}, 0),
    "no command, strength NaN": ({"command": None, "strength": np.nan}, 0),
}
NO_NUMBERS = {
    "too few": MIDDLE[:12],
    "too many": np.tile(MIDDLE, 2),
    "a row": MIDDLE[None],
    "none": np.zeros(0),
    "one": np.float32(1),
    "text": MIDDLE.astype(str),
    "complex": MIDDLE.astype(complex),
    "flags": MIDDLE > 0,
    "dates": MIDDLE.astype("datetime64[s]"),
    "objects": [None] * len(MIDDLE),
    "ragged": [[0.0], *MIDDLE[1:].tolist()],
}
# Faults of a program; the message names what is wrong.
FAULTS = {
    **{f"{name}: {what}": ({name: value}, name) for name in ("q", "target", "command")
       for what, value in NO_NUMBERS.items()},
    "q missing": ({"q": None}, "q"),
    "target missing": ({"target": None}, "target"),
    **{f"{name}: {what}": ({name: value}, name) for name in ("age", "strength")
       for what, value in {"text": "0.1", "flag": True, "list": [0.1], "complex": 1j}.items()},
    **{f"released: {value!r}": ({"released": value}, "released") for value in (0, 1, "false", None, [True])},
    **{f"mode: {value!r}": ({"mode": value}, "mode") for value in ("spin", "Default", "", 0, None, ["default"])},
    **{f"kind: {value!r}": ({"kind": value}, "kind") for value in ("thought", "", 0, None, ["joints"])},
}  # fmt: skip


class InProcess:
    """`Controller.act`."""

    def __init__(self, controller):
        self.hand = copy.copy(controller)

    def reset(self):
        self.hand.reset(MIDDLE, TARGET)

    def act(self, said):
        """Returns the action, and the events' bits if this entry tells them."""
        action, told = self.hand.act(**said)
        return action, int(told.events)


class File(InProcess):
    """`Exported.act`."""

    def act(self, said):
        action, told = self.hand.act(**said)
        return action, int(told["events"])


class Remote:
    """`Client.act`, of a server in another thread."""

    def __init__(self, address):
        self.client = Client(address, timeout_s=120)

    def reset(self):
        self.client.reset(MIDDLE, TARGET)

    def act(self, said):
        action, told = self.client.act(**said)
        return action, sum(Event[name] for name in told["events"])


class Loop(Remote):
    """One turn of `loop.run` around the client; the reading is the robot's."""

    def act(self, said):
        robot, said = FakeRobot(FakeClock(), [said["q"]]), said.copy()
        del said["q"]
        target = said.pop("target")
        loop.run(robot, lambda q, target: self.client.act(q, target, **said)[0], target, 10, 1, clock=robot.clock)
        return robot.set[0], None


class Raw:
    """The exported function itself: arrays by the names of the contract. `run(state, inputs)` -> outputs, state."""

    def __init__(self, file, run):
        self.file, self.run = file, run

    def reset(self):
        self.file.reset(MIDDLE, TARGET)
        self.state = {name: np.asarray(value) for name, value in self.file._state.items()}

    def act(self, said):
        fields = self.file.contract["inputs"].items()
        said = {name: np.full(each["shape"], each["default"]) for name, each in fields if "default" in each} | said
        command = said.pop("command")
        asked = self.file._command(np.float32(said["target"]), command, "joints")
        said["strength"] = 0.0 if command is None else said["strength"]
        inputs = {f"command_{name}": np.asarray(value) for name, value in asked.items()}
        inputs["key"] = np.zeros(2, np.uint32)
        types = {name: field["dtype"] for name, field in fields}
        with np.errstate(over="ignore"):
            inputs |= {name: np.asarray(np.ma.filled(value, np.nan), types[name]) for name, value in said.items()}
        outputs, self.state = self.run(self.state, inputs)
        return np.asarray(outputs["action"]), int(outputs["events"])


def onnx_runner(path):
    """The tick of an ONNX file, called as that of a StableHLO file; with noise in place of the key."""
    opened = pytest.importorskip("onnxruntime").InferenceSession(path)
    names = [output.name for output in opened.get_outputs()]

    def run(state, inputs):
        inputs = {name: value for name, value in inputs.items() if name != "key"}
        inputs["noise"] = np.zeros((2, 8, 3), np.float32)
        state = {f"state_{name}": value for name, value in state.items()}
        outputs = dict(zip(names, opened.run(None, inputs | state), strict=True))
        return outputs, {name: outputs[name.replace("state", "next")] for name in state}

    def stripped(state, inputs):
        outputs, after = run(state, inputs)
        return outputs, {name.removeprefix("state_"): value for name, value in after.items()}

    return stripped


@pytest.fixture(scope="module")
def entries(controller, robot, graph):
    """Every entry by its name; those in `raw` take arrays only."""
    controller.reset(MIDDLE)
    server = Server(contract.describe(controller), lambda: copy.copy(controller), "tcp://127.0.0.1:*")
    over = threading.Event()
    thread = threading.Thread(target=server.serve, args=(over.is_set,))
    thread.start()
    found = {
        "in process": InProcess(controller),
        "file": File(robot),
        "remote": Remote(server.address),
        "loop": Loop(server.address),
        "raw StableHLO": Raw(copy.copy(robot), robot.tick),
        "raw ONNX": Raw(copy.copy(robot), onnx_runner(graph)),
    }
    yield found
    for name in ("remote", "loop"):
        found[name].client.close()
    over.set()
    thread.join(120)
    server.close()


@pytest.mark.parametrize("case", JUDGED)
def test_wrong_numbers_are_judged_by_the_tick_wherever_they_come_in(case, entries):
    instead, wanted = JUDGED[case]
    target = np.float32(np.where(np.abs(instead.get("target", TARGET)) < 2, instead.get("target", TARGET), np.nan))
    for name, entry in entries.items():
        entry.reset()
        before, _ = entry.act(GOOD)
        action, events = entry.act(GOOD | instead)
        if events is not None:
            assert events & ~CUT == wanted, f"{name}: {Event(events)!r}"
        if wanted & Event.HELD:
            held = TARGET if np.isfinite(target).all() else before
            if name == "loop" and not np.isfinite(target).all():
                continue  # a loop that holds nothing sound has been started with nothing sound
            np.testing.assert_array_equal(action, held, err_msg=name)
        assert np.isfinite(action).all() and np.abs(action - TARGET).max() < 0.1501, name
        if wanted == 0 and "released" in instead:
            np.testing.assert_array_equal(action, TARGET if instead.get("command", WISH) is None else WISH, name)
        after, events = entry.act(GOOD)  # as if nothing had been
        assert np.isfinite(after).all() and not (events or 0) & ~CUT, f"{name}: {events}"


@pytest.mark.parametrize("sign", [1, -1])
def test_an_int_that_no_float_holds_is_infinite(sign, entries):
    for name in ("in process", "file", "remote"):
        entry, heard = entries[name], []
        for value in (sign * 10**400, sign * np.inf):
            entry.reset()
            heard.append([entry.act(GOOD | {"strength": value})[1], entry.act(GOOD | {"age": value})[1]])
            heard[-1].append(entry.act(GOOD | {"q": [value, *MIDDLE[1:].tolist()]})[1])
        assert heard[0] == heard[1] and heard[0][1] == LATE and heard[0][2] == BAD_READING, name


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_a_program_is_an_error_that_names_it_and_nothing_has_happened(case, entries):
    instead, name = FAULTS[case]
    for entry in (entries[each] for each in ("in process", "file", "remote")):
        entry.reset()
        with pytest.raises(ValueError, match=rf"\b{name}\b|inhomogeneous"):
            entry.act(GOOD | instead)
        assert not entry.act(GOOD)[1] & ~CUT
    if name == "q":  # the robot's own fault, not the program's: the hand is held
        np.testing.assert_array_equal(entries["loop"].act(GOOD | instead)[0], TARGET)


@pytest.mark.parametrize("name", ["in process", "file", "remote"])
def test_the_joint_targets_are_the_callers_to_change(name, entries):
    entries[name].reset()
    action, _ = entries[name].act(GOOD)
    told = action.copy()
    action += 0.1
    np.testing.assert_array_equal(action, told + np.float32(0.1))


@pytest.mark.parametrize("value", [0.1, "much", None])
def test_an_option_that_does_not_exist_is_named_with_those_that_do(value, entries):
    for entry in (entries[each] for each in ("in process", "file", "remote")):
        entry.reset()
        with pytest.raises(ValueError, match=r"'strenght'.*\bage, mode, strength, released"):
            entry.act(GOOD | {"strenght": value})
        assert not entry.act(GOOD)[1] & ~CUT
    with pytest.raises(ValueError, match=r"'alpha'.*\bstrength"):
        entries["file"].act(GOOD | {"alpha": 1.0})
    with pytest.raises(ValueError, match=r"'alpha'.*\bstrength"):
        entries["remote"].act(GOOD | {"alpha": 1.0})


@pytest.mark.parametrize("mode", [-1, 3, 2**31 - 1])
@pytest.mark.parametrize("name", ["raw StableHLO", "raw ONNX"])
def test_a_number_that_is_no_mode_moves_nothing(mode, name, entries):
    entries[name].reset()
    action, events = entries[name].act(GOOD | {"mode": mode})
    assert events & ~CUT == BAD_ACTION
    np.testing.assert_array_equal(action, TARGET)


@pytest.mark.parametrize("wrong", [MIDDLE[:12], MIDDLE[None], np.zeros(0, np.float32)])
@pytest.mark.parametrize("what", ["q", "target"])
@pytest.mark.parametrize("name", ["raw StableHLO", "raw ONNX"])
def test_arrays_of_another_shape_do_not_enter_a_file(name, what, wrong, entries):
    entry = entries[name]
    entry.reset()
    told = entry.state
    with pytest.raises(Exception, match="(?i)shape|dimension|rank|aval|argument"):
        entry.act(GOOD | {what: wrong})
    assert entry.state is told


@pytest.mark.parametrize("wrong", [MIDDLE * NAN, MIDDLE + np.float32(np.pi), MIDDLE[:12], MIDDLE.astype(str), None])
def test_no_entry_begins_with_a_reading_that_a_tick_would_not_believe(wrong, entries):
    for each in (entries["in process"].hand, entries["file"].hand, entries["remote"].client):
        for readings in ((wrong, MIDDLE), (MIDDLE, wrong) if wrong is not None else (wrong,)):
            with pytest.raises(ValueError):
                each.reset(*readings)


def test_no_entry_acts_before_a_reset(controller, robot, entries):
    fresh = [copy.copy(controller), copy.copy(robot)]
    fresh[0].state = fresh[1]._state = None
    with Client(entries["remote"].client.address) as client:
        for each in (*fresh, client):
            with pytest.raises(RuntimeError, match=r"call reset\(q\)"):
                each.act(MIDDLE, MIDDLE)
