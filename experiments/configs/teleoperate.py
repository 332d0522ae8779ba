"""Settings of teleoperate.py: where the device and the helper are, and what lies in the hand.

Reproduces: see the script. Time: compiles and calibrates first, then until Ctrl-C (smoke: 5 s). Expected: 10 Hz.
Command: python experiments/teleoperate.py --config=experiments/configs/teleoperate.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {
    "smoke": dict(seconds=5.0, ready=0.5, hold=1.0),
    "laptop": dict(seconds=0.0, ready=5.0, hold=10.0),
    "gpu": dict(seconds=0.0, ready=5.0, hold=10.0),
}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict(SIZES[size])  # s: to serve for (0 is until Ctrl-C), to get ready for a pose, to hold it
    config.run_dir = "runs/teleoperate"  # folder of the run; its teleoperate/calibration.json is kept
    config.seed = 0
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.address = "tcp://127.0.0.1:5556"  # where the device sends to; any but this machine's own needs a token
    config.server = ""  # of a controller that helps, as tcp://127.0.0.1:5555; empty: the one below, here
    config.token_file = ""  # file with the secret that device and server know, if they have one; mode 600
    config.max_age = 0.2  # s, of the device's last word; after that the hand holds
    config.calibrate = False  # anew, though the run folder has a calibration
    config.common_scale = False  # one scale for all fingers, which keeps the directions between them
    config.page = 0  # port of the viewer's page on this machine, as 8080; 0: none (needs the extra viz)

    config.help = "helped"  # at the start: helped, alone or released
    config.strength = 1.0  # how much the person is heard: 1 is as far as it can be believed
    config.wrist = "palm up"  # how the wrist is held, see dexgen_jax/viz/wrist.py
    config.operators = ("clean",)  # others that may command, on the page
    config.expert = "shipped"  # run, shipped, shipped:NAME or a folder: whose task is simulated
    config.controller = "shipped"  # likewise
    config.grasps = "shipped"  # likewise
    config.objects = "cube_55"  # what lies in the hand
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 1  # of the native backend
    config.env = ConfigDict()  # changes to the task the expert was trained in (fields of AnygraspConfig)
    return config
