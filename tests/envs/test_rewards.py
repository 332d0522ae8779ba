import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.envs import observations, rewards
from dexgen_jax.physics.state import PhysicsState

effort, goal_error = jax.jit(rewards.effort), jax.jit(observations.goal_error)


def test_progress_by_hand():
    # 1 cm nearer is half a unit of 2 cm; 0.2 rad is half of 0.4; the joints went away by 0.3 rad, one unit.
    terms = rewards.progress((0.05, 1.0, 0.4), (0.04, 0.8, 0.7))
    np.testing.assert_allclose([terms["position"], terms["rotation"], terms["joints"]], [0.5, 0.5, -1.0])


def test_going_away_and_coming_back_earns_nothing():
    there, away = (0.02, 0.3, 0.1), (0.06, 0.9, 0.4)
    out, back = rewards.progress(there, away), rewards.progress(away, there)
    for name in out:
        np.testing.assert_allclose(out[name] + back[name], 0.0, atol=1e-12)


def test_effort_by_hand():
    zero = np.zeros(8, np.float32)
    physics = PhysicsState(
        qpos=zero, qvel=np.float32([3.0, -1.0, 0.0, 0.3, -0.4, 0.0, 0.0, 0.0]), warmstart=zero,
        torque=np.float32([0.5, 0.2]), touch=zero, finite=np.bool_(True), steps=np.int32(0),
    )  # fmt: skip
    travel = np.float32([[0.03, 0.04, 0.0], [0.0, 0.0, 0.01]])  # 5 cm and 1 cm in 0.1 s: 0.5 and 0.1 m/s
    terms = effort(np.float32([1.0, -0.5]), physics, travel, 0.1)
    expected = {
        "action": (1 + 0.25) / 2,
        "torque": 0.25 + 0.04,
        "work": 1.5 + 0.2,
        "tip_speed": 0.3,
        "object_speed": 0.5,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)


def test_every_weight_multiplies_the_term_of_its_name_and_style_those_it_is_of():
    names = [field.name for field in dataclasses.fields(rewards.RewardWeights)]
    weights = rewards.RewardWeights(**{name: float(i + 1) for i, name in enumerate(names)})
    terms = {name: jnp.asarray(2.0) for name in names}
    weighted = rewards.weigh(terms, weights, jnp.ones(2))
    assert [float(weighted[name]) for name in names] == [2.0 * (i + 1) for i in range(len(names))]
    styled = rewards.weigh(terms, weights, jnp.array([3.0, 5.0]))
    factors = {name: float(styled[name] / weighted[name]) for name in names}
    assert {name for name, factor in factors.items() if factor == 3.0} == {"tip_speed"}
    assert {name for name, factor in factors.items() if factor == 5.0} == {"action", "torque", "work"}
    assert sum(factor == 1.0 for factor in factors.values()) == len(names) - 4


def test_styles_are_drawn_from_their_ranges():
    ranges = rewards.StyleRanges(tip_speed=(0.0, 3.0), effort=(2.0, 2.0), shown=True)
    draw = jax.jit(jax.vmap(lambda key: rewards.draw_style(key, ranges)))
    drawn = np.asarray(draw(jax.random.split(jax.random.PRNGKey(0), 500)))
    np.testing.assert_array_equal(drawn[:, 1], 2.0)
    assert 0 <= drawn[:, 0].min() < 0.1 and 2.9 < drawn[:, 0].max() <= 3.0


def test_one_distance_by_hand():
    # 3 cm are 1.5 units of 2 cm, 0.2 rad half a unit, 0.6 rad of the joints two units.
    np.testing.assert_allclose(rewards.distance((0.03, 0.2, 0.6)), 1.5 + 0.5 + 2.0)


def test_a_goal_error_by_hand_and_whichever_sign_a_quaternion_has():
    # From no turn to a quarter turn about z; 1 cm along x.
    here = np.float32([0.05, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    goal = np.float32([0.06, 0.0, 0.0, -0.70710678, 0.0, 0.0, -0.70710678])
    error = goal_error(np.zeros(4, np.float32), here, np.full(4, 0.2, np.float32), goal)
    np.testing.assert_allclose(error.position, [0.01, 0, 0], atol=1e-7)
    np.testing.assert_allclose(error.rotation, [0, 0, np.pi / 2], atol=1e-6)
    np.testing.assert_allclose(error.sizes(), [0.01, np.pi / 2, 0.2], rtol=1e-5)


def test_a_style_that_varies_is_shown():
    with pytest.raises(ValueError, match=r"style ranges \(0.0, 3.0\) and .* vary what is paid: set style.shown=True"):
        rewards.StyleRanges(tip_speed=(0.0, 3.0))
