"""Jobs agree with themselves, with what launch.py reads and, where it is installed, with the clusters' own schemas."""

import argparse
import itertools
import json
import os
import re
import shlex
import sys
from pathlib import Path

import command_line
import launch
import processes
import pytest
import submit
import yaml

EXPERIMENTS = Path(submit.__file__).parent
EACH = list(itertools.product(submit.CLUSTERS, launch.STAGES))
SRUN = """#!/usr/bin/env bash
echo "srun $*" >> "$SAID"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
PYTHON = """#!/usr/bin/env bash
echo "python $*" >> "$SAID"
env | grep -E '^(DEXGEN|JAX_(NUM|PROC|COORD))' >> "$SAID"
exit "${CODE:-0}"
"""
SCONTROL = '#!/usr/bin/env bash\necho "scontrol $*" >> "$SAID"\n'


def config(*words, on="slurm", stage="anygrasp_ppo", hosts=1):
    run_dir = "runs/paper" if on == "slurm" else "/runs/paper"
    own = [f"--config.on={on}", f"--config.stage={stage}", f"--config.hosts={hosts}", f"--config.run_dir={run_dir}"]
    return command_line.read(["submit.py", *own, *words], EXPERIMENTS / "configs" / "submit.py")


def hosts_of(stage):
    return 4 if stage in submit.TOGETHER + submit.APART else 1


def job(on, stage):
    return submit.job(config(on=on, stage=stage, hosts=hosts_of(stage)))


def options(text):
    """The #SBATCH lines, by a parser that knows the options sbatch has of those we use, and their types."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in ("job-name", "output"):
        parser.add_argument(f"--{name}")
    for name in ("nodes", "gpus-per-node", "ntasks-per-node", "cpus-per-task"):
        parser.add_argument(f"--{name}", type=int)
    for name, form in {
        "array": r"\d+-\d+",
        "time": r"\d+:\d\d:\d\d",
        "signal": r"TERM@\d+",
        "open-mode": "append",
    }.items():
        parser.add_argument(f"--{name}", type=re.compile(form).fullmatch, required=True)
    parser.add_argument("--requeue", action="store_true")
    found, unknown = parser.parse_known_args(re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE))
    assert not unknown and all(vars(found).values())
    return found


def check_command(words):
    """The words after `python` start a stage with settings that it has."""
    script = EXPERIMENTS.parent / words[0]
    words = [word.replace("--config=", f"--config={EXPERIMENTS.parent}/") for word in words]
    assert command_line.read(words, EXPERIMENTS / "configs" / script.name).run_dir.endswith("runs/paper")


@pytest.mark.parametrize("stage", launch.STAGES)
def test_slurm_lines_are_those_of_sbatch(stage):
    found = options(job("slurm", stage))
    together, apart = stage in submit.TOGETHER, stage in submit.APART
    assert (found.nodes, found.ntasks_per_node) == ((4, 8) if together else (1, 1))
    assert found.array.string == ("0-3" if apart else "0-0")
    assert found.requeue and found.gpus_per_node == 8


@pytest.fixture
def place(tmp_path):
    """A repository's root with stand-ins for Python, srun and scontrol."""
    for path, text in ((".venv/bin/python", PYTHON), ("bin/srun", SRUN), ("bin/scontrol", SCONTROL)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    return tmp_path


def started(place, text, **environment):
    """What was said to the stand-ins, line by line, and the job's exit code."""
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    env = {"PATH": path, "SAID": str(place / "said"), "SLURM_SUBMIT_DIR": str(place), "SLURM_JOB_ID": "7"} | environment
    (place / "said").unlink(missing_ok=True)
    (place / "job").write_text(text)
    done = processes.run(["bash", place / "job"], env=env, cwd=place)
    return (place / "said").read_text().splitlines(), done.returncode


@pytest.mark.parametrize("stage", launch.STAGES)
def test_each_slurm_job_starts_its_stage_and_is_requeued_when_it_was_stopped(place, stage):
    text = job("slurm", stage)
    said, code = started(place, text)
    assert (
        code == 0
        and len(said) == 2
        and said[0].startswith("srun --gpu-bind=none --kill-on-bad-exit=1 .venv/bin/python")
    )
    check_command(shlex.split(said[1])[1:])
    said, code = started(place, text, CODE="75")
    assert (code, said[-1]) == (75, "scontrol requeue 7")
    said, code = started(place, text, CODE="2")  # an error is not tried again
    assert code == 2 and not said[-1].startswith("scontrol")


@pytest.mark.parametrize("stage", launch.STAGES)
def test_each_skypilot_job_tells_its_hosts_where_they_meet(place, stage):
    task = yaml.safe_load(job("skypilot", stage))
    assert task["num_nodes"] == hosts_of(stage) and task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]
    cluster = {"SKYPILOT_NUM_NODES": "4", "SKYPILOT_NODE_RANK": "2", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2"}
    said, code = started(place, task["run"], **cluster)
    assert code == 0
    check_command(shlex.split(said[0])[1:])
    environment = dict(line.split("=", 1) for line in said[1:])
    found = launch.distributed_arguments(environment)
    if stage not in submit.TOGETHER:
        assert found is None and not environment
        return
    assert (found["num_processes"], found["process_id"]) == (4, 2)
    assert environment["JAX_COORDINATOR_ADDRESS"] == "10.0.0.1:8476"


@pytest.mark.parametrize("on", ["kubernetes", "tpu"])
@pytest.mark.parametrize("stage", launch.STAGES)
def test_a_jobset_agrees_with_itself(on, stage):
    jobset = yaml.safe_load(job(on, stage))
    (replicated,) = jobset["spec"]["replicatedJobs"]
    spec = replicated["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["completions"] == spec["parallelism"] == hosts_of(stage)
    check_command(container["command"][1:])
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    found = launch.distributed_arguments({**values, "JAX_PROCESS_ID": "1"})
    assert (found is not None) == (stage in submit.TOGETHER)
    if found:  # a slice's hosts are found by JAX
        assert found == {} if on == "tpu" else found["num_processes"] == 4
    if on == "kubernetes":
        name = jobset["metadata"]["name"]
        assert values["JAX_COORDINATOR_ADDRESS"] == f"{name}-{replicated['name']}-0-0.{name}:8476"
    (rule,) = spec["podFailurePolicy"]["rules"]
    # What trains together begins again as a whole, and that counts for no failure; others go on by themselves.
    assert rule["onExitCodes"]["values"] == [75]
    assert rule["action"] == ("Ignore" if stage in submit.APART else "FailJob")
    (mount,), (volume,) = container["volumeMounts"], spec["template"]["spec"]["volumes"]
    assert mount["name"] == volume["name"] and mount["mountPath"] == "/runs"


@pytest.mark.parametrize("on, stage", [pair for pair in EACH if pair[0] in ("kubernetes", "tpu")])
def test_a_jobset_is_one_by_the_schemas_of_kubernetes_and_of_jobset(on, stage):
    """PyPI has the schemas of Kubernetes itself in one package, and JobSet's, as models, in another."""
    validate = pytest.importorskip("kubernetes_validate", reason="pip install 'dexgen_jax[schemas]'")
    models = pytest.importorskip("kubeflow_trainer_api.models", reason="pip install 'dexgen_jax[schemas]'")
    jobset = yaml.safe_load(job(on, stage))
    plain = jobset["spec"]["replicatedJobs"][0]["template"]
    whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": plain["spec"]}
    validate.validate(whole, "1.33", strict=True)
    read = models.JobsetV1alpha2JobSet.from_dict(jobset).to_dict()
    assert read["spec"]["failurePolicy"] == jobset["spec"]["failurePolicy"]  # what it does not know, it leaves out
    assert read["spec"]["replicatedJobs"][0]["replicas"] == 1 and set(read["spec"]) == set(jobset["spec"])
    with pytest.raises(validate.ValidationError):
        validate.validate(whole | {"spec": plain["spec"] | {"parallel": 2}}, "1.33", strict=True)


@pytest.mark.parametrize("stage", launch.STAGES)
def test_a_skypilot_task_is_one_by_its_schema(stage):
    schemas = pytest.importorskip("sky.utils.schemas", reason="needs skypilot")
    jsonschema = pytest.importorskip("jsonschema")
    task = yaml.safe_load(job("skypilot", stage))
    jsonschema.validate(task, schemas.get_task_schema())
    jsonschema.validate(task["resources"], schemas.get_resources_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(task | {"nodes": 2}, schemas.get_task_schema())


@pytest.mark.parametrize(
    "words, on, error",
    [
        (["--config.on=slrm"], "slurm", "no on 'slrm'; did you mean slurm"),
        (["--config.stage=train_ppo"], "slurm", "no stage 'train_ppo'"),
        (
            ["--config.stage=evaluate_assist", "--config.hosts=2"],
            "slurm",
            "hosts is 2: evaluate_assist runs on one host",
        ),
        (["--config.hosts=0"], "slurm", "hosts is 0: it must be at least 1"),
        (["--config.devices=-1"], "slurm", "devices is -1: it must be at least 0"),
        (["--config.settings=('--config.sead=1',)"], "slurm", "unknown config key 'sead' .*; nearest: seed"),
        (["--config.settings=('--debug',)"], "slurm", "settings are words as --config.seed=1, got '--debug'"),
        (["--config.size=huge"], "slurm", "has no size 'huge'"),
        (["--config.run_dir=runs/x"], "tpu", "run_dir is 'runs/x': what is to outlast the host is on the volume"),
    ],
)
def test_what_no_cluster_could_run_is_refused(words, on, error):
    with pytest.raises(ValueError, match=error):
        submit.job(config(*words, on=on))


def test_a_job_is_printed_or_handed_to_the_clusters_command(tmp_path, monkeypatch, capfd):
    words = ["--config.hosts=2", f"--config.run_dir={tmp_path}/run"]
    monkeypatch.setattr(sys, "argv", ["submit.py", *words])
    submit.main()
    text = capfd.readouterr().out
    assert options(text).nodes == 2 and not (tmp_path / "run").exists()
    (tmp_path / "sbatch").write_text('#!/bin/sh\necho "given $1"; cat "$1"; exit 3\n')
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["submit.py", *words, "--config.submit=True"])
    with pytest.raises(SystemExit) as ended:
        submit.main()
    assert ended.value.code == 3
    assert capfd.readouterr().out == f"given {tmp_path}/run/submit/anygrasp_ppo.slurm.sh\n" + text
    monkeypatch.setattr(sys, "argv", ["submit.py", "--config.on=moon"])
    with pytest.raises(SystemExit):
        submit.main()
    assert capfd.readouterr().err.startswith("error: no on 'moon'")


def test_the_dockerfile_has_the_stages_that_are_named_and_copies_what_is_there():
    text = (EXPERIMENTS / "cluster" / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", text, re.MULTILINE)
    assert [name for _, name in stages] == ["cpu", "cuda", "tpu"] and stages[0][0] == "python:3.12-slim-bookworm"
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((EXPERIMENTS.parent / path).exists() for path in line.split())
    assert json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])[0] == "python"
