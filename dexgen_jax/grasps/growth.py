"""How a library grows: batches of candidates from three makers, geometric checks, then physics; losses are counted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.grasps import contacts, sample, search, settle, symmetry
from dexgen_jax.grasps import library as libraries
from dexgen_jax.grasps.contacts import ContactConfig, Surface
from dexgen_jax.grasps.library import ObjectGrasps
from dexgen_jax.grasps.sample import Candidate
from dexgen_jax.grasps.search import Known, SearchConfig
from dexgen_jax.grasps.settle import SettleConfig
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import surface
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.engine import Engine

# Maker -> its own checks. A grasp's `source` is the maker's place in this order.
MAKERS = {"cup": (), "contacts": contacts.CHECKS, "search": search.CHECKS}
_SURFACE_POINTS = 2048
_KNOWN = 1024  # grasps that search knows of, a random subsample as in the paper
_PART = 64  # proposals made at once


@dataclasses.dataclass(frozen=True)
class GrowthConfig:
    """A batch: how many candidates each maker proposes, and how many of those that pass its checks physics tries."""

    cup: tuple[int, int] = (256, 256)
    contacts: tuple[int, int] = (256, 48)
    search: tuple[int, int] = (640, 160)  # the newest are tried: proposing more of them covers more, and holds less
    propose: ContactConfig = ContactConfig()
    expand: SearchConfig = SearchConfig()
    settle: SettleConfig = SettleConfig()

    @property
    def tried(self) -> int:
        """Candidates that physics tries in one batch, at most."""
        return self.cup[1] + self.contacts[1] + self.search[1]


@struct.dataclass
class Subject:
    """What growth needs to know of an object besides its shape; stacked over the engine's objects."""

    surface: Surface
    group: jax.Array  # (G, R, 4) symmetry group


def subjects(objects: list[ObjectParams], seed: int = 0) -> Subject:
    """Samples surfaces and finds symmetries of `objects`, on the host."""
    drawn = [surface.sample(thing, np.random.default_rng(seed), _SURFACE_POINTS) for thing in objects]
    groups = [symmetry.group(thing) for thing in objects]
    pieces, size = np.max([group.shape[:2] for group in groups], axis=0)
    pad = lambda group: np.pad(group, ((0, pieces - len(group)), (0, size - group.shape[1]), (0, 0)))
    return Subject(
        Surface(jnp.stack([points for points, _ in drawn]), jnp.stack([normals for _, normals in drawn])),
        jnp.stack([pad(group) for group in groups]),  # a piece of zeros is never the nearest
    )


@struct.dataclass
class Grown:
    """One batch with its verdicts."""

    settled: settle.Settled  # (B, ...)
    source: jax.Array  # (B,) uint8, which of `MAKERS`
    counts: dict[str, dict[str, jax.Array]]  # maker -> stage -> how many came so far, () int32


def attempt(
    key: jax.Array, engine: Engine, index: jax.Array, subject: Subject, known: Known, config: GrowthConfig
) -> Grown:
    """Proposes candidates for object `index` () of the engine, drops what cannot be grasps, and tries the rest."""
    params, hand = engine.object(index), engine.hand
    keys = dict(zip(MAKERS, jax.random.split(key, len(MAKERS)), strict=True))
    make = {
        "cup": lambda key: sample.cup(key, hand),
        "contacts": lambda key: contacts.propose(key, hand, subject.surface, params, config.propose),
        "search": lambda key: search.expand(key, hand, known, params, subject.group, config.expand),
    }
    batches, tried, counts = [], [], {}
    for name, checks in MAKERS.items():
        proposals, places = getattr(config, name)
        # In parts: search compares each proposal with all known grasps in all their symmetric turns.
        proposed = jax.lax.map(make[name], jax.random.split(keys[name], proposals), batch_size=_PART)
        passed = proposed.passed
        if name == "search":  # nothing is known yet: what it made of the padding is nothing
            passed = jnp.where(known.count > 0, passed, -1)
        chosen, sound = _choose(proposed, passed == len(checks), places)
        batches.append(chosen)
        tried.append(sound)
        counts[name] = {"proposed": jnp.sum(passed >= 0)}
        counts[name] |= {check: jnp.sum(passed > i) for i, check in enumerate(checks)} | {"tried": jnp.sum(sound)}
    candidates = jax.tree.map(lambda *parts: jnp.concatenate(parts), *batches)
    settled = settle.settle(engine, worlds.nominal(params), candidates, jnp.concatenate(tried), config.settle)
    sizes = [len(sound) for sound in tried]
    source = jnp.asarray(np.repeat(np.arange(len(MAKERS), dtype=np.uint8), sizes))
    for i, name in enumerate(MAKERS):
        stages = enumerate(settle.STAGES)
        counts[name] |= {stage: jnp.sum((settled.passed > j) & (source == i)) for j, stage in stages}
    return Grown(settled, source, counts)


def _choose(proposed: Candidate, sound: jax.Array, places: int) -> tuple[Candidate, jax.Array]:
    """The `places` best candidates, sound ones first and among them by merit, and which of them are sound."""
    order = jnp.argsort(-jnp.where(sound, proposed.merit, -jnp.inf), stable=True)[:places]
    return jax.tree.map(lambda x: x[order], proposed), sound[order]


def known(grasps: ObjectGrasps) -> Known:
    """Some of a library's grasps as search needs them: padded, for compiled programs have fixed shapes."""
    rows = np.random.default_rng(len(grasps)).permutation(len(grasps))[:_KNOWN]  # the same after a restart
    pad = lambda x: jnp.asarray(np.pad(x[rows], ((0, _KNOWN - len(rows)), (0, 0))), jnp.float32)
    return Known(pad(grasps.q), pad(grasps.target), pad(grasps.object_pose), jnp.asarray(len(rows), jnp.int32))


def begin(hand: Hand, object_name: str, provenance: dict) -> ObjectGrasps:
    """A library without grasps; `provenance` says how it will be grown."""
    joints, capsules = hand.num_joints, len(hand.chain.capsule_body)
    empty = [np.zeros((0, width), np.float32) for width in (joints, joints, 7)]
    provenance = {"batches": 0, "counts": {}} | provenance
    return ObjectGrasps(
        hand.name, object_name, *empty, np.zeros((0, capsules), bool), np.zeros(0, np.uint8), provenance
    )


def add(grasps: ObjectGrasps, grown: Grown) -> ObjectGrasps:
    """Adds what a batch has found and counted. As precise as a file, so a run that was stopped grows the same."""
    settled, keep = grown.settled, np.asarray(grown.settled.accepted)
    counts = {maker: dict(stages) for maker, stages in grasps.provenance["counts"].items()}
    for maker, checks in MAKERS.items():
        old = counts.get(maker, {})
        stages = ("proposed", *checks, "tried", *settle.STAGES)
        counts[maker] = {stage: old.get(stage, 0) + int(grown.counts[maker][stage]) for stage in stages}
    provenance = grasps.provenance | {"batches": grasps.provenance["batches"] + 1, "counts": counts}
    rows = (settled.q, settled.target, settled.object_pose, settled.touches, grown.source)
    found = ObjectGrasps(
        grasps.hand_name, grasps.object_name, *(np.asarray(x)[keep] for x in rows), provenance=provenance
    )
    return libraries.join(grasps, found.rounded(), provenance)


def describe(counts: dict[str, dict[str, int]]) -> str:
    """One line that says where candidates were lost: 'cup: 192 proposed, 192 tried, 80 closed, ...; ...'."""
    stages = lambda of: ", ".join(f"{number} {stage}" for stage, number in of.items())
    return "; ".join(f"{maker}: {stages(of)}" for maker, of in counts.items() if of["proposed"])
