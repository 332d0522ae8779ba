"""Prints the cluster job of a stage, or hands it in: SLURM, Kubernetes with GPUs or a TPU slice, SkyPilot.

Reproduces: what the scale of DexterityGen (arXiv:2502.04307: 96 GPUs for 3 days) needs; it has not been run.
Time: at once. Expected: the job on the screen; with --config.submit=True what the cluster's own command says.
Command: python experiments/submit.py --config=experiments/configs/submit.py:gpu --config.stage=anygrasp_ppo
The size after the colon is the stage's. docs/clusters.md has the rest.
"""

import json
import re
import shlex
import shutil
import string
import subprocess
import sys
from pathlib import Path

import command_line
import launch
import stopping
from ml_collections import ConfigDict

from dexgen_jax.defaults import nearest
from dexgen_jax.run_log import atomic_write

HERE = Path(__file__).parent
# Template, and the command that takes the file.
CLUSTERS = {
    "slurm": ("slurm.sh", ["sbatch"]),
    "kubernetes": ("jobset.yaml", ["kubectl", "apply", "--filename"]),
    "tpu": ("jobset_tpu.yaml", ["kubectl", "apply", "--filename"]),
    "skypilot": ("skypilot.yaml", ["sky", "jobs", "launch", "--yes"]),
}
TOGETHER = ("anygrasp_ppo", "train_controller")  # one training on all devices of all hosts
APART = ("grow_grasps", "collect_dataset")  # processes of their own, that take what no other has


class Job(string.Template):
    """A template whose places are @{so}: $ is the shell's."""

    delimiter = "@"


def job(config: ConfigDict) -> str:
    """The job that the config describes. Raises ValueError for what no cluster could run."""
    for name, known in (("on", CLUSTERS), ("stage", launch.STAGES)):
        if config[name] not in known:
            raise ValueError(f"no {name} {config[name]!r}; {nearest(config[name], known)}")
    together, apart = config.stage in TOGETHER, config.stage in APART
    for name, least in (("hosts", 1), ("devices", 0)):
        if config[name] < least:
            raise ValueError(f"{name} is {config[name]}: it must be at least {least}")
    if config.hosts > 1 and not (together or apart):
        raise ValueError(f"hosts is {config.hosts}: {config.stage} runs on one host")
    if config.on != "slurm" and not config.run_dir.startswith("/runs/"):
        raise ValueError(f"run_dir is {config.run_dir!r}: what is to outlast the host is on the volume, below /runs/")
    arguments = stage_arguments(config)
    name = "dexgen-" + config.stage.replace("_", "-")
    values = {
        "what": f"{config.stage}:{config.size} on {config.hosts} host{'s' * (config.hosts > 1)}",
        "name": name, "stage": config.stage, "hosts": config.hosts, "devices": config.devices, "hours": config.hours,
        "nodes": config.hosts if together else 1, "array": f"0-{config.hosts - 1 if apart else 0}",
        "tasks": max(config.devices, 1) if together else 1, "cpus": config.cpus, "image": config.image,
        "claim": config.claim, "accelerator": config.accelerator, "topology": config.topology,
        "distributed": int(together and config.hosts > 1), "requeue": stopping.REQUEUE,
        # Of hosts that train together all begin again; of others only the one that was stopped.
        "preempted": "Ignore" if apart else "FailJob", "retries": 20 if apart else 0,
        "command": shlex.join(arguments), "arguments": json.dumps(["python", *arguments]),
    }  # fmt: skip
    return Job((HERE / "cluster" / CLUSTERS[config.on][0]).read_text()).substitute(values)


def stage_arguments(config: ConfigDict) -> list[str]:
    """The words after `python`; a setting that the stage does not have, or has of another type, is refused here."""
    path = f"experiments/configs/{config.stage}.py"
    own = [f"--config.run_dir={config.run_dir}", *config.settings]
    default = HERE / "configs" / f"{config.stage}.py"
    command_line.read([config.stage, f"--config={default}:{config.size}", *own], default)
    if odd := [word for word in own if not re.match(r"--config\.[\w.]+=", word)]:
        raise ValueError(f"settings are words as --config.seed=1, got {odd[0]!r}")
    return [f"experiments/{config.stage}.py", f"--config={path}:{config.size}", *own]


def main() -> None:
    """Prints the job, or hands it in; an error is one line."""
    if {"--help", "-help", "-h"} & set(sys.argv):
        print(launch.usage(sys.modules[__name__], sys.argv, HERE / "configs" / "submit.py"))
        return
    try:
        config = command_line.read(sys.argv, HERE / "configs" / "submit.py")
        text = job(config)
        if not config.submit:
            print(text, end="")
            return
        template, hand_in = CLUSTERS[config.on]
        path = Path(config.run_dir) / "submit" / f"{config.stage}.{template}"
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text)
        if shutil.which(hand_in[0]) is None:
            raise FileNotFoundError(
                f"{hand_in[0]} is not on this machine: on one that has it, {shlex.join(hand_in)} {path}"
            )
        sys.exit(subprocess.run([*hand_in, str(path)], check=False).returncode)
    except Exception as error:
        print(f"error: {launch.one_line(error)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
