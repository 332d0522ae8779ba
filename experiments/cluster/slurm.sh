#!/usr/bin/env bash
# @{what}, for sbatch; from the repository root, with .venv made by `make` and the extras [cuda,warp]. Written by submit.py.
#SBATCH --job-name=dexgen-@{stage}
#SBATCH --nodes=@{nodes}
#SBATCH --array=@{array}
#SBATCH --gpus-per-node=@{devices}
#SBATCH --ntasks-per-node=@{tasks}
#SBATCH --cpus-per-task=@{cpus}
#SBATCH --time=@{hours}:00:00
#SBATCH --signal=TERM@@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%A-%a.log
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
trap : TERM  # it is for the tasks, which exit with 75 once their state is on disk; this script then has more to do

# The hosts talk to each other by gRPC, which must not go through a proxy.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# One task per GPU. Every task sees all GPUs of its host, and JAX picks the one with the number of the task: so no binding
# by SLURM. launch.py sees a step of several tasks and starts jax.distributed, which reads the rest from SLURM.
code=0
srun --gpu-bind=none --kill-on-bad-exit=1 .venv/bin/python @{command} || code=$?
if [ "$code" = @{requeue} ]; then
    scontrol requeue "$SLURM_JOB_ID" || true  # SLURM may have done so already
fi
exit "$code"
