import dataclasses
import functools

import jax
import numpy as np
import pytest

from dexgen_jax import checkpoints
from dexgen_jax.controller import commands, controller, guidance
from dexgen_jax.controller.controller import Controller, Settings, State
from dexgen_jax.controller.model import Model
from dexgen_jax.controller.safety import Event
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.hand import allegro, kinematics

HAND = allegro.load()
MIDDLE = ((HAND.lower + HAND.upper) / 2).astype(np.float32)
COMMAND = commands.Command(np.full((8, 3), 0.01, np.float32), np.ones(8, np.float32), MIDDLE + np.float32(0.05))


keypoints = jax.jit(functools.partial(kinematics.keypoints, HAND))
alpha_of, strength_of = jax.jit(guidance.alpha_of), jax.jit(guidance.strength)
reset = jax.jit(controller.reset, static_argnums=0)

GUIDED = Settings(guided=True, temperature=1.0)  # as in the paper


@pytest.fixture(scope="module")
def act(tiny):
    return jax.jit(functools.partial(controller.act, tiny, settings=GUIDED))


@pytest.fixture(scope="module")
def weigh(tiny):
    return jax.jit(functools.partial(controller.act, tiny))


@pytest.fixture(scope="module")
def act_of_six(tiny):
    return jax.jit(functools.partial(controller.act, tiny, settings=dataclasses.replace(GUIDED, candidates=6)))


def told(statistics=None, alpha=0.0, seed=0, **said):
    """What a tick is told: nothing new, unless it is `said`; `alpha` [1/m^2] is of these statistics."""
    strength = strength_of(alpha, statistics.offset_std) if alpha else 0.0
    known = {"q": MIDDLE, "target": MIDDLE, "command": COMMAND, "strength": np.float32(strength)}
    return TickInput(key=jax.random.PRNGKey(seed), **known | said)


def _call(act, tiny, untrained, **said):
    state = reset(tiny, MIDDLE, MIDDLE)
    return act(untrained, state, told(untrained.normalizer, **said))


def test_the_history_begins_full_and_forgets_the_oldest(tiny):
    state = reset(tiny, MIDDLE, MIDDLE + 0.1)
    np.testing.assert_array_equal(state.q, np.tile(MIDDLE, (4, 1)))
    state = jax.device_get(jax.jit(State.push)(state, MIDDLE + 1, MIDDLE + 2))
    np.testing.assert_array_equal(state.q[-2:], np.stack([MIDDLE, MIDDLE + 1]))
    np.testing.assert_array_equal(state.target[-2:], np.stack([MIDDLE + np.float32(0.1), MIDDLE + 2]))


def test_targets_stay_within_the_joint_limits_and_the_largest_step(act, tiny, untrained):
    wild = untrained.replace(normalizer=untrained.normalizer.replace(action_mean=np.full(16, 9, np.float32)))
    action, _, diagnostics = _call(act, tiny, wild)
    np.testing.assert_allclose(action, np.minimum(MIDDLE + 0.15, HAND.upper), rtol=1e-5)
    assert diagnostics.events == Event.ACTION_CLIPPED


def test_alpha_zero_does_not_see_the_command(act, tiny, untrained):
    first, _, seen = _call(act, tiny, untrained)
    other, _, asked = _call(act, tiny, untrained, command=COMMAND.replace(offsets=-5 * COMMAND.offsets))
    np.testing.assert_array_equal(first, other)
    np.testing.assert_array_equal(seen.motion, asked.motion)
    assert seen.distance != asked.distance


def test_the_stronger_the_guidance_the_nearer_to_the_command(act, tiny, untrained):
    apart = [_call(act, tiny, untrained, alpha=alpha)[2].distance for alpha in (0, 1e3, 1e4, 1e5, 1e9, np.inf)]
    assert (np.diff(apart) <= 0).all() and apart[-2] < 1e-5 and apart[0] > 1e-3


def test_weights_say_which_keypoints_must_follow(act, tiny, untrained):
    tips = COMMAND.replace(weight=np.float32([1, 1, 1, 1, 0, 0, 0, 0]))
    *_, followed = _call(act, tiny, untrained, command=tips, alpha=np.inf)
    np.testing.assert_allclose(followed.motion[:, :4], 0.01, atol=1e-5)
    assert np.abs(followed.motion[:, 4:] - 0.01).min() > 1e-5
    assert followed.distance < 1e-5  # only of those that were asked


def test_diagnostics_are_in_metres_and_radians(act, tiny, untrained):
    action, _, diagnostics = _call(act, tiny, untrained, alpha=150.0)
    apart = np.linalg.norm(np.asarray(diagnostics.motion) - COMMAND.offsets[None], axis=-1)
    np.testing.assert_allclose(diagnostics.distance, np.sqrt((apart**2).mean()), rtol=1e-5)
    np.testing.assert_allclose(diagnostics.overruled, np.sqrt(((action - COMMAND.target) ** 2).mean()), rtol=1e-5)
    scale = np.asarray(untrained.normalizer.offset_std)
    np.testing.assert_allclose(diagnostics.alpha, 150, rtol=1e-6)
    np.testing.assert_allclose(diagnostics.strength, 2 * 150 * (scale**2).mean(), rtol=1e-5)
    assert diagnostics.spread == 0


@pytest.mark.parametrize(
    ("given", "event"),
    [
        ({"q": MIDDLE * np.nan}, Event.BAD_READING),
        ({"target": MIDDLE + np.inf}, Event.BAD_READING),
        ({"age": 0.2}, Event.LATE),
    ],
)
def test_a_bad_or_late_reading_is_forgotten_and_the_last_action_held(act, tiny, untrained, given, event):
    first, state, _ = _call(act, tiny, untrained)
    held, then, diagnostics = act(untrained, state, told(**{"target": first} | given))
    assert diagnostics.events & event and diagnostics.events & Event.HELD
    np.testing.assert_array_equal(held, first)
    jax.tree.map(np.testing.assert_array_equal, then, state)
    # When all is well again the hand goes on as if nothing had been.
    on = [act(untrained, each, told(target=first))[0] for each in (state, then)]
    np.testing.assert_array_equal(*on)


def test_a_command_that_is_not_a_number_leaves_the_hand_to_the_prior(act, tiny, untrained):
    broken = COMMAND.replace(offsets=COMMAND.offsets.copy())
    broken.offsets[0, 0] = np.nan
    action, _, diagnostics = _call(act, tiny, untrained, command=broken, alpha=1e9)
    free, *_ = _call(act, tiny, untrained, alpha=0.0)
    np.testing.assert_array_equal(action, free)
    assert diagnostics.events & Event.COMMAND_REFUSED and diagnostics.alpha == 0


def test_released_the_operator_moves_the_hand_within_the_limits(act, tiny, untrained):
    action, _, diagnostics = _call(act, tiny, untrained, released=True)
    np.testing.assert_array_equal(action, COMMAND.target)
    assert diagnostics.overruled == 0
    action, *_ = _call(act, tiny, untrained, command=COMMAND.replace(target=MIDDLE + 1), released=True)
    np.testing.assert_allclose(action, MIDDLE + 0.15, rtol=1e-5)
    held, _, diagnostics = _call(act, tiny, untrained, command=COMMAND.replace(target=MIDDLE * np.nan), released=True)
    np.testing.assert_array_equal(held, MIDDLE)
    assert diagnostics.events & Event.BAD_ACTION


def test_of_many_candidates_the_nearest_is_taken(act, act_of_six, tiny, untrained):
    acts = {1: act, 6: act_of_six}

    def called(count, alpha):
        return [_call(acts[count], tiny, untrained, alpha=alpha, seed=seed)[2] for seed in range(8)]

    one, many = called(1, 100.0), called(6, 100.0)
    assert np.mean([d.distance for d in many]) < 0.95 * np.mean([d.distance for d in one])  # measured 0.92
    assert min(d.spread for d in many) > 1e-4
    # Nobody is heard, so nobody's wish may choose: on average as far as one sample alone.
    far = [np.mean([d.distance for d in called(count, 0.0)]) for count in (1, 6)]
    np.testing.assert_allclose(*far, rtol=0.15)


def test_who_is_not_heard_chooses_no_candidate(act_of_six, tiny, untrained):
    for seed in range(4):
        said = [COMMAND.replace(offsets=way * COMMAND.offsets) for way in (1, -5)]
        one, other = (_call(act_of_six, tiny, untrained, command=command, seed=seed)[2].motion for command in said)
        np.testing.assert_array_equal(one, other)


def test_restraints_hold_whatever_the_command_and_its_strength(tiny, untrained):
    here = np.asarray(keypoints(MIDDLE))
    centre, radius = here[0] + COMMAND.offsets[0] + [0.0, 0.0, 0.01], 0.012  # the command leads the index tip inside
    settings = Settings(guided=True, restraints=(guidance.keep_away(centre, radius), guidance.speed_limit(0.05, 10.0)))
    act = jax.jit(functools.partial(controller.act, tiny, settings=settings))
    for alpha in (0.0, 1e3, np.inf):
        *_, diagnostics = _call(act, tiny, untrained, alpha=alpha)
        moved = np.linalg.norm(diagnostics.motion, axis=-1)
        assert (moved <= 0.005 * np.array([[1], [2]]) + 1e-6).all()
        free = here[None] + np.asarray(diagnostics.motion) - centre
        assert np.linalg.norm(free, axis=-1).min() > radius - 1e-4


def test_a_batch_is_many_single_hands(act, tiny, untrained):
    q = MIDDLE + 0.1 * np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)
    q[1, 4] = np.nan  # one bad reading is that hand's own affair
    state = jax.vmap(functools.partial(reset, tiny))(np.nan_to_num(q), np.nan_to_num(q))
    state = jax.device_get(state)
    each = [
        told(untrained.normalizer, q=row, target=np.nan_to_num(row), alpha=alpha, seed=i)
        for i, (row, alpha) in enumerate(zip(q, (0, 100, 1e5), strict=True))
    ]
    many = jax.jit(jax.vmap(functools.partial(controller.act, tiny, settings=GUIDED), (None, 0, 0)))
    batch = jax.device_get(many(untrained, state, jax.tree.map(lambda *rows: np.stack(rows), *each)))
    for i in range(3):
        single = act(untrained, jax.tree.map(lambda x, i=i: x[i], state), each[i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-4, rtol=1e-6), batch, single)
    assert batch[2].events.tolist()[1] == Event.BAD_READING and batch[2].events[0] == batch[2].events[2] == 0


@pytest.fixture(scope="module")
def robot(tiny, untrained):
    robot = Controller(tiny, untrained, seed=3)
    robot.reset(MIDDLE)
    return robot


def test_a_saved_controller_acts_the_same_and_as_the_pure_function(weigh, tiny, untrained, robot, tmp_path):
    robot.save(tmp_path / "controller", {"dataset": "none"})
    loaded = Controller.from_pretrained(tmp_path / "controller", seed=4)
    assert loaded.model == tiny
    loaded.reset(MIDDLE)
    robot.state, robot._key = loaded.state, loaded._key
    _, key = jax.random.split(jax.random.PRNGKey(4))
    asked = jax.jit(functools.partial(commands.joints, HAND))(MIDDLE, MIDDLE + 0.1)
    pure, *_ = weigh(
        untrained, loaded.state, dataclasses.replace(told(untrained.normalizer, command=asked, alpha=500), key=key)
    )
    first, second = (each.act(MIDDLE, MIDDLE, MIDDLE + 0.1, alpha=500.0)[0] for each in (robot, loaded))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, pure, atol=5e-5)  # a single hand reads weights of 16 bits
    # Randomness goes on, the same in both.
    again, too = (each.act(MIDDLE, MIDDLE, MIDDLE + 0.1, alpha=0.0)[0] for each in (robot, loaded))
    np.testing.assert_array_equal(again, too)
    assert (again != first).any()


def test_an_operator_is_doubted_by_the_error_of_the_controller_it_speaks_to(tiny, weigh, untrained):
    state, tick = reset(tiny, MIDDLE, MIDDLE), told(strength=np.float32(1))
    apart = lambda std: float(weigh(untrained.replace(action_std=np.float32(std)), state, tick)[2].doubt) / std
    assert apart(0.02) > 1.5 * apart(0.1)  # the same wish is farther from an action that errs less


def test_a_saved_controller_says_how_far_it_errs(untrained, robot, tmp_path):
    Controller(robot.model, untrained.replace(action_std=np.float32(0.05))).save(tmp_path)
    assert float(Controller.from_pretrained(tmp_path).weights.action_std) == np.float32(0.05)
    config, tree = checkpoints.load_weights(tmp_path)
    for std in (0.0, np.nan, np.inf):
        checkpoints.save_weights(tmp_path, config, tree | {"action_std": np.float32(std)})
        with pytest.raises(ValueError, match=f"have an action_std of {std} rad: it must be a number above 0"):
            Controller.from_pretrained(tmp_path)


def test_twins_share_programs_and_have_memory_and_noise_of_their_own(tiny, untrained, robot):
    twins = [robot.twin() for _ in range(2)]
    with pytest.raises(RuntimeError, match=r"call reset\(q\)"):
        twins[0].act(MIDDLE, MIDDLE)
    for each in twins:
        assert each._programs is robot._programs and each.weights is robot.weights
        each.reset(MIDDLE)
    one, other = (each.act(MIDDLE, MIDDLE)[0] for each in twins)
    assert (one != other).any()
    again = Controller(tiny, untrained, seed=3)  # as `robot` was made
    again._programs, again._weights = robot._programs, robot._weights
    for wanted in (one, other):
        each = again.twin()
        each.reset(MIDDLE)
        np.testing.assert_array_equal(each.act(MIDDLE, MIDDLE)[0], wanted)


def test_strength_and_alpha_say_the_same(robot):
    scale = robot.weights.normalizer.offset_std
    heard = []
    for said in ({"strength": 0.3}, {"alpha": float(alpha_of(0.3, scale))}):
        robot.reset(MIDDLE)
        robot._key = jax.random.PRNGKey(0)
        _, seen = robot.act(MIDDLE, MIDDLE, MIDDLE + 0.1, **said)
        np.testing.assert_allclose(seen.alpha, alpha_of(seen.strength, scale), rtol=1e-5)
        heard.append(float(seen.strength))
    np.testing.assert_allclose(*heard, rtol=1e-5)


def test_a_command_is_heard_as_its_kind_says(robot):
    now, then = (np.asarray(keypoints(q)) for q in (MIDDLE, MIDDLE + 0.05))
    said = {"joints": MIDDLE + 0.05, "keypoint_offsets": then - now, "tip_positions": then[:4]}
    for kind, command in said.items():
        robot.reset(MIDDLE)
        action, _ = robot.act(MIDDLE, MIDDLE, command, kind=kind, strength=np.inf)
        np.testing.assert_allclose(keypoints(action)[:4], then[:4], atol=1e-4)


def test_a_command_is_measured_from_the_target_in_force(robot):
    # In a grasp the targets stand inside the object: to keep them is to ask for nothing, wherever the joints are.
    squeezing = MIDDLE + np.float32(0.2)  # more than a step can do
    robot.reset(MIDDLE, squeezing)
    np.testing.assert_allclose(robot.act(MIDDLE, squeezing, squeezing, strength=np.inf)[0], squeezing, atol=1e-6)
    tips = np.asarray(keypoints(squeezing))[:4]
    robot.reset(MIDDLE, squeezing)
    action, _ = robot.act(MIDDLE, squeezing, tips, kind="tip_positions", strength=np.inf)
    np.testing.assert_allclose(action, squeezing, atol=1e-5)
    robot.reset(MIDDLE)


def test_who_asks_for_what_the_hand_would_do_is_heard_more_and_who_does_not_less(robot):
    def heard(noise):
        rng, seen = np.random.default_rng(0), []
        robot.reset(MIDDLE)
        for _ in range(30):
            own, _ = robot.act(MIDDLE, MIDDLE)
            wanted = own + noise * rng.standard_normal(16)
            seen.append(robot.act(MIDDLE, MIDDLE, wanted.astype(np.float32))[1])
        return float(seen[-1].strength), float(seen[-1].doubt)

    (agreeing, sure), (shaken, unsure) = heard(0.0), heard(0.3)
    assert agreeing > 3 > 0.3 > shaken and sure < 0.03 < 0.06 < unsure
    robot.reset(MIDDLE)


def test_a_command_from_far_away_is_one_that_is_a_step_ahead(weigh, tiny, untrained):
    state = reset(tiny, MIDDLE, MIDDLE)
    said = [COMMAND.replace(target=MIDDLE + np.float32(ahead)) for ahead in (0.15, 0.45)]
    near, far = (weigh(untrained, state, told(untrained.normalizer, 1e3, command=command)) for command in said)
    np.testing.assert_allclose(near[0], far[0], atol=1e-6)
    np.testing.assert_allclose(near[1].doubt, far[1].doubt, rtol=1e-5)


def test_release_and_bad_readings_change_nothing_that_is_thought_of_the_operator(weigh, tiny, untrained):
    before = reset(tiny, MIDDLE, MIDDLE)
    before = before.replace(doubt=np.float32(3), wish=np.full(16, 0.01, np.float32))
    asked = functools.partial(told, untrained.normalizer, 1e3, command=COMMAND.replace(target=MIDDLE + np.float32(0.1)))
    _, after, _ = weigh(untrained, before, asked())
    assert after.doubt != 3 and np.all(np.asarray(after.wish) != before.wish)
    _, after, _ = weigh(untrained, before, asked(q=MIDDLE * np.nan))
    assert after.doubt == 3 and np.all(np.asarray(after.wish) == before.wish)
    _, after, _ = weigh(untrained, before, asked(released=True))
    assert after.doubt == 3 and not np.any(after.wish)  # who lets the command through has no wish left to be done later


def test_a_wish_is_done_for_some_ticks_more_and_no_longer(weigh, tiny, untrained):
    """By hand: an operator who was believed to want 0.01 rad more, and now asks for the networks' own action."""
    before = reset(tiny, MIDDLE, MIDDLE).replace(wish=np.full(16, 0.01, np.float32))
    own, _, _ = weigh(untrained, before, told(untrained.normalizer, 0.0))
    agreeing = COMMAND.replace(target=own)
    action, after, seen = weigh(untrained, before, told(untrained.normalizer, 1.0, command=agreeing))
    left = 0.4 * 0.01 / (1 + seen.strength)  # what persists, weighed 1 against the strength in force
    np.testing.assert_allclose(np.asarray(action) - own, np.full(16, left), atol=1e-6)
    np.testing.assert_allclose(after.wish, np.full(16, left), atol=1e-6)


def test_infinite_strength_is_the_command_itself_within_a_step(robot):
    for ahead, made in ((0.1, 0.1), (0.5, 0.15)):
        robot.reset(MIDDLE)
        action, _ = robot.act(MIDDLE, MIDDLE, MIDDLE + np.float32(ahead), strength=np.inf)
        np.testing.assert_allclose(action - MIDDLE, made, atol=1e-6)


def test_rules_about_the_motion_need_a_guided_one():
    for rule in (dict(restraints=(guidance.speed_limit(0.01, 10.0),)), dict(distance=lambda offsets, weight: None)):
        with pytest.raises(ValueError, match="they need guided=True"):
            Settings(**rule)
        assert Settings(guided=True, **rule).guided


def test_without_a_command_the_prior_moves_the_hand(robot):
    before = robot.state, robot._key
    free, _ = robot.act(MIDDLE, MIDDLE)
    robot.state, robot._key = before
    np.testing.assert_array_equal(free, robot.act(MIDDLE, MIDDLE, MIDDLE + 1, alpha=0.0)[0])


def test_after_the_first_reset_nothing_compiles(robot):
    compiled = []
    watch = lambda name, *_, **__: compiled.append(name) if "compile" in name else None
    jax.monitoring.register_event_duration_secs_listener(watch)
    try:
        for i in range(3):
            robot.reset(MIDDLE, MIDDLE + 0.01)
            robot.act(MIDDLE, MIDDLE.astype(np.float64), MIDDLE + 0.1, strength=0.1, mode=robot.model.modes[i])
            robot.act(MIDDLE.tolist(), MIDDLE)
            robot.act(MIDDLE, MIDDLE, np.full((4, 3), 0.01), kind="tip_offsets", alpha=7, age=0.05)
            robot.act(MIDDLE, MIDDLE, MIDDLE + 0.1, released=True)
        assert compiled == []
        jax.jit(lambda x: x + 17)(1.0)
        assert compiled  # the watch is awake
    finally:
        jax.monitoring.unregister_event_duration_listener(watch)


def test_errors_name_what_exists(tiny, untrained, robot, tmp_path):
    with pytest.raises(RuntimeError, match=r"call reset\(q\)"):
        Controller(tiny, untrained).act(MIDDLE, MIDDLE)
    with pytest.raises(ValueError, match="target of joint ff_.* is nan rad, and its limits are"):
        robot.reset(MIDDLE, MIDDLE * np.nan)
    with pytest.raises(ValueError, match=r"q of joint ff_.*its limits are -0\.47 to 0\.47 rad .* zero position"):
        robot.reset(MIDDLE + np.pi)
    with pytest.raises(ValueError, match="unknown mode 'spin'; .* default, precision_rotation, free_motion"):
        robot.act(MIDDLE, MIDDLE, mode="spin")
    with pytest.raises(ValueError, match="unknown kind of command 'thought'; there is joints, "):
        robot.act(MIDDLE, MIDDLE, MIDDLE, kind="thought", strength=1)
    with pytest.raises(ValueError, match=r"keypoint_offsets \[m\] has shape \(8, 3\), got \(4, 3\)"):
        robot.act(MIDDLE, MIDDLE, np.zeros((4, 3)), kind="keypoint_offsets", strength=1)
    with pytest.raises(ValueError, match=r"q \[rad\] of the allegro hand has shape \(16,\), got \(12,\)"):
        robot.act(MIDDLE[:12], MIDDLE)
    with pytest.raises(ValueError, match="as strength or as alpha: got 1 and 2"):
        robot.act(MIDDLE, MIDDLE, MIDDLE, strength=1, alpha=2)
    with pytest.raises(ValueError, match="a tick has no option 'strenght'; there is age, mode, strength, released"):
        robot.act(MIDDLE, MIDDLE, strenght=1)
    with pytest.raises(ValueError, match="at least 1 candidate, got 0"):
        Settings(candidates=0)
    with pytest.raises(ValueError, match=r"eta must be from 0 \(DDIM\) to 1 \(DDPM\), got 2"):
        Settings(eta=2)
    with pytest.raises(ValueError, match="unknown hand 'paw'; there are: allegro"):
        Model(hand_name="paw")
    with pytest.raises(ValueError, match="unknown model fields .'colour'."):
        Model.from_dict({"colour": 3})
    with pytest.raises(FileNotFoundError, match="no trained weights"):
        Controller.from_pretrained(tmp_path / "nowhere")
