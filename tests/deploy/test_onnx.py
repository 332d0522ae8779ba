import json
import sys
import textwrap
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import processes
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from dexgen_jax.controller import controller as control  # noqa: E402
from dexgen_jax.controller.commands import joints  # noqa: E402
from dexgen_jax.controller.controller import Controller  # noqa: E402
from dexgen_jax.deploy import check, onnx_file, onnx_rules, tick  # noqa: E402


def session(model) -> "runtime.InferenceSession":
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(model if isinstance(model, bytes) else str(model), options)


def run(opened, inputs):
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(None, {k: np.asarray(v) for k, v in inputs.items()}), strict=True))


def reference(controller):
    """The controller's own `act` with the normal numbers it draws given to it, one array for each draw."""

    @jax.jit
    def act(noise, state, told):
        given = iter(noise)
        with mock.patch.object(jax.random, "normal", lambda key, shape, dtype: next(given).reshape(shape)):
            action, state, diagnostics = control.act(
                controller.model, controller.weights, state, tick.from_arrays(told), controller.settings
            )
        return {"action": action, **vars(diagnostics)}, state

    return act


@pytest.fixture(scope="module")
def expected(controller):
    """Noise of a hundred ticks, and what the controller makes of it."""
    rng, act, outputs = np.random.default_rng(3), reference(controller), []
    noise = rng.standard_normal((check.COUNT, *controller.model.motion_shape)).astype(np.float32)
    state, said = control.State(**check.first(controller)), check.inputs(controller)
    for now in range(check.COUNT):
        found, state = act([noise[now]], state, {name: value[now] for name, value in said.items()})
        outputs.append(found)
    return noise, {name: np.stack([output[name] for output in outputs]) for name in outputs[0]}


def test_a_hundred_ticks_are_the_controllers(graph, controller, expected):
    noise, wanted = expected
    opened, said = session(graph), check.inputs(controller)
    del said["key"]
    state = {f"state_{name}": value for name, value in check.first(controller).items()}
    for now in range(check.COUNT):
        outputs = run(opened, {**{name: value[now] for name, value in said.items()}, **state, "noise": noise[now]})
        state = {f"state_{name}": outputs.pop(f"next_{name}") for name in check.first(controller)}
        outputs["strength"] = outputs.pop("told_strength")
        assert outputs.keys() == wanted.keys()
        for name, value in outputs.items():
            np.testing.assert_allclose(value, wanted[name][now], atol=1e-5, rtol=1e-5, err_msg=f"{name} at {now}")


def test_with_onnxruntime_and_numpy_alone_a_hundred_actions_are_the_same(graph, controller, expected, tmp_path):
    noise, wanted = expected
    said = {**check.inputs(controller), "noise": noise}
    del said["key"]
    np.savez(tmp_path / "said.npz", **said)
    np.savez(tmp_path / "first.npz", **{f"state_{k}": v for k, v in check.first(controller).items()})
    code = """
        import sys
        for name in ("dexgen_jax", "jax", "flax", "onnx", "mujoco"):
            sys.modules[name] = None  # whoever imports it gets a ModuleNotFoundError
        import numpy as np, onnxruntime
        tick = onnxruntime.InferenceSession(sys.argv[1])
        names = [output.name for output in tick.get_outputs()]
        said, state, actions = np.load("said.npz"), dict(np.load("first.npz")), []
        said = {name: said[name] for name in said.files}
        for now in range(len(said["q"])):
            outputs = dict(zip(names, tick.run(None, {**{n: np.asarray(v[now]) for n, v in said.items()}, **state})))
            state = {name: outputs[name.replace("state", "next")] for name in state}
            actions.append(outputs["action"])
        np.save("actions.npy", np.stack(actions))
    """
    done = processes.run([sys.executable, "-c", textwrap.dedent(code), str(graph)], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "actions.npy"), wanted["action"], atol=1e-5)


@pytest.mark.slow
def test_candidates_and_ddpm_draw_more_and_are_the_same(controller, tmp_path):
    """Here the key is real, and the noise is what the walk, done with numbers, sees JAX draw."""
    settings = control.Settings(candidates=3, eta=0.5, guided=True)
    many = Controller(controller.model, controller.weights, settings=settings)
    terms = onnx_file.write(many, tmp_path / "many.onnx")
    names = [name for name in terms["inputs"] if name.startswith("noise")]
    assert names == ["noise", "noise_1", "noise_2"]  # the start and two steps
    assert all(terms["inputs"][name]["shape"] == [3, 2, 8, 3] for name in names)
    assert check.difference_of_onnx(many, tmp_path / "many.onnx", 2) < 1e-5
    diagnostics = check.expected(many)
    assert np.median(diagnostics["spread"]) > 1e-3  # none where an infinite strength leaves one motion
    assert np.abs(check.expected(controller)["action"] - diagnostics["action"]).max() > 1e-3


def test_joint_commands_have_a_graph_of_their_own(controller, tmp_path):
    onnx_file.write_joint_command(controller, tmp_path / "command_joints.onnx")
    hand, rng = controller.model.hand, np.random.default_rng(0)
    q = rng.uniform(hand.lower, hand.upper).astype(np.float32)
    wanted = q + rng.normal(size=q.shape).astype(np.float32)
    outputs = run(session(tmp_path / "command_joints.onnx"), {"target": q, "wanted": wanted})
    told = joints(hand, q, wanted)
    for name in ("offsets", "weight", "target"):
        np.testing.assert_allclose(outputs[f"command_{name}"], getattr(told, name), atol=1e-6)


def test_the_contract_is_inside(graph, controller):
    opened = session(graph)
    terms = json.loads(opened.get_modelmeta().custom_metadata_map["contract"])
    assert terms["joints"]["names"] == list(controller.model.hand.joint_names)
    shapes = {value.name.removeprefix("state_"): value.shape for value in opened.get_inputs() if "state_" in value.name}
    assert shapes == {name: field["shape"] for name, field in terms["state"].items()}
    others = {value.name: value.shape for value in opened.get_inputs() if "state_" not in value.name}
    assert others == {name: field["shape"] for name, field in terms["inputs"].items()}


X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
FUNCTIONS = {
    "elementwise": lambda x: jnp.exp(-jnp.abs(x)) + jnp.log(x * x + 1) / jnp.tanh(x) - jnp.sin(x) * jnp.cos(x),
    "roots and powers": lambda x: jax.lax.rsqrt(jnp.abs(x)) + jnp.sqrt(x * x) + x**3 + jnp.abs(x) ** 0.3 + x**-2,
    "sign, floor, clamp": lambda x: jnp.sign(x) + jnp.floor(x) + jnp.clip(x, -0.5, 0.5) + jax.lax.clamp(0.1, x, 0.2),
    "comparisons": lambda x: jnp.stack([x < 0, x <= 0.1, x > 0.5, x >= 0, x == x, x != 0]).sum(),
    "logic": lambda x: ((x > 0) & (x < 1)) | ~(x > -1),
    "bits": lambda x: jnp.where(x > 0, 5, 0) & ~jnp.where(x < 1, 4, 1) | 8,
    "choices": lambda x: jnp.where(x[0, 0] > 0, x, -x) + jnp.where(x > 0, 1.0, x),
    "not finite": lambda x: jnp.isfinite(jnp.log(x)),
    "sums": lambda x: x.sum() + x.sum(0, keepdims=True).max() + x.min(1)[0],
    "all and any": lambda x: jnp.stack([(x > 0).all(), (x > 0).any(), (x > -9).all()]),
    "places": lambda x: jnp.stack([jnp.argmin(x, 0), jnp.argmax(x, 0)]),
    "types": lambda x: x.astype(jnp.int32) + (x > 0).astype(jnp.int32),
    "moves": lambda x: jnp.concatenate([x.T.reshape(2, 6), jnp.flip(x)[:2, 1:].reshape(1, 6)], 0)[:, ::2],
    "tiles": lambda x: jnp.tile(x, (2, 3)) + jnp.pad(x, ((1, 2), (8, 0)), constant_values=7.0),
    "spreading": lambda x: jnp.broadcast_to(x[:, None], (3, 5, 4)) + jnp.broadcast_to(x[0, 0], (3, 5, 4)),
    "known places": lambda x: x[np.array([2, 0]), 1:3] + x[:2, np.array([3, 3])],
    "setting": lambda x: x.at[np.array([2, 0])].set(x[:2] * 2).at[1, 2].set(9.0),
    "a row chosen by the input": lambda x: x[jnp.argmax(x[:, 0])],
    "a row of a known table": lambda x: jnp.asarray(X)[(x[0, 0] > 0).astype(int)] * x,
    "products": lambda x: jnp.einsum("ij,kj->ik", x, X) @ (x @ X.T) + jnp.einsum("ij,j->i", x, X[0])[None],
    "batched products": lambda x: jnp.einsum("bij,bjk->bik", jnp.stack([x, 2 * x]), jnp.stack([X.T, x.T])),
    "a contraction over two axes": lambda x: jnp.einsum("ijk,jkl->il", x.reshape(2, 3, 2), X.reshape(3, 2, 2)),
    "a loop": lambda x: jax.lax.scan(lambda c, i: (c * 0.5 + i * x, None), x, jnp.arange(4.0))[0],
    "a loop backwards": lambda x: jax.lax.scan(lambda c, i: (c * i + 1, None), x, jnp.arange(3.0), reverse=True)[0],
    "a gradient": jax.grad(lambda x: (jax.nn.silu(x) * jnp.linalg.norm(x, axis=1)[:, None]).sum()),
    "nested functions": jax.jit(lambda x: jax.vmap(jax.jit(jax.nn.sigmoid))(x)),
    "nothing of the input": lambda x: jnp.arange(3.0),
    "the input itself": lambda x: x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_and_its_graph_agree(name, tmp_path):
    function = FUNCTIONS[name]
    graph = as_graph(function, tmp_path / "f.onnx")
    with jax.numpy_rank_promotion("allow"):
        wanted = np.asarray(jax.jit(function)(X))
    (found,) = session(graph).run(None, {"x": X})
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def as_graph(function, path):
    with jax.numpy_rank_promotion("allow"):
        closed = jax.make_jaxpr(function)(X)
    walk = onnx_file.Walk()
    (output,) = walk.run(closed, [onnx_rules.Name("x")])
    onnx_file._write(path, walk.graph, [("x", closed.in_avals[0])], [("y", closed.out_avals[0], output)], {})
    return path


def test_the_same_constant_is_there_once(tmp_path):
    graph = onnx.load(as_graph(lambda x: (x + X) * X - X, tmp_path / "f.onnx")).graph
    assert [tuple(constant.dims) for constant in graph.initializer] == [(3, 4)]


def test_with_known_inputs_the_walk_is_jax_itself():
    closed = jax.make_jaxpr(lambda key, x: x + jax.random.normal(jax.random.fold_in(key, 1), x.shape))(
        jax.random.PRNGKey(0), X
    )
    walk = onnx_file.Walk()
    (found,) = walk.run(closed, [np.asarray(jax.random.PRNGKey(5)), X])
    drawn = jax.random.normal(jax.random.fold_in(jax.random.PRNGKey(5), 1), X.shape)
    np.testing.assert_allclose(found, X + drawn, rtol=1e-6)
    assert not walk.graph.nodes and walk.noise[0][0] == X.shape


def test_what_onnx_cannot_say_is_named(controller, tmp_path):
    with pytest.raises(NotImplementedError, match="no rule says 'sort' in ONNX"):
        as_graph(jnp.sort, tmp_path / "f.onnx")
    with pytest.raises(NotImplementedError, match="'dynamic_slice' at indices known only at run time, but for whole"):
        as_graph(lambda x: jax.lax.dynamic_slice(x, (jnp.argmax(x[:, 0]), 1), (1, 2)), tmp_path / "f.onnx")
    with pytest.raises(NotImplementedError, match="a scan over, or into, a sequence known only at run time"):
        as_graph(lambda x: jax.lax.scan(lambda c, row: (c + row, None), x[0], x)[0], tmp_path / "f.onnx")
    walk = onnx_file.Walk()
    closed = jax.make_jaxpr(lambda key: jax.random.uniform(key, (3,)))(jax.random.PRNGKey(0))
    with pytest.raises(NotImplementedError, match="only jax.random.normal becomes an input"):
        walk.run(closed, [onnx_file.Bits()])
    with pytest.raises(ValueError, match="an ONNX graph is a .onnx file, got 'controller.zip'"):
        onnx_file.write(controller, tmp_path / "controller.zip")
