"""Settings of send_fingertips.py: whose fingers, where to, how often.

Reproduces: see the script. Time: a calibration if it is asked for, then 60 s (smoke: 3 s). Expected: see the script.
Command: python experiments/send_fingertips.py --config=experiments/configs/send_fingertips.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {"smoke": dict(seconds=3.0), "laptop": dict(seconds=60.0), "gpu": dict(seconds=60.0)}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict(SIZES[size])  # s, of motion as it likes
    config.run_dir = "runs/send_fingertips"  # folder of the run
    config.seed = 0  # of the motion
    config.address = "tcp://127.0.0.1:5556"  # of teleoperate.py
    config.token_file = ""  # file with the secret of teleoperate.py, if it has one; mode 600
    config.rate_hz = 60.0  # messages a second
    config.timeout = 1.0  # s to wait for an answer
    config.fingers = ("index", "middle", "ring", "thumb")  # in the order of the robot hand's own
    return config
