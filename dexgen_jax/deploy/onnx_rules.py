"""JAX primitives in ONNX's words: one rule for each, no converter package.

A value is a NumPy array if it is known while the graph is built, and a `Name` in the graph if not. Operations on known
values never get here: `compute` does them beforehand, so what JAX computes from weights and schedules alone costs
nothing at run time, and indices are mostly known.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from jax.extend.core import JaxprEqn
from onnx import helper


class Name(str):
    """The name of a tensor in the graph."""


Value = np.ndarray | Name


class Graph:
    """ONNX nodes and constants, gathered one by one."""

    def __init__(self) -> None:
        """Starts empty."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple, onnx.TensorProto] = {}
        self._count = 0

    def add(self, operator: str, *inputs: Value, **attributes: Any) -> Name:
        """Adds a node and returns the name of its (first) output."""
        self._count += 1
        name = Name(f"t{self._count}")
        self.nodes.append(helper.make_node(operator, [self.name(value) for value in inputs], [name], **attributes))
        return name

    def name(self, value: Value) -> Name:
        """The name of a value; a known one becomes a constant, once however often it is used."""
        if isinstance(value, Name):
            return value
        value = np.asarray(value)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            self.constants[key] = onnx.numpy_helper.from_array(value.copy(order="C"), f"c{len(self.constants)}")
        return Name(self.constants[key].name)

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same numbers in another shape."""
        if isinstance(value, np.ndarray):
            return value.reshape(shape)
        return self.add("Reshape", value, np.array(shape, np.int64))

    def cast(self, value: Value, dtype: Any) -> Name:
        """The same numbers in another type."""
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


Rule = Callable[[Graph, JaxprEqn, list[Value]], Value]

ELEMENTWISE = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min",
    "pow": "Pow", "neg": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos", "tanh": "Tanh",
    "sqrt": "Sqrt", "logistic": "Sigmoid", "floor": "Floor", "sign": "Sign", "eq": "Equal", "lt": "Less",
    "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip
LOGICAL = {"and": ("And", "BitwiseAnd"), "or": ("Or", "BitwiseOr"), "not": ("Not", "BitwiseNot")}

RESHAPES = {"reshape", "squeeze", "expand_dims", "copy", "copy_p"}  # the same numbers in the same order
# What only moves numbers about: each result is one of the operands' numbers.
MOVES = set(
    "broadcast_in_dim transpose rev slice dynamic_slice dynamic_update_slice concatenate "
    "stack tile split pad gather scatter".split()
)


def _broadcast(x: np.ndarray, shape: tuple[int, ...], broadcast_dimensions: tuple[int, ...], **_: Any) -> np.ndarray:
    sizes = [1] * len(shape)
    for size, place in zip(x.shape, broadcast_dimensions, strict=True):
        sizes[place] = size
    return np.broadcast_to(x.reshape(sizes), shape)


def _slice(x: np.ndarray, start_indices: Any, limit_indices: Any, strides: Any) -> np.ndarray:
    return x[tuple(map(slice, start_indices, limit_indices, strides or [None] * x.ndim))]


# The commonest that only move numbers: JAX would compile a program for each of their shapes.
IN_NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda *pieces, dimension: np.concatenate(pieces, dimension),
    "reshape": lambda x, new_sizes, **_: x.reshape(new_sizes),
    "slice": _slice,
    "squeeze": lambda x, dimensions: x.squeeze(dimensions),
    "transpose": lambda x, permutation: x.transpose(permutation),
}


def compute(eqn: JaxprEqn, inputs: list[Value]) -> list[Any]:
    """Does one equation on known values: JAX calculates, and NumPy moves."""
    if eqn.primitive.name in IN_NUMPY:
        return [IN_NUMPY[eqn.primitive.name](*inputs, **eqn.params)]
    found = eqn.primitive.bind(*inputs, **eqn.params)
    return list(found) if eqn.primitive.multiple_results else [found]


def apply(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> list[Value]:
    """Adds what one equation computes. Raises NotImplementedError naming a primitive that has no rule."""
    primitive = eqn.primitive.name
    if primitive in RESHAPES:
        return [graph.reshape(inputs[0], eqn.outvars[0].aval.shape)]
    if primitive in MOVES:
        return _move(graph, eqn, inputs)
    if primitive in ELEMENTWISE:
        return [graph.add(ELEMENTWISE[primitive], *inputs)]
    if primitive in LOGICAL:
        bits = eqn.outvars[0].aval.dtype != bool
        return [graph.add(LOGICAL[primitive][bits], *inputs)]
    if primitive not in RULES:
        raise NotImplementedError(f"no rule says {primitive!r} in ONNX: {eqn.invars} -> {eqn.outvars}")
    return [RULES[primitive](graph, eqn, inputs)]


def _move(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> list[Value]:
    """Moves numbers by a table of where each comes from, which the operation itself makes by moving numbered places.

    Operands are data, all but indices and starts; those must be known, or be one index into the first axis.
    """
    data = {"gather": 1, "dynamic_slice": 1, "scatter": 3, "dynamic_update_slice": 2}.get(eqn.primitive.name)
    pieces = [i for i in range(len(inputs)) if data is None or i in ((0, 2) if data == 3 else range(data))]
    if any(isinstance(inputs[i], Name) for i in range(len(inputs)) if i not in pieces):
        return [_pick_row(graph, eqn, inputs)]
    places, start = list(inputs), 0
    for i in pieces:
        aval = eqn.invars[i].aval
        places[i] = np.arange(start, start + aval.size, dtype=np.int32).reshape(aval.shape)
        start += aval.size
    tables = compute(eqn, places)
    flat = [graph.reshape(inputs[i], (-1,)) for i in pieces]
    source = flat[0] if len(flat) == 1 else graph.add("Concat", *flat, axis=0)
    return [_take(graph, source, start, np.asarray(table)) for table in tables]


def _take(graph: Graph, source: Value, size: int, table: np.ndarray) -> Value:
    """Takes the numbers at `table` from a flat `source` of `size`, the cheapest way there is."""
    flat = table.reshape(-1)
    if size == 1:
        value = graph.reshape(source, (1,) * table.ndim)
        return graph.add("Expand", value, np.array(table.shape, np.int64)) if table.size > 1 else value
    if np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        if flat.size < size:
            ends = np.array([flat[0]], np.int64), np.array([flat[0] + flat.size], np.int64)
            source = graph.add("Slice", source, *ends, np.array([0], np.int64))
        return graph.reshape(source, table.shape)
    return graph.add("Gather", source, table, axis=0)


def _pick_row(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> Value:
    """Reads one row of the first axis, at an index that is known only at run time; ONNX refuses one out of bounds."""
    operand, index, *rest = inputs
    shape = eqn.invars[0].aval.shape
    whole_rows = tuple(eqn.params.get("slice_sizes", ())) == (1, *shape[1:]) and not any(np.any(i) for i in rest)
    if eqn.primitive.name == "gather":
        whole_rows &= tuple(eqn.params["dimension_numbers"].start_index_map) == (0,)
        whole_rows &= eqn.invars[1].aval.shape == (1,)
    if not whole_rows:
        raise NotImplementedError(f"{eqn.primitive.name!r} at indices known only at run time, but for whole rows")
    row = graph.add("Gather", operand, graph.reshape(index, (1,)), axis=0)
    return graph.reshape(row, eqn.outvars[0].aval.shape)


def _matmul(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> Value:
    """A contraction as a product of matrices: (batch, free, summed) times (batch, summed, free)."""
    summed, batch = eqn.params["dimension_numbers"]
    sides = []
    for i, value in enumerate(inputs):
        shape = eqn.invars[i].aval.shape
        free = [axis for axis in range(len(shape)) if axis not in (*summed[i], *batch[i])]
        order = [*batch[i], *free, *summed[i]] if i == 0 else [*batch[i], *summed[i], *free]
        sizes = [math.prod(shape[axis] for axis in axes) for axes in ((free, summed[0]), (summed[1], free))[i]]
        if order != sorted(order):
            known = isinstance(value, np.ndarray)
            value = value.transpose(order) if known else graph.add("Transpose", value, perm=order)
        sides.append(graph.reshape(value, (*(shape[axis] for axis in batch[i]), *sizes)))
    return graph.reshape(graph.add("MatMul", *sides), eqn.outvars[0].aval.shape)


def _reduce(operator: str, through: Any = None) -> Rule:
    """Reduces over axes, if need be `through` another type: ONNX has no `all` and no `any`."""

    def rule(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> Value:
        value = inputs[0] if through is None else graph.cast(inputs[0], through)
        axes = np.array([int(axis) for axis in eqn.params["axes"]], np.int64)
        value = graph.add(operator, value, axes, keepdims=0)
        return value if through is None else graph.cast(value, eqn.outvars[0].aval.dtype)

    return rule


def _arg(operator: str) -> Rule:
    def rule(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> Value:
        (axis,) = eqn.params["axes"]
        return graph.cast(graph.add(operator, inputs[0], axis=int(axis), keepdims=0), eqn.params["index_dtype"])

    return rule


def _select(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> Value:
    which, *cases = inputs
    if len(cases) != 2 or eqn.invars[0].aval.dtype != bool:
        raise NotImplementedError("a choice among more than two values")
    return graph.add("Where", which, cases[1], cases[0])


def _is_finite(graph: Graph, eqn: JaxprEqn, inputs: list[Value]) -> Value:
    return graph.add("Not", graph.add("Or", graph.add("IsNaN", inputs[0]), graph.add("IsInf", inputs[0])))


RULES: dict[str, Rule] = {
    "dot_general": _matmul,
    "select_n": _select,
    "is_finite": _is_finite,
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_and": _reduce("ReduceMin", np.int32),
    "reduce_or": _reduce("ReduceMax", np.int32),
    "argmin": _arg("ArgMin"),
    "argmax": _arg("ArgMax"),
    "ne": lambda graph, eqn, x: graph.add("Not", graph.add("Equal", *x)),
    "square": lambda graph, eqn, x: graph.add("Mul", x[0], x[0]),
    "rsqrt": lambda graph, eqn, x: graph.add("Reciprocal", graph.add("Sqrt", x[0])),
    "integer_pow": lambda graph, eqn, x: graph.add("Pow", x[0], np.float32(eqn.params["y"])),
    "clamp": lambda graph, eqn, x: graph.add("Min", graph.add("Max", x[1], x[0]), x[2]),
    "convert_element_type": lambda graph, eqn, x: graph.cast(x[0], eqn.params["new_dtype"]),
}
