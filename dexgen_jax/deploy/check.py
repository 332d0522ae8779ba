"""Whether an exported file acts like the controller: a hundred ticks that meet everything, through both.

All modes, strengths from none to infinite, commands too far, readings that are late, from the future or no numbers,
the off switch.
"""

import functools
from pathlib import Path

import jax
import numpy as np

from dexgen_jax.controller import controller as control
from dexgen_jax.controller import fields, tick_input
from dexgen_jax.controller.controller import Controller
from dexgen_jax.deploy import tick
from dexgen_jax.deploy.exported import Exported

COUNT = 100


def inputs(controller: Controller) -> dict[str, np.ndarray]:
    """The inputs of `COUNT` ticks by the names of the contract, each with a leading axis for the tick."""
    hand, rng, count = controller.model.hand, np.random.default_rng(1), COUNT
    middle = ((hand.lower + hand.upper) / 2).astype(np.float32)
    walk = middle + np.cumsum(0.02 * rng.standard_normal((count, hand.num_joints)), axis=0)
    q = walk + 0.01 * rng.standard_normal(walk.shape)
    q[10, 3], q[20, 5], q[30] = np.nan, np.inf, 50.0
    offsets = 0.05 * rng.standard_normal((count, hand.num_keypoints, 3))
    offsets[40, 2, 1] = np.nan
    named = {
        "q": q,
        "target": walk,
        "age": rng.choice([0.01, 0.01, 0.01, 0.01, 0.01, 0.01, -0.002, 0.5, -0.5], count),
        "command_offsets": offsets,
        "command_weight": rng.uniform(0, 1, offsets.shape[:2]),
        "command_target": walk + 0.3 * rng.standard_normal(walk.shape),
        "strength": rng.choice([0.0, 0.03, 0.3, 10.0, np.inf, -1.0, np.nan], count),
    }
    quiet = tick_input.read({}, tick_input.options(fields.sizes(controller.model)), {})
    return {
        **{name: np.stack([value] * count) for name, value in quiet.items()},
        **{name: value.astype(np.float32) for name, value in named.items()},
        "mode": (np.arange(count) % 3).astype(np.int32),
        "released": np.arange(count) % 13 == 0,
        "key": rng.integers(2**32, size=(count, 2), dtype=np.uint32),
    }


def first(controller: Controller) -> dict[str, np.ndarray]:
    """The state before the first tick."""
    hand = controller.model.hand
    middle = ((hand.lower + hand.upper) / 2).astype(np.float32)
    return {name: np.asarray(value) for name, value in vars(control.reset(controller.model, middle, middle)).items()}


def expected(controller: Controller) -> dict[str, np.ndarray]:
    """What the controller's own `act` gives for them, (COUNT, ...) each, in sequence from `first`."""
    act = jax.jit(functools.partial(control.act, controller.model, settings=controller.settings))
    said = inputs(controller)
    state, outputs = control.State(**first(controller)), []
    for now in range(COUNT):
        told = tick.from_arrays({name: value[now] for name, value in said.items()})
        action, state, diagnostics = act(controller.weights, state, told)
        outputs.append({"action": action, **vars(diagnostics)})
    return {name: np.stack([output[name] for output in outputs]) for name in outputs[0]}


def difference_of_zip(controller: Controller, path: str | Path) -> float:
    """The largest difference [rad] of any joint target in `COUNT` ticks through the file that `export.write` wrote."""
    file, state, said, actions = Exported(path, kinds=()), first(controller), inputs(controller), []
    for now in range(COUNT):
        outputs, state = file.tick(state, {name: value[now] for name, value in said.items()})
        actions.append(outputs["action"])
    return float(np.max(np.abs(np.stack(actions) - expected(controller)["action"])))


def difference_of_onnx(controller: Controller, path: str | Path, count: int = 5) -> float:
    """The same for the first `count` ticks through the graph that `onnx_file.write` wrote, run by onnxruntime.

    Few, for the noise that JAX draws in each is found by going through the tick number by number, which is slow.
    """
    import onnxruntime  # of an extra, and only this function's

    from dexgen_jax.deploy import onnx_file

    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    closed, before, _ = onnx_file.trace(controller)
    state, said, actions = first(controller), inputs(controller), []
    for now in range(count):
        told = {name: np.asarray(value[now]) for name, value in said.items()}
        told |= {f"state_{name}": value for name, value in state.items()}
        walk = onnx_file.Walk()
        walk.run(closed, [told[name] for name in before])
        del told["key"]
        noise = {onnx_file.noise_name(i): value for i, (_, value) in enumerate(walk.noise)}
        outputs = dict(zip(names, session.run(None, told | noise), strict=True))
        state = {name: outputs[f"next_{name}"] for name in state}
        actions.append(outputs["action"])
    return float(np.max(np.abs(np.stack(actions) - expected(controller)["action"][:count])))
