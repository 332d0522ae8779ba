"""Settings of export_controller.py: which controller, used how, in which formats.

Reproduces: see the script. Time on 2 cores: 30 s, with ONNX 2 minutes, in all sizes. Expected: see the script.
Command: python experiments/export_controller.py --config.run_dir=runs/demo --config.controller=run
"""

from ml_collections import ConfigDict

from dexgen_jax.controller.controller import Settings


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings: the same for all sizes, a file is a file."""
    config = ConfigDict()
    config.run_dir = "runs/export"  # folder of the run; files go to its export_controller/
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.controller = "shipped"  # run, shipped or a folder: see dexgen_jax/pretrained
    config.onnx = False  # also as ONNX (needs the extra `onnx`)
    config.candidates = 1  # motions drawn in a tick, of which the nearest to the command is taken
    config.eta = 0.0  # 0 is DDIM, 1 is DDPM
    config.temperature = Settings.temperature  # standard deviation of the noise that sampling starts from
    config.guided = False  # whether the motion is bent toward the command, as in the paper; else it is weighed
    return config
