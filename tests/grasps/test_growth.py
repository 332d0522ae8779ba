import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import growth, library, overlap, settle
from dexgen_jax.grasps.growth import GrowthConfig
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog

CONFIG = GrowthConfig(cup=(64, 32), contacts=(64, 8), search=(64, 24))  # proposals in one part: half to compile
BOX = 0  # of the engine's objects: OBJECTS in conftest.py


@pytest.fixture(scope="module")
def attempt(engine):
    subjects = growth.subjects([catalog.load(name) for name in ("box_50_50_80", "sphere_64")])
    program = jax.jit(
        lambda key, index, known: growth.attempt(
            key, engine, index, jax.tree.map(lambda x: x[index], subjects), known, CONFIG
        )
    )
    return lambda seed, grasps: jax.device_get(
        program(jax.random.PRNGKey(seed), jnp.asarray(BOX), growth.known(grasps))
    )


@pytest.fixture(scope="module")
def grown(attempt):
    """A library of two batches, the batches, and the library after the first."""
    empty = growth.begin(allegro.load(), "box_50_50_80", {"seed": 0})
    first = attempt(0, empty)
    begun = growth.add(empty, first)
    second = attempt(1, begun)
    return growth.add(begun, second), (first, second), begun


@pytest.mark.slow
def test_a_batch_loses_candidates_at_each_stage_and_counts_them(grown):
    for batch in grown[1]:
        for maker, checks in growth.MAKERS.items():
            proposals, places = getattr(CONFIG, maker)
            counts = batch.counts[maker]
            falling = [int(counts[stage]) for stage in ("proposed", *checks, "tried", *settle.STAGES)]
            assert falling == sorted(falling, reverse=True) and falling[0] <= proposals
            assert int(counts["tried"]) <= places
            source = batch.source == list(growth.MAKERS).index(maker)
            assert source.sum() == places
            assert int(counts["held"]) == batch.settled.accepted[source].sum()


@pytest.mark.slow
def test_search_waits_for_something_to_start_from(grown):
    first, second = grown[1]
    assert first.counts["search"]["proposed"] == first.counts["search"]["tried"] == 0
    assert second.counts["search"]["proposed"] == CONFIG.search[0] and second.counts["search"]["tried"] > 8


@pytest.mark.slow
def test_a_library_is_what_the_batches_found_in_the_steps_of_a_file(grown):
    grasps, batches, begun = grown
    found = sum(int(batch.settled.accepted.sum()) for batch in batches)
    assert len(grasps) == found > len(begun) > 5 and grasps.provenance["batches"] == 2
    np.testing.assert_array_equal(grasps.q, grasps.rounded().q)
    np.testing.assert_array_equal(grasps.q[: len(begun)], begun.q)
    held = {maker: of["held"] for maker, of in grasps.provenance["counts"].items()}
    assert held == {maker: int((grasps.source == i).sum()) for i, maker in enumerate(growth.MAKERS)}
    hand = allegro.load()
    depths = jax.vmap(lambda q, pose: overlap.depths(hand, q, catalog.load("box_50_50_80"), pose))
    touching = np.asarray(overlap.touching(depths(jnp.asarray(grasps.q), jnp.asarray(grasps.object_pose))))
    assert (touching == grasps.touches).mean() > 0.99  # a step of 1e-4 rad may lift a finger


@pytest.mark.slow
def test_a_run_that_was_stopped_grows_the_same(attempt, grown, tmp_path):
    library.save(tmp_path, grown[2])
    again = growth.add(grown[2], attempt(1, library.load(tmp_path, "box_50_50_80", "allegro")))
    for name in ("q", "target", "object_pose", "touches", "source"):
        np.testing.assert_array_equal(getattr(again, name), getattr(grown[0], name))
    assert again.provenance == grown[0].provenance


@pytest.mark.slow
def test_search_knows_a_sample_when_there_are_too_many(grown, monkeypatch):
    monkeypatch.setattr(growth, "_KNOWN", 6)
    known = growth.known(grown[0])
    assert known.q.shape[0] == known.count == 6
    assert all((np.asarray(row) == grown[0].q).all(1).any() for row in known.q)
    few = growth.known(grown[0].take(np.arange(4)))
    assert few.q.shape[0] == 6 and few.count == 4


def test_only_sound_candidates_are_chosen_and_the_best_of_them_first():
    sound = jnp.array([True, False, True, True])
    proposed = growth.Candidate(
        jnp.arange(4.0)[:, None], jnp.zeros((4, 1)), jnp.zeros(4, int), jnp.array([1.0, 9, 3, 2])
    )
    chosen, good = growth._choose(proposed, sound, 2)
    assert chosen.qpos[:, 0].tolist() == [2, 3] and good.tolist() == [True, True]
    assert growth._choose(proposed, sound, 4)[1].tolist() == [True, True, True, False]


def test_symmetry_groups_are_padded_to_one_size():
    group = growth.subjects([catalog.load("sphere_64"), catalog.load("box_48_56_64")]).group
    assert group.shape == (2, 4, 4, 4)
    assert not np.asarray(group)[0, 1:].any() and not np.asarray(group)[1, :, 1:].any()


@pytest.mark.slow
def test_losses_are_said_in_one_line(grown):
    line = growth.describe(grown[2].provenance["counts"])
    assert line.startswith("cup: 64 proposed, 32 tried, ") and "contacts: 64 proposed, " in line
    assert "search" not in line  # it has proposed nothing yet


def test_a_batch_is_as_large_as_its_shares():
    assert dataclasses.replace(CONFIG, cup=(50, 10)).tried == 10 + 8 + 24
