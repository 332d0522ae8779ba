import dataclasses
import threading

import numpy as np
import pytest
from fake_world import FakeWorld, Patient

from dexgen_jax.viz import wrist
from dexgen_jax.viz.session import ALONE, DEVICE, FALL_STEPS, HELP, HELPED, RELEASED, Session

OPERATORS = {
    "clean": lambda wanted, rng: wanted,
    "wild": lambda wanted, rng: rng.uniform(-1, 1, len(wanted)),
}


@pytest.fixture
def session():
    return Session(FakeWorld(), Patient(), OPERATORS, seed=3)


def ticks(session, count):
    for _ in range(count):
        session.tick()


def test_a_hand_that_nobody_commands_keeps_its_targets(session):
    begin = session.moment.target
    for kind in HELP:
        session.wish(help=kind)
        ticks(session, 3)
    np.testing.assert_array_equal(session.moment.target, begin)
    assert session.account.held == pytest.approx(0.9)


@pytest.mark.parametrize("kind, share", [(ALONE, 1.0), (RELEASED, 1.0), (HELPED, 1 / 3)])
def test_the_switch_says_who_moves_the_hand(session, kind, share):
    session.wish(operator="clean", help=kind, strength=0.5)
    begin = session.moment.target
    session.tick()
    np.testing.assert_allclose(session.moment.target - begin, share * 0.1 * 0.15, atol=1e-6)
    assert len(session.helper.asked) == (kind != ALONE)
    if kind != ALONE:
        assert (session.helper.asked[0].strength, session.helper.asked[0].released) == (0.5, kind == RELEASED)
    assert session.account.samples[-1].intervention == pytest.approx((1 - share) * 0.015, abs=1e-6)
    assert session.account.kept == pytest.approx(share, abs=1e-4)


def test_the_expert_is_spoiled_and_commands_from_the_targets_in_force(session):
    session.wish(operator="clean")
    session.tick()
    now = session.before
    np.testing.assert_allclose(session.helper.asked[-1].command, now.target + 0.15 * now.wanted, atol=1e-6)


def test_sliders_begin_where_the_hand_is_and_then_lead_it(session):
    session.wish(operator="sliders", help=ALONE)
    begin = session.moment.target
    session.tick()
    np.testing.assert_array_equal(session.moment.target, begin)
    joints = begin.copy()
    joints[3] += 0.2
    session.wish(joints=joints)
    session.tick()
    assert session.moment.target[3] - begin[3] == pytest.approx(0.15, abs=1e-6)  # as far as one step goes
    session.tick()
    np.testing.assert_allclose(session.moment.target, joints, atol=1e-6)


def test_a_dragged_fingertip_goes_where_its_handle_is_and_the_others_stay(session):
    session.wish(help=ALONE)
    begin = session.tips()
    session.drag(1, begin[1] + [0.004, 0, 0.004])
    assert session.wishes.operator == "handles"
    ticks(session, 5)
    after = session.tips()
    np.testing.assert_allclose(after[1], begin[1] + [0.004, 0, 0.004], atol=1e-3)
    np.testing.assert_allclose(after[[0, 2, 3]], begin[[0, 2, 3]], atol=1e-3)


def test_whoever_lets_go_or_is_gone_leaves_the_hand_holding(session):
    session.wish(help=ALONE)
    session.drag(0, session.tips()[0] + [0.03, 0, 0.0])
    session.tick()
    session.let_go()
    where = session.moment.target
    ticks(session, 5)
    np.testing.assert_array_equal(session.moment.target, where)


def test_a_device_is_followed_and_holds_the_hand_while_it_is_silent():
    told = [TimeoutError("nothing yet")]

    def device():
        if isinstance(told[-1], Exception):
            raise told[-1]
        return told[-1]

    session = Session(FakeWorld(), Patient(), {}, device=device)
    session.wish(operator=DEVICE, help=ALONE)
    begin, place = session.moment.target, session.tips() + [0.004, 0, 0.004]
    ticks(session, 3)
    np.testing.assert_array_equal(session.moment.target, begin)
    assert session.holding == "nothing yet" and session.account.held == pytest.approx(0.3)
    told.append(place)
    ticks(session, 5)
    np.testing.assert_allclose(session.tips(), place, atol=1e-3)
    assert session.holding == ""
    session.wish(help=HELPED)
    told.append(TimeoutError("gone"))
    where = session.moment.target
    ticks(session, 3)
    np.testing.assert_array_equal(session.moment.target, where)  # nor does the helper move it
    with pytest.raises(ValueError, match="no operator 'device'"):
        Session(FakeWorld(), Patient(), {}).wish(operator=DEVICE)


@pytest.mark.parametrize("silence", [TimeoutError("no answer"), ConnectionResetError("forgotten")])
def test_a_helper_that_is_silent_holds_the_hand_and_is_told_again_where_it_is(silence):
    class Far(Patient):
        silent: Exception | None = TimeoutError("no answer")

        def reset(self, q, target):
            if self.silent:
                raise self.silent
            super().reset(q, target)

        def act(self, *asked, **how):
            if self.silent:
                raise self.silent
            return super().act(*asked, **how)

    far = Far()
    session = Session(FakeWorld(), far, OPERATORS)
    session.wish(operator="clean")
    begin = session.moment.target
    ticks(session, 2)
    np.testing.assert_array_equal(session.moment.target, begin)
    assert session.holding == "no answer" and far.resets == 0
    far.silent = None
    session.tick()
    assert session.holding == "" and far.resets == 1 and np.any(session.moment.target != begin)
    far.silent, where = silence, session.moment.target
    session.tick()
    np.testing.assert_array_equal(session.moment.target, where)
    assert session.holding == str(silence)


def test_a_lost_object_falls_a_while_and_comes_back_in_a_fresh_grasp(session):
    session.wish(operator="wild", help=ALONE)
    steps = []
    session.listeners.append(steps.append)
    while not session.falling:
        session.tick()
    held, resets = session.account.tallies[ALONE].seconds, session.helper.resets
    assert session.account.tallies[ALONE].drops == 1 and steps[-1].dropped
    where = session.moment.target
    ticks(session, FALL_STEPS - 1)
    np.testing.assert_array_equal(session.moment.target, where)  # nobody moves it meanwhile, and nothing is counted
    assert session.account.tallies[ALONE].seconds == held and all(step.falling for step in steps[-3:])
    session.tick()
    np.testing.assert_array_equal(session.moment.target, session.world.grasp)
    assert (session.account.held, session.helper.resets) == (0.0, resets + 1)
    session.tick()
    assert steps[-1].first and not steps[-1].falling
    assert len(set(session.world.seeds)) == len(session.world.seeds), "another grasp each time"


def test_kinds_of_help_are_counted_apart(session):
    session.wish(operator="clean", help=ALONE)
    ticks(session, 7)
    session.wish(help=HELPED)
    ticks(session, 3)
    tallies = session.account.tallies
    assert [round(tallies[kind].seconds, 6) for kind in HELP] == [0.3, 0.7, 0.0]
    assert (tallies[ALONE].goals, tallies[HELPED].goals) == (1, 0)


def test_shaking_is_the_same_for_the_same_seed_whenever_it_begins(session):
    def shaken(after):
        session.reset(7)
        session.wish(shake=0.0, operator="still", help=ALONE)
        ticks(session, 1 + after)
        session.wish(shake=0.05)
        before = session.moment.target
        session.tick()
        return session.moment.target - before

    first = shaken(4)
    assert 0.02 < np.std(first) < 0.04  # uniform of half width 0.05 has 0.029
    session.wish(operator="clean")
    np.testing.assert_allclose(shaken(4), first, atol=1e-6)
    assert np.abs(shaken(5) - first).max() > 0.01


def test_the_same_seed_begins_the_same_and_another_does_not(session):
    session.reset(7)
    session.tick()
    session.reset(8)
    session.tick()
    session.reset(7)
    session.tick()
    first, other, again = session.world.seeds[-3:]
    assert first == again != other
    assert session.account.time == 0


def test_a_tumble_begins_with_the_palm_up_each_time(session):
    session.wish(wrist="tumble")
    ticks(session, 20)
    assert np.abs(session.wrist - wrist.POSES["palm up"]).max() > 0.05
    session.reset()
    session.tick()
    np.testing.assert_array_equal(session.wrist, wrist.POSES["palm up"])


def test_pause_stands_still_and_reset_and_objects_do_not_wait(session):
    session.wish(paused=True, operator="clean")
    ticks(session, 3)
    assert session.world.age == 0
    session.wish(thing="sphere_64")
    session.tick()
    assert session.moment.thing == "sphere_64"


def test_the_wrist_turns_slowly_and_gravity_with_it(session):
    session.wish(wrist="palm down")
    session.tick()
    up, now = wrist.gravity(wrist.POSES["palm up"]), session.world.gravities[-1]
    np.testing.assert_allclose(up, [-9.81, 0, 0], atol=1e-6)
    assert np.arccos(up @ now / 9.81**2) == pytest.approx(0.1, abs=1e-6)
    ticks(session, 40)
    np.testing.assert_allclose(session.world.gravities[-1], [9.81, 0, 0], atol=1e-6)
    session.wish(wrist="tumble")
    ticks(session, 10)
    angle = np.arccos(np.clip(session.world.gravities[-1] @ session.world.gravities[-2] / 9.81**2, -1, 1))
    assert 0 < angle <= 0.03 + 1e-6
    session.wish(wrist=wrist.POSES["fingers up"])
    ticks(session, 40)
    np.testing.assert_allclose(session.world.gravities[-1], [0, 0, -9.81], atol=1e-6)


def test_a_clip_is_shown_over_and_over_and_then_life_goes_on(session):
    base = session.moment
    clip = [dataclasses.replace(base, q=base.q + i, gravity=np.float32([0, 0, -9.81])) for i in range(3)]
    session.replay(clip)
    seen = []
    for _ in range(4):
        session.tick()
        seen.append(session.moment.q[0] - base.q[0])
    np.testing.assert_allclose(seen, [0, 1, 2, 0], atol=1e-5)
    assert session.before is session.moment, "no motion leads from the end to the beginning"
    session.tick()
    assert session.before is clip[0]
    np.testing.assert_allclose(wrist.gravity(session.wrist), [0, 0, -9.81], atol=1e-5)
    assert session.account.time == 0
    session.replay(None)
    ticks(session, 2)
    assert session.account.time == pytest.approx(0.1)
    with pytest.raises(ValueError, match="clip without a moment"):
        session.replay([])


def test_a_replay_that_ends_in_the_middle_of_a_step_ends_nothing_else():
    class Interrupted(Session):
        """Another thread ends the replay, or begins a shorter one, whenever the clip has been read."""

        instead = None

        @property
        def clip(self):
            found, self._clip = self._clip, self.instead
            return found

        @clip.setter
        def clip(self, clip):
            self._clip = clip

    session = Interrupted(FakeWorld(), Patient(), OPERATORS)
    for instead in (None, [session.moment]):
        clip = [dataclasses.replace(session.moment) for _ in range(3)]
        session.replay(clip)
        session._at, session.instead = 2, instead
        session.tick()
        assert session.moment is clip[2]


@pytest.mark.parametrize(
    "wishes, words",
    [
        ({"thing": "cube_56"}, "no thing 'cube_56'; did you mean cube_55"),
        ({"help": "helpd"}, "no help 'helpd'; did you mean helped"),
        ({"operator": "me"}, "no operator 'me'; there are: still, sliders, handles, clean, wild"),
        ({"strength": -1.0}, "strength is -1.0: it must be from 0 to 10"),
        ({"shake": np.nan}, "shake is nan: it must be from 0 to 1.0"),
        ({"speed": 0.0}, "speed is 0.0: it must be from 0.05 to 1"),
        ({"wrist": "palm left"}, "no wrist 'palm left'"),
        ({"wrist": np.zeros(3)}, "wrist must be 4 finite numbers"),
        ({"wrist": np.zeros(4)}, "wrist must be a quaternion, which has a length"),
        ({"wrist": None}, "wrist must be a quaternion, which has a length, got None"),
        ({"joints": np.zeros(15)}, "joints must be 16 finite numbers"),
        ({"tips": {0: np.array([0, np.inf, 0])}}, "the place of finger 0 must be 3 finite numbers"),
        ({"tips": {4: np.zeros(3)}}, r"fingers are numbered from 0 to 3, got \[4\]"),
        ({"strenght": 1.0}, "no wish named 'strenght'; did you mean strength"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(session, wishes, words):
    before = session.wishes
    with pytest.raises(ValueError, match=words):
        session.wish(**wishes)
    assert session.wishes is before


def test_wishes_from_many_threads_are_all_heard(session):
    def drag(finger):
        for i in range(50):
            session.drag(finger, np.full(3, 0.01 * i))

    threads = [threading.Thread(target=drag, args=(finger,)) for finger in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {finger: float(place[0]) for finger, place in session.wishes.tips.items()} == dict.fromkeys(range(4), 0.49)
