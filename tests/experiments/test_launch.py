"""Laws: a run folder holds one config; done is not done again; what is wrong is one line that names the way out."""

import dataclasses
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import sys
import textwrap
from pathlib import Path

import command_line
import jax
import launch
import processes
import pytest
import run_lock
import stopping
from ml_collections import ConfigDict

from dexgen_jax.experts.lookahead import LookaheadConfig

CONFIG = """
from ml_collections import ConfigDict

SIZES = {"smoke": 1, "laptop": 3}

def get_config(size="laptop"):
    config = ConfigDict()
    config.run_dir = "runs/toy"
    config.seed = 0
    config.ppo = ConfigDict()
    config.ppo.num_envs = SIZES[size]
    config.ppo.learning_rate = 1e-3
    config.ppo.widths = (64, 32)
    config.render = True
    config.play = False
    config.name = ""
    return config
"""

STAGE = '''
"""Toy stage: counts how often it ran."""
import launch

def run(config, log):
    with open(log.run_dir / "calls", "a") as file:
        file.write("x")
    if config.name == "value":
        raise ValueError("a\\n  b")
    if config.name == "type":
        raise TypeError("nobody wrote this for users")
    return {"num_envs": config.ppo.num_envs, "calls": len((log.run_dir / "calls").read_text())}
'''


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """A script with its config in a folder of its own; calling it gives the command line arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("JAX_DEFAULT_MATMUL_PRECISION", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, jax.config.values[name.lower()] or "")  # the tests keep their own JAX settings
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "toy_stage.py").write_text(textwrap.dedent(CONFIG))
    (tmp_path / "toy_stage.py").write_text(STAGE)
    monkeypatch.delitem(launch.sys.modules, "toy_stage", raising=False)
    import toy_stage

    return lambda *arguments: launch.main(toy_stage.run, ["toy_stage.py", *arguments])


def refused(capsys, stage, *arguments) -> str:
    """The one line on stderr with which `stage` refuses `arguments`, exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        stage(*arguments)
    output = capsys.readouterr()
    assert stopped.value.code == 2
    assert output.err.startswith("error: ") and output.err.count("\n") == 1 and output.out == ""
    return output.err


def outside() -> dict[str, str]:
    """The environment of a process that imports what the tests import, and reads its JAX settings anew."""
    kept = {name: value for name, value in os.environ.items() if name != "JAX_DEFAULT_MATMUL_PRECISION"}
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path)}


def result(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_last_line_is_the_result_and_the_folder_tells_how_it_came(capsys, stage, tmp_path):
    stage("--config.ppo.num_envs=5", "--config.ppo.widths=(8, 4)", "--noconfig.render")
    found = result(capsys)
    assert (found["num_envs"], found["calls"]) == (5, 1)
    folder = tmp_path / "runs" / "toy" / "toy_stage"
    assert json.loads((folder / "result.json").read_text()) == found
    config = json.loads((folder / "stage_config.json").read_text())
    assert config["ppo"] == {"num_envs": 5, "learning_rate": 1e-3, "widths": [8, 4]} and config["render"] is False
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["jax"] == jax.__version__ and versions["devices"] == ["cpu"]


def test_default_is_the_own_config_at_laptop_size(capsys, stage):
    stage()
    assert result(capsys)["num_envs"] == 3


@pytest.mark.parametrize("form", ["--config=configs/toy_stage.py:smoke", "-config=configs/toy_stage.py:smoke"])
def test_size_stands_after_the_colon(capsys, stage, form):
    stage("--config.seed=4", form)  # in any order
    assert result(capsys)["num_envs"] == 1


def test_done_is_not_done_again(capsys, stage):
    stage()
    first = result(capsys)
    stage()
    output = capsys.readouterr()
    assert json.loads(output.out) == first and first["calls"] == 1
    assert "done already" in output.err and "delete runs/toy/toy_stage to do it again" in output.err


def test_another_config_in_the_same_folder_is_refused_by_its_first_key(capsys, stage):
    stage()
    capsys.readouterr()
    error = refused(capsys, stage, "--config.ppo.num_envs=4", "--config.seed=1")
    assert "runs/toy/toy_stage was begun with" in error and "another --config.run_dir" in error
    assert "ppo.num_envs = 3, and now it is 4" in error


def test_settings_with_which_nothing_was_made_bind_nobody(capsys, stage, tmp_path):
    import toy_stage

    def lacks_something(config, log):
        raise ValueError("no grasps")

    lacks_something.__module__ = "toy_stage"
    with pytest.raises(SystemExit):
        launch.main(lacks_something, ["toy_stage.py", "--config.seed=7"], continues=True)
    folder = tmp_path / "runs" / "toy" / "toy_stage"
    assert json.loads((folder / "stage_config.json").read_text())["seed"] == 7
    launch.main(toy_stage.run, ["toy_stage.py", "--config.seed=8"])
    assert json.loads((folder / "stage_config.json").read_text())["seed"] == 8
    capsys.readouterr()
    assert "was begun with seed = 8, and now it is 7" in refused(capsys, stage, "--config.seed=7")


def test_iterations_may_be_raised_and_the_stage_goes_on(capsys, stage, monkeypatch):
    monkeypatch.setattr(launch, "MAY_GROW", ("seed",))
    stage("--config.seed=4")
    assert result(capsys)["calls"] == 1
    error = refused(capsys, stage, "--config.seed=3")
    assert "was begun with seed = 4, and now it is 3" in error
    error = refused(capsys, stage, "--config.seed=5", "--config.ppo.num_envs=4")
    assert "ppo.num_envs = 3, and now it is 4" in error  # and nothing was changed:
    stage("--config.seed=4")
    assert "done already" in capsys.readouterr().err
    stage("--config.seed=5")
    assert result(capsys)["calls"] == 2
    stage("--config.seed=5")
    assert "done already" in capsys.readouterr().err


def test_a_script_that_continues_nothing_runs_anew_with_other_settings(capsys, stage):
    import toy_stage

    for seed in (1, 2, 2):
        launch.main(toy_stage.run, ["toy_stage.py", f"--config.seed={seed}"], continues=False)
    output = capsys.readouterr()
    assert json.loads(output.out.splitlines()[-1])["calls"] == 3 and "done already" not in output.err
    assert json.loads(Path("runs/toy/toy_stage/stage_config.json").read_text())["seed"] == 2


def test_what_was_made_is_shown_beside_it_and_anew_each_time(capsys, stage, tmp_path):
    import toy_stage

    stage()
    made = {path.name: path.read_text() for path in (tmp_path / "runs" / "toy" / "toy_stage").iterdir()}
    show = lambda config, log: {"shown": config.seed, "in": log.stage}
    show.__module__ = "toy_stage"
    for seed in (1, 2):  # settings of its own
        capsys.readouterr()
        arguments = ["toy_stage.py", "--config.play=True", f"--config.seed={seed}"]
        launch.main(toy_stage.run, arguments, play=show)
        assert result(capsys) | {"minutes": 0} == {"shown": seed, "in": "play", "minutes": 0}
    assert {path.name: path.read_text() for path in (tmp_path / "runs" / "toy" / "toy_stage").iterdir()} == made
    launch.main(toy_stage.run, ["toy_stage.py"], play=show)
    assert "done already" in capsys.readouterr().err


def test_a_setting_newer_than_the_run_is_no_change_while_it_is_off(capsys, stage, tmp_path):
    stage()
    path = tmp_path / "runs" / "toy" / "toy_stage" / "stage_config.json"
    begun = json.loads(path.read_text())
    del begun["play"], begun["name"]
    path.write_text(json.dumps(begun))
    stage()
    assert "done already" in capsys.readouterr().err
    assert "begun with name = 'not there', and now it is 'x'" in refused(capsys, stage, "--config.name=x")


def test_a_run_folder_may_move(capsys, stage, tmp_path):
    stage()
    (tmp_path / "runs" / "toy").rename(tmp_path / "moved")
    stage(f"--config.run_dir={tmp_path}/moved")
    assert result(capsys)["calls"] == 1


def test_other_versions_are_said(capsys, stage, tmp_path):
    stage()
    path = tmp_path / "runs" / "toy" / "toy_stage" / "versions.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "jax": "0.1.0"}))
    stage()
    assert f"was begun with other versions: jax 0.1.0 -> {jax.__version__}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--config.ppo.num_envz=3", "unknown config key 'ppo.num_envz' in .*toy_stage.py; nearest: ppo.num_envs"),
        ("--config.num_envs=3", "unknown config key 'num_envs' .*; nearest: ppo.num_envs"),
        ("--config.zzzzzz=3", "unknown config key 'zzzzzz' .*; keys: name, play, ppo, render, run_dir, seed"),
        ("--config.ppo.num_envs=abc", "config key ppo.num_envs takes an integer such as 3, not 'abc'"),
        ("--config.ppo.num_envs=1.5", "config key ppo.num_envs takes an integer such as 3, not '1.5'"),
        ("--config.ppo.learning_rate=fast", "config key ppo.learning_rate takes a number such as 0.001, not 'fast'"),
        ("--config.render=maybe", "config key render takes true or false such as True, not 'maybe'"),
        ("--config=configs/toy_stage.py:huge", "toy_stage.py has no size 'huge'; sizes: smoke, laptop$"),
        ("--config=configs/none.py", "no config file 'configs/none.py'; .*configs has: toy_stage.py$"),
        ("--confg=configs/none.py", "confg"),
        ("num_envs=3", "unexpected argument 'num_envs=3'; values are given as --config.key=value"),
    ],
)
def test_bad_command_lines_are_refused_in_one_line(capsys, stage, tmp_path, argument, words):
    assert re.search(words, refused(capsys, stage, argument).strip())
    assert not (tmp_path / "runs").exists()


def test_unwritable_run_folder_is_refused(capsys, stage, tmp_path):
    (tmp_path / "file").write_text("")
    error = refused(capsys, stage, "--config.run_dir=file/run")
    assert "cannot write in the run folder file/run" in error and "--config.run_dir=" in error


def test_errors_of_a_stage_are_one_line_and_leave_it_undone(capsys, stage, tmp_path):
    assert refused(capsys, stage, "--config.name=value") == "error: a b\n"
    assert not (tmp_path / "runs" / "toy" / "toy_stage" / "result.json").exists()
    error = refused(capsys, stage, "--config.name=type", "--config.run_dir=runs/other")
    assert error == "error: TypeError: nobody wrote this for users (--debug shows where)\n"


def test_debug_shows_the_traceback(stage):
    with pytest.raises(ValueError, match="a\n  b"):
        stage("--config.name=value", "--debug")


def test_an_error_inside_a_host_callback_is_its_last_line():
    text = "INTERNAL: CpuCallback error: Traceback (most recent call last):\n  File x\nValueError: 3 contacts lost\n"
    assert launch.one_line(RuntimeError(text)) == "RuntimeError: ValueError: 3 contacts lost (--debug shows where)"
    assert launch.one_line(KeyError("box")) == "KeyError: box (--debug shows where)"


def test_help_tells_what_it_is_and_every_setting(capsys, stage):
    stage("--help")
    text = capsys.readouterr().out
    assert text.startswith("Toy stage: counts how often it ran.") and "--config.ppo.num_envs=3" in text


def test_several_processes_only_where_the_environment_says_so():
    assert launch.distributed_arguments({}) is None
    assert launch.distributed_arguments({"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "1"}) is None
    assert launch.distributed_arguments({"SLURM_STEP_NUM_TASKS": "8"}) == {}
    named = {"DEXGEN_DISTRIBUTED": "1", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "2"}
    wanted = {"num_processes": 4, "process_id": 2, "cluster_detection_method": "deactivate"}
    assert launch.distributed_arguments(named) == wanted


def test_a_stage_cannot_invent_a_setting(stage, tmp_path):
    config = command_line.read(["toy_stage.py", "--config.seed=3"], tmp_path / "configs" / "toy_stage.py")
    assert config.seed == 3
    with pytest.raises(AttributeError, match="locked"):
        config.ppo.num_env = 4


def test_flatten_by_hand():
    nested = {"a": 1, "b": {"c": 2, "d": {"e": ()}}, "f": {}}
    assert command_line.flatten(nested) == {"a": 1, "b.c": 2, "b.d.e": (), "f": {}}


@pytest.mark.parametrize("script", launch.STAGES)
@pytest.mark.parametrize("size", command_line.SIZES)
def test_every_stage_has_a_config_of_every_size_that_says_what_to_expect(script, size):
    path = Path(launch.__file__).parent / "configs" / f"{script}.py"
    config = command_line.load(f"{path}:{size}", path.parent)
    assert isinstance(config, ConfigDict) and isinstance(config.seed, int) and isinstance(config.run_dir, str)
    text = path.read_text()
    assert all(word in text for word in ("Reproduces", "Measured", f"    {size} ", "Command"))


HOLDS = """
import sys, time
import run_lock
from pathlib import Path
with run_lock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_in_a_folder_is_refused_by_name_and_a_killed_one_leaves_no_lock(capsys, stage, tmp_path):
    folder = tmp_path / "runs" / "toy" / "toy_stage"
    folder.mkdir(parents=True)
    (folder / "stage_config.json").write_text("{")  # what a process that is not alone must not even read
    environment = outside()
    command = [sys.executable, "-c", HOLDS, str(folder)]
    with processes.started(command, stdout=processes.PIPE, env=environment) as other:
        assert other.stdout.readline() == "held\n"
        error = refused(capsys, stage)
        assert f"runs/toy/toy_stage is in use by process {other.pid} on {socket.gethostname()} since 20" in error
        stage("--config.run_dir=runs/other")  # beside it there is room
        assert result(capsys)["calls"] == 1
        other.kill()
        other.wait()
    (folder / "stage_config.json").unlink()
    stage()
    assert result(capsys)["calls"] == 1
    stage()  # and an own lock is given back
    assert "done already" in capsys.readouterr().err


def test_a_file_system_without_locks_is_said(capsys, stage, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    stage()
    output = capsys.readouterr()
    assert "note: no locks on the file system of runs/toy/toy_stage" in output.err
    assert json.loads(output.out.splitlines()[-1])["calls"] == 1


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00\x00"])
def test_a_damaged_file_is_named_and_one_that_only_informs_stops_nothing(capsys, stage, tmp_path, text):
    stage()
    folder = tmp_path / "runs" / "toy" / "toy_stage"
    (folder / "versions.json").write_text(text)
    stage()
    assert "note: runs/toy/toy_stage/versions.json is damaged" in capsys.readouterr().err
    (folder / "stage_config.json").write_text(text)
    capsys.readouterr()
    error = refused(capsys, stage)
    assert "toy_stage/stage_config.json is damaged" in error and "delete runs/toy/toy_stage/stage_config.json" in error
    (folder / "stage_config.json").unlink()
    (folder / "result.json").write_text(text)
    assert "toy_stage/result.json is " in refused(capsys, stage)


def test_a_folder_above_a_config_may_have_a_colon_in_its_name(capsys, stage, tmp_path):
    shutil.copytree(tmp_path / "configs", tmp_path / "v1:final" / "configs")
    for path in (tmp_path / "v1:final", Path("v1:final")):
        stage(f"--config={path}/configs/toy_stage.py:smoke", "--config.run_dir=runs/small")
        assert result(capsys)["num_envs"] == 1
        stage(f"--config={path}/configs/toy_stage.py")
        assert result(capsys)["num_envs"] == 3
    assert "has no size 'huge'; sizes: smoke, laptop" in refused(
        capsys, stage, "--config=v1:final/configs/toy_stage.py:huge"
    )


def test_a_path_is_used_as_it_was_meant_or_refused(capsys, stage, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    stage("--config.run_dir=~/runs")
    assert (tmp_path / "home" / "runs" / "toy_stage" / "result.json").exists() and not Path("~").exists()
    capsys.readouterr()
    for value, words in {
        "gs://bucket/run": "config.run_dir is 'gs://bucket/run': files are written on this machine; mount the bucket",
        "": "config.run_dir is empty: name the folder",
        "~nobody-of-this-name/run": "there is no such home folder",
    }.items():
        assert words in refused(capsys, stage, f"--config.run_dir={value}")


@pytest.mark.parametrize("seed", ["-1", str(2**31 - 1), str(2**32 + 5)])
def test_a_seed_that_would_become_another_one_is_refused(capsys, stage, seed):
    assert f"config.seed is {seed}: it must be a whole number from 0 to {2**31 - 2}" in refused(
        capsys, stage, f"--config.seed={seed}"
    )


SIGNALS = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}
SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
import jax, jax.numpy as jnp, launch

def run(config, log):
    def slow(x):
        time.sleep(0.01)
        return x
    step = lambda x, _: (jax.pure_callback(slow, x, x), None)
    waiting = jax.jit(lambda x: jax.lax.scan(step, x, None, length=200)[0])(jnp.zeros(4))
    print("running", file=sys.stderr, flush=True)
    if config.name == "error":
        time.sleep(0.1)
        raise ValueError("wrong")
    return {"x": float(waiting[0])}

if __name__ == "__main__":
    launch.main(run)
"""


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.slow)])  # it crashed in some of them
@pytest.mark.parametrize(
    "how, code, word",
    [("interrupt", 130, "stopped;"), ("terminate", 75, "stopped by SIGTERM; the same"), ("error", 2, "error: wrong")],
)
def test_a_script_that_ends_while_jax_is_busy_ends_as_it_says(stage, tmp_path, how, code, word, times):
    (tmp_path / "toy_stage.py").write_text(SCRIPT)
    environment = outside()
    for _ in range(times):
        command = [sys.executable, "toy_stage.py", f"--config.name={how}"]
        with processes.started(command, env=environment, stderr=processes.PIPE, cwd=tmp_path) as script:
            begun = script.stderr.readline()
            assert "running" in begun, begun + script.stderr.read()
            if how in SIGNALS:
                script.send_signal(SIGNALS[how])
            rest = script.stderr.read()
            script.wait()
        assert script.returncode == code and word in rest, rest


def test_sigterm_is_heard_between_steps_and_the_handler_before_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with stopping.terminated():
        with stopping.between_checkpoints() as told:
            assert not told()
            signal.raise_signal(signal.SIGTERM)
            assert told()  # and the step went on to its end
        with pytest.raises(stopping.Terminated):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_objects_are_taken_in_turns_and_one_that_another_has_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "_SECONDS_BETWEEN_LOOKS", 0.01)
    one, other = (run_lock.take_turns(tmp_path, ["a", "b", "c"]) for _ in range(2))
    assert [next(turns) for turns in (one, other) * 3] == ["a", "b", "c", "a", "b", "c"]
    assert list(one) == list(other) == []


def test_a_machine_without_the_device_asked_for_is_told_so(tmp_path):
    ask = "import launch; launch.prepare_jax()"
    environment = outside() | {"JAX_PLATFORMS": "cuda"}
    done = processes.run([sys.executable, "-c", ask], env=environment)
    assert "JAX finds no device for JAX_PLATFORMS='cuda'" in done.stderr and "JAX_PLATFORMS=cpu" in done.stderr


@pytest.mark.parametrize("home", ["", "read-only", "nowhere"])
def test_without_a_home_that_can_be_written_nothing_is_kept_and_all_runs(capsys, tmp_path, monkeypatch, home):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home") if home == "nowhere" else str(tmp_path))
    (tmp_path / "file").write_text("")  # root may write anywhere, but not below a file
    if home == "":
        monkeypatch.setattr(Path, "home", _no_home)
    elif home == "read-only":
        monkeypatch.setattr(os, "access", lambda *_: False)
    assert launch.cache_folder() is None
    assert "note: compiled programs are not kept" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert launch.cache_folder() == str(tmp_path / "cache" / "dexgen_jax" / "xla")


def _no_home():
    raise RuntimeError("Could not determine home directory.")


def test_a_run_from_before_lookahead_is_compared_in_all_its_settings():
    names = {field.name for field in dataclasses.fields(LookaheadConfig)}
    assert {name.removeprefix("lookahead.") for name in launch.FORMER if name.startswith("lookahead.")} == names
    assert LookaheadConfig(**{name: launch.FORMER[f"lookahead.{name}"] for name in names}) == LookaheadConfig()
