"""The worlds of figure 8: what the object and the wrist are like in each split, beside the objects themselves."""

import math

SAME = {name: (value, value) for name, value in dict(  # one value in all environments
    mass=0.14, object_friction=0.85, hand_friction=0.85, size=1.0, kp=1.0, kd=1.0,
).items()}  # fmt: skip
NO_NOISE = dict.fromkeys(("push_probability", "start_joints", "joint_noise", "joint_offset", "action_noise"), 0.0)
# Changes to the world of each split: fields of `RandomizationConfig`.
SPLITS: dict[str, dict] = {
    "train": {},
    "held_out": {},
    "palm_up": {"gravity_angle": math.pi / 3},
    "sideways": {"gravity_least_angle": math.pi / 3, "gravity_angle": 2 * math.pi / 3},
    "palm_down": {"gravity_least_angle": 2 * math.pi / 3},
    "wrist_still": {"gravity_walk": 0.0},
    "wrist_half": {"gravity_walk": 0.0, "wrist_speed": 0.5},
    "wrist_one": {"gravity_walk": 0.0, "wrist_speed": 1.0},
    "nominal": {**SAME, **NO_NOISE},
    "slippery": {"object_friction": (0.3, 0.3), "hand_friction": (0.3, 0.3)},  # nobody trained on it
}
