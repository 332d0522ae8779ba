import json

import evaluation_files as files
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_records import record

from dexgen_jax import run_log
from dexgen_jax.evaluation import assist
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog

STILL, HELPED = ("still", "alone", None), ("noisy 0.75", "controller", 0.3)


def _row(case, drops):
    operator, helper, strength = case
    return assist.summarise(operator, record([drops, 0, 0, 0], steps=100), helper, strength)


def _trace(steps=6, environments=2):
    n = allegro.load().num_joints
    rng = np.random.default_rng(0)
    field = lambda *shape: jnp.asarray(rng.normal(size=(steps, environments, *shape)), jnp.float32)
    thing = jax.tree.map(lambda x: jnp.broadcast_to(x, (steps, environments, *np.shape(x))), catalog.load("cube_55"))
    changes = field(n), field(n), field(n)
    return assist.Trace(field(n), field(7), field(7), field(3), thing, field() > 0, field() > 0, *changes)


def test_rows_come_back_in_order_and_what_is_not_finite_as_null(tmp_path):
    rows = {STILL: _row(STILL, 0), HELPED: _row(HELPED, 8)}
    files.write_rows(tmp_path, rows)
    read = files.read_rows(tmp_path)
    assert list(read) == list(rows)
    assert read[HELPED] == json.loads(run_log.to_json(rows[HELPED]))
    assert read[STILL]["hold_time"]["value"] is None  # infinite, which JSON cannot say
    assert files.read_rows(tmp_path / "nothing yet") == {}


def test_rows_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"operator": "still", "stre')
    with pytest.raises(ValueError, match=r"rows\.jsonl is damaged .*: delete it, and the rows are simulated again"):
        files.read_rows(tmp_path)


def test_the_first_steps_of_a_trace_come_back(tmp_path):
    trace = _trace()
    files.save_trace(tmp_path, HELPED, trace, steps=4)
    read = files.load_trace(tmp_path, HELPED)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:4], b), trace, read)
    with pytest.raises(ValueError, match=r"cannot read .*noisy_0\.75-alone\.msgpack .*: delete .* and evaluate again"):
        files.load_trace(tmp_path, ("noisy 0.75", "alone", None))


def test_curves_are_those_that_the_run_has(tmp_path):
    log = run_log.RunLog(tmp_path, "controller")
    for step in (100, 200):
        log.write(step, {"denoising": 1 / step, "other": 3.0})
    log.close()
    (curve,) = files.learning_curves(tmp_path)
    assert curve.title == "Controller: loss" and list(curve.lines) == ["denoising"]
    np.testing.assert_allclose(curve.lines["denoising"], [[100, 200], [0.01, 0.005]])
