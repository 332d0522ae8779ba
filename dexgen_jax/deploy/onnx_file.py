"""Writes the whole guided tick as an ONNX graph, straight from the jaxpr that JAX traces of it.

Guidance is included: its gradient is in the jaxpr like everything else. ONNX has no random bits that would be the same
everywhere, so each draw of standard normal noise becomes an input, `noise`; loops are unrolled.
Needs the `onnx` package (`pip install 'dexgen_jax[onnx]'`); what it writes needs onnxruntime and numpy alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

try:
    import onnx
    from onnx import helper
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("an ONNX file needs onnx: pip install 'dexgen_jax[onnx]'") from error

from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.fields import Field
from dexgen_jax.deploy import contract, tick
from dexgen_jax.deploy.onnx_rules import Graph, Name, Value, apply, compute
from dexgen_jax.run_log import atomic_write, to_json

OPSET, IR_VERSION = 18, 9  # of 2022 and 2023: what any runtime in use reads
INLINED = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr",
           "custom_vjp_call": "call_jaxpr", "remat": "jaxpr", "checkpoint": "jaxpr"}  # fmt: skip
DRAW = "_normal"  # what jax.random.normal is called in a jaxpr


class Bits(Name):
    """A random key or bits of it, which an ONNX graph does not have."""


class Walk:
    """Goes through a jaxpr once: computes what is known and builds a graph of the rest."""

    def __init__(self) -> None:
        """Starts with an empty graph."""
        self.graph = Graph()
        self.noise: list[tuple[tuple[int, ...], Value]] = []  # shape and value of each normal draw, in order

    def run(self, closed: ClosedJaxpr, inputs: Sequence[Value]) -> list[Value]:
        """Returns the outputs; with known inputs all of them are known, and this is JAX itself, slowly."""
        return self._jaxpr(closed.jaxpr, [np.asarray(const) for const in closed.consts], inputs)

    def _jaxpr(self, jaxpr: Jaxpr, consts: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
        values: dict[Var, Value] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))

        def read(atom: Var | Literal) -> Value:
            return np.asarray(atom.val, atom.aval.dtype) if isinstance(atom, Literal) else values[atom]

        for eqn in jaxpr.eqns:
            outputs = self._equation(eqn, [read(atom) for atom in eqn.invars])
            values.update(zip(eqn.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, eqn: JaxprEqn, inputs: list[Value]) -> list[Value]:
        primitive, params = eqn.primitive.name, eqn.params
        if params.get("name") == DRAW:
            return [self._draw(eqn, inputs)]
        if primitive in INLINED:
            inner = params[INLINED[primitive]]
            closed = inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())
            return self.run(closed, inputs)
        if primitive == "scan":
            return self._scan(eqn, inputs)
        if any(isinstance(value, Bits) for value in inputs):
            if any(jax.dtypes.issubdtype(var.aval.dtype, np.floating) for var in eqn.outvars):
                raise NotImplementedError(f"random numbers by {primitive!r}: only jax.random.normal becomes an input")
            return [Bits() for _ in eqn.outvars]
        if not any(isinstance(value, Name) for value in inputs):
            return list(map(_known, compute(eqn, inputs)))
        return apply(self.graph, eqn, inputs)

    def _draw(self, eqn: JaxprEqn, inputs: list[Value]) -> Value:
        shape = eqn.outvars[0].aval.shape
        if isinstance(inputs[0], Bits):
            value = Name(noise_name(len(self.noise)))
        else:
            (value,) = jaxpr_as_fun(eqn.params["jaxpr"])(*inputs)
            value = np.asarray(value)
        self.noise.append((shape, value))
        return value

    def _scan(self, eqn: JaxprEqn, inputs: list[Value]) -> list[Value]:
        """Unrolls a loop that returns its last state only and reads known sequences, as the sampler's does."""
        params = eqn.params
        split = params["num_consts"], params["num_consts"] + params["num_carry"]
        consts, carry, sequences = inputs[: split[0]], inputs[split[0] : split[1]], inputs[split[1] :]
        if len(eqn.outvars) != len(carry) or any(isinstance(sequence, Name) for sequence in sequences):
            raise NotImplementedError("a scan over, or into, a sequence known only at run time")
        places = range(params["length"])
        for i in reversed(places) if params["reverse"] else places:
            carry = self.run(params["jaxpr"], [*consts, *carry, *(sequence[i] for sequence in sequences)])
        return carry


def noise_name(draw: int) -> str:
    """The input's name for one draw, counted from 0."""
    return f"noise_{draw}" if draw else "noise"


def trace(controller: Controller) -> tuple[ClosedJaxpr, list[str], list[str]]:
    """Returns the tick's jaxpr with the weights in it, and the names of its flat inputs and outputs.

    The state goes in as state_q, state_target, state_safe and comes out as next_q, ...; an output that has an input's
    name is told_...
    """
    weights, function = tick.weight_arrays(controller), tick.tick_function(controller)
    state, inputs, outputs = contract.parts(controller.model).values()
    closed = jax.make_jaxpr(lambda state, inputs: function(weights, state, inputs))(
        contract.specs(state), contract.specs(inputs)
    )
    # jax flattens a dict by sorted key
    before = [f"state_{name}" for name in sorted(state)] + sorted(inputs)
    after = [f"told_{name}" if name in inputs else name for name in sorted(outputs)]
    return closed, before, after + [f"next_{name}" for name in sorted(state)]


def write(controller: Controller, path: str | Path) -> dict[str, Any]:
    """Writes `controller`, its settings built in, to `path` (.onnx); returns the contract, which the file holds too."""
    closed, before, after = trace(controller)
    walk = Walk()
    outputs = walk.run(closed, [Bits() if name == "key" else Name(name) for name in before])
    told = [(name, aval) for name, aval in zip(before, closed.in_avals, strict=True) if name != "key"]
    told += [(name, jax.ShapeDtypeStruct(shape, np.float32)) for shape, name in walk.noise]
    terms, drawn = contract.describe(controller), "standard normal, fresh in every tick"
    del terms["inputs"]["key"]
    noise = {name: Field(shape, "float32", drawn) for shape, name in walk.noise}
    terms["inputs"] |= contract.plain(noise)
    _write(path, walk.graph, told, list(zip(after, closed.out_avals, outputs, strict=True)), terms)
    return terms


def write_joint_command(controller: Controller, path: str | Path) -> None:
    """Writes what turns joint targets `wanted` in place of `target` (n,) [rad] into the tick's command_... inputs."""
    joints = jax.ShapeDtypeStruct((controller.model.hand.num_joints,), np.float32)
    closed = jax.make_jaxpr(tick.command_function(controller, "joints"))(joints, joints)
    walk, before = Walk(), ("target", "wanted")
    outputs = walk.run(closed, [Name(name) for name in before])
    after = sorted(name for name in contract.parts(controller.model)["inputs"] if name.startswith(contract.COMMAND))
    told = list(zip(before, closed.in_avals, strict=True))
    _write(path, walk.graph, told, list(zip(after, closed.out_avals, outputs, strict=True)), {})


def _write(
    path: str | Path, graph: Graph, inputs: list[tuple[str, Any]], outputs: list[tuple[str, Any, Value]], terms: dict
) -> None:
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"an ONNX graph is a .onnx file, got {path.name!r}")
    # Every output by its own name, also one that is an input passed on, or known.
    named = [helper.make_node("Identity", [graph.name(value)], [name]) for name, _, value in outputs]
    proto = helper.make_graph(
        [*graph.nodes, *named],
        path.stem,
        [_info(*one) for one in inputs],
        [_info(name, aval) for name, aval, _ in outputs],
        list(graph.constants.values()),
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, {"contract": to_json(terms)})
    onnx.checker.check_model(model)
    atomic_write(path, model.SerializeToString())


def _info(name: str, aval: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(aval.dtype)), aval.shape)


def _known(value: Any) -> Any:
    return value if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key) else np.asarray(value)
