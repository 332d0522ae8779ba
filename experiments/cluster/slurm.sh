#!/usr/bin/env bash
# One stage over several GPU hosts under SLURM. From the repository root, with .venv made by `make` and the [cuda] extra:
#
#   sbatch --nodes=4 experiments/cluster/slurm.sh anygrasp_ppo runs/paper --config.seed=1
#
#   sbatch --array=0-7 --nodes=1 experiments/cluster/slurm.sh collect_dataset runs/paper
#   sbatch --nodes=4 experiments/cluster/slurm.sh train_controller runs/paper
#
# Recordings are made by any number of jobs at once. The number of GPUs must divide --config.shards of train_controller.
# First the stage, then the run folder (on a file system that all hosts share), then any --config.key=value.
# Submitted again, or requeued after a preemption, it continues where it stopped.
#SBATCH --job-name=dexgen
#SBATCH --nodes=2
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log
set -euo pipefail
stage=${1:?stage missing, for example anygrasp_ppo}
run_dir=${2:?run folder missing, for example runs/paper}
shift 2
cd "$SLURM_SUBMIT_DIR"

# The hosts talk to each other by gRPC, which must not go through a proxy.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# One task per GPU. Every task sees all GPUs of its host, and JAX picks the one with the number of the task: so no binding
# by SLURM. launch.py sees a step of several tasks and starts jax.distributed, which reads the rest from SLURM.
srun --gpu-bind=none --kill-on-bad-exit=1 .venv/bin/python "experiments/$stage.py" \
    --config="experiments/configs/$stage.py:gpu" --config.run_dir="$run_dir" "$@"
