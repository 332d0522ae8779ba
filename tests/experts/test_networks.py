import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dexgen_jax.experts.networks import ActorCritic, Expert, Gaussian, NetworkConfig, RunningStats

SIZES = {"state": 5, "privileged_state": 7}
NETWORKS = ActorCritic(NetworkConfig(actor=(8,), critic=(8,)), action_size=3)
update, normalize = jax.jit(RunningStats.update), jax.jit(RunningStats.normalize)


def _begin(networks, sizes, seed=0):
    return jax.device_get(jax.jit(lambda key: networks.init(key, sizes))(jax.random.PRNGKey(seed)))


def _seen(sizes):
    rows = {name: np.eye(size, dtype=np.float32) * 3 + 1 for name, size in sizes.items()}
    return {name: update(RunningStats.zeros(size), rows[name]) for name, size in sizes.items()}


@pytest.fixture(scope="module")
def data():
    scale, shift = np.array([1.0, 1e-3, 50.0]), np.array([0.0, 2.0, -300.0])
    return (np.random.default_rng(0).standard_normal((8, 30, 3)) * scale + shift).astype(np.float32)


def test_statistics_of_parts_are_those_of_the_whole(data):
    stats = RunningStats.zeros(3)
    for part in data:
        stats = update(stats, part)
    flat = data.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(stats.count, len(flat), rtol=1e-4)
    np.testing.assert_allclose(stats.mean, flat.mean(0), rtol=1e-4, atol=1e-5)
    # The start counts as 1e-4 of a sample at zero: at a mean of 2 it adds 4e-4 / 240 to the variance.
    np.testing.assert_allclose(stats.m2 / stats.count, flat.var(0), rtol=2e-3, atol=3e-6)


def test_statistics_over_devices_are_those_of_the_whole(data):
    start = update(RunningStats.zeros(3), data[0])
    each = jax.jit(jax.vmap(lambda part: start.update(part, "data"), axis_name="data"))
    shared = jax.device_get(each(data[1:5]))
    whole = update(start, data[1:5])
    for device in range(4):  # equal on all of them, or normalisers would drift apart
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a[device], b, rtol=1e-4), shared, whole)  # noqa: B023


def test_a_feature_that_came_later_has_statistics_of_its_own(data):
    """Beside features that were seen for long, a new one must not move as slowly as they do."""
    old, new = RunningStats.zeros(2), RunningStats.zeros(1)
    for part in data:
        old = update(old, part[:, :2])
    both = jax.device_get(update(jax.tree.map(lambda a, b: np.concatenate([a, b]), old, new), data[0]))
    np.testing.assert_allclose(both.count, [270, 270, 30], rtol=1e-4)
    np.testing.assert_allclose(both.mean[2], data[0, :, 2].mean(), rtol=1e-4)
    np.testing.assert_allclose(both.m2[2] / both.count[2], data[0, :, 2].var(), rtol=2e-2)
    older_file = RunningStats.read(jnp.float32(7.0), both.mean, both.m2)  # one count for all
    np.testing.assert_array_equal(older_file.count, [7, 7, 7])


def test_normalised_data_have_no_mean_and_unit_variance_and_outliers_are_cut(data):
    stats = update(RunningStats.zeros(3), data)
    normal = np.asarray(normalize(stats, data))
    np.testing.assert_allclose(normal.mean((0, 1)), 0, atol=0.01)
    np.testing.assert_allclose(normal.std((0, 1))[[0, 2]], 1, atol=0.01)
    assert np.max(normalize(stats, np.float32([1e9, 0.0, -1e9]))) == 5.0


def test_a_new_normaliser_changes_nothing_much():
    np.testing.assert_allclose(normalize(RunningStats.zeros(2), np.float32([0.5, -2.0])), [0.5, -2.0], rtol=1e-3)


def test_gaussian_densities_are_scipys():
    mean, log_std = np.array([0.1, -0.4, 2.0]), np.array([-1.0, 0.0, 0.5])
    gaussian = Gaussian(np.tile(np.float32(mean), (4, 1)), np.float32(log_std))
    actions = np.random.default_rng(0).standard_normal((4, 3))
    expected = scipy.stats.norm(mean, np.exp(log_std))
    np.testing.assert_allclose(
        jax.jit(Gaussian.log_prob)(gaussian, actions), expected.logpdf(actions).sum(-1), rtol=1e-5
    )
    np.testing.assert_allclose(jax.jit(Gaussian.entropy)(gaussian), expected.entropy().sum(), rtol=1e-6)


def test_divergence_of_gaussians_by_the_closed_form():
    # In one dimension, KL = log(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2; N(0, 1) to N(1, 2): 0.4431.
    normal = lambda mean, std, size=1: Gaussian(np.full(size, mean, np.float32), np.full(size, np.log(std), np.float32))
    kl = jax.jit(Gaussian.kl_to)
    one, other = normal(0, 1), normal(1, 2)
    np.testing.assert_allclose(kl(one, other), np.log(2) + (1 + 1) / 8 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(kl(one, one), 0, atol=1e-7)
    both = kl(normal(0, 1, 2), normal(1, 2, 2))
    np.testing.assert_allclose(both, 2 * kl(one, other), rtol=1e-6)


def test_samples_have_the_distributions_mean_and_spread():
    gaussian = Gaussian(np.tile(np.float32([1.0, -2.0]), (50_000, 1)), np.log(np.float32([0.5, 2.0])))
    drawn = np.asarray(jax.jit(Gaussian.sample)(gaussian, jax.random.PRNGKey(0)))
    np.testing.assert_allclose(drawn.mean(0), [1, -2], atol=0.05)
    np.testing.assert_allclose(drawn.std(0), [0.5, 2], rtol=0.02)


@pytest.fixture(scope="module")
def learned():
    """Parameters and statistics that differ from their start in every leaf."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: x + 0.1 * rng.standard_normal(x.shape, np.float32), _begin(NETWORKS, SIZES))
    return params, _seen(SIZES)


def test_the_spread_of_actions_stays_within_its_bounds(learned):
    params, stats = learned
    obs, act = {"state": np.zeros(5, np.float32)}, jax.jit(NETWORKS.policy)
    for value, expected in [(-9.0, -3.0), (9.0, 0.0)]:
        policy = act(params | {"log_std": np.full(3, value, np.float32)}, stats, obs)
        np.testing.assert_array_equal(policy.log_std, expected)


def test_a_new_policy_stays_near_zero():
    params = _begin(NETWORKS, SIZES, 1)
    stats = {name: RunningStats.zeros(size) for name, size in SIZES.items()}
    policy = jax.jit(NETWORKS.policy)(
        params, stats, {"state": np.tile(np.linspace(-3, 3, 100, dtype=np.float32)[:, None], 5)}
    )
    assert np.abs(policy.mean).max() < 0.2


def test_an_expert_acts_the_same_after_it_was_saved_and_read(learned, tmp_path):
    params, stats = learned
    expert = Expert.of(NETWORKS, params, stats, env={"task": "toy", "weights": (1, 2)})
    expert.save(tmp_path / "expert")
    back = Expert.from_pretrained(tmp_path / "expert")
    obs = {"state": jax.random.normal(jax.random.PRNGKey(2), (6, 5))}
    np.testing.assert_array_equal(back.act(obs), expert.act(obs))
    np.testing.assert_array_equal(back.act(obs), NETWORKS.policy(params, stats, obs).mean)
    key = jax.random.PRNGKey(3)
    np.testing.assert_array_equal(back.act(obs, key), expert.act(obs, key))
    assert np.abs(back.act(obs, key) - back.act(obs)).max() > 0.01
    assert back.config["env"] == {"task": "toy", "weights": [1, 2]} and back.task == "anygrasp"
    assert Expert.of(NETWORKS, params, stats, {}, "fine_rotation").task == "fine_rotation"
    one = jax.jit(lambda o: back.act({"state": o}))(obs["state"][0])
    np.testing.assert_allclose(one, back.act(obs)[0], rtol=1e-5)


def test_an_actor_may_build_on_an_action_that_it_is_given(learned, tmp_path):
    networks = ActorCritic(NetworkConfig(actor=(8,), critic=(8,), carries=True), 3)
    fresh = _begin(networks, SIZES | {"carry": 3})
    np.testing.assert_allclose(fresh["carry"], 0.1)
    params, stats = learned
    obs, given = {"state": jnp.ones((2, 5))}, jnp.array([[1.0, -2.0, 0.0], [0.5, 0.0, 4.0]])
    shares = jnp.array([0.1, 0.2, 0.3])
    expert = Expert.of(networks, params | {"carry": shares}, stats, env={})
    own = Expert.of(NETWORKS, params, stats, env={}).act(obs)
    np.testing.assert_allclose(expert.act(obs | {"carry": given}) - own, given * shares[None], atol=1e-6)
    expert.save(tmp_path)
    back = Expert.from_pretrained(tmp_path)
    np.testing.assert_array_equal(back.act(obs | {"carry": given}), expert.act(obs | {"carry": given}))
    with pytest.raises(ValueError, match="builds on the action `carry`, and the observations are state: set sees_all"):
        expert.act(obs)


@pytest.fixture(scope="module")
def looking_back():
    """Networks with a history of 2 rows of 3 joints, their parameters and statistics."""
    networks, sizes = ActorCritic(NetworkConfig(actor=(8,), critic=(8,), history=2), 3), SIZES | {"history": 12}
    return networks, _begin(networks, sizes), _seen(sizes)


def test_an_actor_that_looks_back_sees_every_row_of_the_past(looking_back):
    networks, params, stats = looking_back
    mean = lambda past: networks.policy(params, stats, {"state": jnp.ones(5), "history": past}).mean
    slopes = jax.jit(jax.jacobian(mean))(jnp.ones(12))
    assert slopes.shape == (3, 12) and (np.abs(slopes).max(0) > 0).all()
    batch = networks.policy(params, stats, {"state": jnp.ones((4, 5)), "history": jnp.ones((4, 12))}).mean
    np.testing.assert_allclose(batch, jnp.tile(mean(jnp.ones(12)), (4, 1)), rtol=1e-5)


def test_without_a_history_there_is_nothing_of_it():
    assert set(_begin(NETWORKS, SIZES)) == {"actor", "critic", "log_std"}


def test_an_expert_that_looks_back_acts_the_same_after_it_was_saved_and_read(looking_back, tmp_path):
    networks, params, stats = looking_back
    expert = Expert.of(networks, params, stats, env={})
    expert.save(tmp_path / "expert")
    back = Expert.from_pretrained(tmp_path / "expert")
    keys = jax.random.split(jax.random.PRNGKey(2))
    obs = {"state": jax.random.normal(keys[0], (6, 5)), "history": jax.random.normal(keys[1], (6, 12))}
    assert back.history == 2 and set(back.stats) == {"state", "history"}
    np.testing.assert_array_equal(back.act(obs), networks.policy(params, stats, obs).mean)
    with pytest.raises(ValueError, match="looks back over 2 control steps, and the observations are state: wrap its"):
        back.act({"state": obs["state"]})


def test_a_missing_expert_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no trained weights in .*nobody"):
        Expert.from_pretrained(tmp_path / "nobody")
