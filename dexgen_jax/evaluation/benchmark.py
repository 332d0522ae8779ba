"""When a goal counts, in all evaluations, whatever an expert was trained with: so that figures can be compared."""

GOALS = {
    "position_tolerance": 0.025,  # m
    "angle_tolerance": 0.4,  # rad
    "joint_tolerance": 0.6,  # rad, root mean square
    "hold_steps": 8,  # control steps of 0.1 s that it must be held for
    "goal_steps": 100,  # control steps after which it is given up for another
}
