"""PhysicsState: what one simulation is between two control steps, the same on every backend."""

import jax
from flax import struct

from dexgen_jax.hand.description import Hand

BLOWN_UP = 1e3  # m, rad, m/s or rad/s: far beyond any grasp, and squares of it still fit a float32


@struct.dataclass
class PhysicsState:
    """One environment's simulation, with what its sensors read. Positions and velocities in the palm frame."""

    # What the next step starts from.
    qpos: jax.Array  # (n + 7,) joints [rad], object position [m], object quaternion w x y z
    qvel: jax.Array  # (n + 6,) joints [rad/s], object velocity [m/s], object angular velocity in its own frame [rad/s]
    warmstart: jax.Array  # (n + 6,) the constraint solver's first guess
    # Read-outs, one physics step old as MuJoCo computes them before it integrates.
    torque: jax.Array  # (n,) N m, applied by the actuators
    touch: jax.Array  # (touch sensors,) N, normal force on each part of the hand
    finite: jax.Array  # () bool, False once the simulation has blown up: NaN, or beyond `BLOWN_UP`
    steps: jax.Array  # () int32, control steps since `init`: by it a task notices that its physics was put back

    def joints(self, hand: Hand) -> jax.Array:
        """Joint positions (n,) [rad]."""
        return self.qpos[: hand.num_joints]

    def object_pose(self, hand: Hand) -> jax.Array:
        """Object position [m] and quaternion w x y z, (7,)."""
        return self.qpos[hand.num_joints :]
