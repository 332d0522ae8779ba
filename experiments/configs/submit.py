"""Settings of submit.py: which stage, of which size, where, and on how much.

Reproduces: see the script. Time: at once. Expected: the job on the screen.
Command: python experiments/submit.py --config=experiments/configs/submit.py:gpu --config.stage=anygrasp_ppo
"""

from ml_collections import ConfigDict


def get_config(size: str = "gpu") -> ConfigDict:
    """The settings of one size of the stage: smoke, laptop or gpu."""
    config = ConfigDict()
    config.stage = "anygrasp_ppo"  # or another of launch.STAGES
    config.size = size  # of the stage
    config.run_dir = "runs/paper"  # seen by all hosts; on Kubernetes and with SkyPilot below /runs, the volume
    config.settings = ()  # of the stage, as ('--config.seed=1',)
    config.on = "slurm"  # slurm, kubernetes (GPUs), tpu (a slice, Kubernetes) or skypilot
    config.hosts = 1  # of a training, which shares them; of grasps and recordings, the processes, each on its own
    config.devices = 8  # GPUs, or TPU chips, of a host
    config.cpus = 8  # cores of a process (slurm)
    config.hours = 24  # that a job may take (slurm)
    config.image = "dexgen-jax:cuda"  # of experiments/cluster/Dockerfile (kubernetes, tpu)
    config.claim = "dexgen-runs"  # the volume (kubernetes, tpu, skypilot)
    config.accelerator = "H100"  # GPU (skypilot), or as 'tpu-v5-lite-podslice' (tpu)
    config.topology = "2x4"  # of the slice (tpu)
    config.submit = False  # hand the job in; else it is printed
    return config
