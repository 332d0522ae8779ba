"""One MuJoCo model for all environments: the hand, fixed in space, and one free object made of slots.

The hand's base never moves: turning the wrist is turning gravity in the palm frame (exact while the wrist rests,
quasi-static while it moves slowly), so every pose is in the palm frame and there is no floor.
"""

import copy
import dataclasses
import functools

import mujoco
import numpy as np

from dexgen_jax.hand.description import Hand

OBJECT = "object"
TIMESTEP = 0.01  # s
CONTACT_ITERATIONS = 20
FRICTION_STIFFNESS = 10.0  # MuJoCo's impratio: with 1, contacts creep and 4% of still grasps slip away within 2 s


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """The compiled model and where the object's parts lie in it."""

    hand: Hand
    model: mujoco.MjModel
    slot_kinds: tuple[int, ...]
    object_body: int
    slots: slice  # the object's geoms
    object_dofs: slice

    @functools.cached_property
    def rows(self) -> dict[str, object]:
        """Where each field that differs between worlds lies in its MuJoCo model array, as a NumPy index."""
        per_slot = ("type", "size", "pos", "quat", "rbound", "aabb", "margin", "friction")
        per_body = ("mass", "subtreemass", "ipos", "iquat", "inertia", "invweight0")
        return {
            **{f"geom_{name}": self.slots for name in per_slot},
            **{f"body_{name}": self.object_body for name in per_body},
            "dof_invweight0": self.object_dofs,
            "actuator_gainprm": (slice(None), 0),  # P gain
            "actuator_biasprm": (slice(None), slice(1, 3)),  # -P gain, -D gain
            "opt.gravity": slice(None),
        }

    def batch_rows(self, name: str) -> tuple:
        """`rows[name]` for an array with a leading axis of simulations."""
        rows = self.rows[name]
        return (slice(None), *rows) if isinstance(rows, tuple) else (slice(None), rows)

    @property
    def num_slots(self) -> int:
        return len(self.slot_kinds)


def build(hand: Hand, slot_kinds: tuple[int, ...]) -> Scene:
    """Adds an object with the given slots to the hand and compiles. `qpos` = hand joints, object x y z, w x y z."""
    spec = hand.spec()
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # stable under stiff joint damping
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # pyramids let grasped objects creep
    spec.option.impratio = FRICTION_STIFFNESS
    spec.option.iterations = CONTACT_ITERATIONS
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE  # MuJoCo 4.0.0's sparse Newton factor has a bug
    # Bounding volumes of the mid phase are compiled in, but slots move and change size: use the plain pair test.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    # A simulation that blows up must be seen, not silently put back to its start.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    body = spec.worldbody.add_body(name=OBJECT)
    body.add_freejoint(name=OBJECT)
    # The body's frame, its inertial frame and each slot's frame all differ in the placeholder: the compiler marks
    # frames that coincide, and the simulator then uses one for the other for ever, whatever object is written in.
    body.explicitinertial, body.mass, body.inertia = True, 0.1, (1e-4, 1.1e-4, 1.2e-4)
    body.ipos, body.iquat = (0.001, 0.002, 0.003), (0.8, 0.6, 0, 0)
    for i, kind in enumerate(slot_kinds):
        body.add_geom(
            name=f"slot_{i}", type=kind, size=(0.02, 0.02, 0.02), pos=(0.003, 0.001, 0.002), quat=(0.8, 0, 0.6, 0),
            priority=1, condim=3,  # the object's friction rules: world.py writes the mean of object and hand there
        )  # fmt: skip
    model = spec.compile()
    shared = np.append(model.geom_sameframe[model.geom_bodyid == body.id], model.body_sameframe[body.id])
    if np.any(shared != mujoco.mjtSameFrame.mjSAMEFRAME_NONE):
        raise RuntimeError(f"the compiler takes frames of the object for equal ({shared}): objects would be distorted")
    first = model.geom("slot_0").id
    joint = model.joint(OBJECT)
    return Scene(
        hand=hand,
        model=model,
        slot_kinds=tuple(slot_kinds),
        object_body=model.body(OBJECT).id,
        slots=slice(first, first + len(slot_kinds)),
        object_dofs=slice(joint.dofadr[0], joint.dofadr[0] + 6),
    )


def model_of(scene: Scene, fields: dict[str, np.ndarray]) -> mujoco.MjModel:
    """Returns a model with one world's fields (see `world.model_fields`) written in, to render or to inspect it."""
    model = copy.copy(scene.model)
    for name, value in fields.items():
        array = model.opt.gravity if name == "opt.gravity" else getattr(model, name)
        array[scene.rows[name]] = np.asarray(value)
    return model
