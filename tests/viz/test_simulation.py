"""The real hand behind the viewer, with the shipped expert, controller and grasps."""

import jax
import numpy as np
import pytest

from dexgen_jax.controller.controller import Controller
from dexgen_jax.experts.networks import Expert
from dexgen_jax.objects import catalog
from dexgen_jax.viz.session import ALONE, HELPED, SHAKE, Session
from dexgen_jax.viz.simulation import ROWS, Simulation

pytestmark = pytest.mark.slow  # the environment and the controller are compiled
SEEDS = range(4)


@pytest.fixture(scope="module")
def session():
    world = Simulation(Expert.from_pretrained(), objects=(*catalog.TRAIN, *catalog.HELD_OUT))
    return Session(world, Controller.from_pretrained(), {"clean": lambda wanted, chance: wanted})


def test_every_object_of_the_catalogue_is_there_without_compiling_again(session):
    session.tick()
    for thing in session.world.objects:
        session.wish(thing=thing)
        session.tick()
        assert session.moment.thing == thing and 0.94 < session.moment.scale < 1.06
        session.tick()
        assert not session.moment.dropped and np.isfinite(session.moment.object_pose).all()
    with jax.log_compiles():
        assert session.world._begin._cache_size() == session.world._step._cache_size() == 1
    assert len(session.world._library("cube_55")) == ROWS


def held(session, kind, seed):
    """Seconds, at most 20, that the cube is held while it is shaken."""
    session.wish(thing="cube_55", wrist="tumble", operator="clean", shake=SHAKE, help=kind)
    session.reset(seed)
    session.tick()
    for _ in range(200):
        session.tick()
        if session.falling:
            break
    return session.account.held


def test_shaking_loses_the_cube_alone_and_much_later_with_help(session):
    alone, helped = (np.array([held(session, kind, seed) for seed in SEEDS]) for kind in (ALONE, HELPED))
    assert (alone < 20).mean() >= 0.75 and helped.sum() > 1.5 * alone.sum()
    assert ((alone < 19.9) & (helped > 19.9)).any(), (alone, helped)


def test_the_same_seed_is_the_same_grasp(session):
    first = [(session.reset(seed), session.tick(), session.moment.q)[2] for seed in (5, 6, 5)]
    np.testing.assert_array_equal(first[0], first[2])
    assert np.abs(first[0] - first[1]).max() > 0.01
