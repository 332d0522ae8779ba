"""How every script starts: flags and config, JAX settings, the run folder, and one clear line when something is wrong.

    python experiments/STAGE.py --config=experiments/configs/STAGE.py:SIZE --config.some.key=value [--debug] [--help]

A script defines `run(config, log) -> dict` and calls `launch.main(run)`. The same command again continues a run that
was stopped, and prints the result of one that is done.
"""

import contextlib
import ctypes
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import command_line
import jax
import run_lock
import settings
import stopping
from absl import flags
from ml_collections import ConfigDict

from dexgen_jax import pretrained, run_log

# Script -> its folder inside the run folder, in the order in which data flows.
STAGES = {
    "grow_grasps": "grasps",
    "anygrasp_ppo": "expert",
    "collect_dataset": "dataset",
    "train_controller": "controller",
    "evaluate_assist": "evaluation",
}
TOGETHER = ("grasps", "dataset")  # folders of stages that several commands may do at once, for they share the work out
PER_PROCESS = ("run_dir", "writer", "writers")  # settings that may differ between commands for one folder
# Settings that once there was no choice of.
FORMER: dict[str, Any] = {"hand": pretrained.FIRST_HAND, "dataset": "run"}
FORMER |= {
    f"{whose}lookahead.{name}": value
    for name, value in dict(
        candidates=1, regrasps=False, horizon=8, commit=4, lasts=4,
        push=0.5, carry=0.3, windup=0.0, speed=1.0, pull=0.05, drop_cost=0.0,
    ).items()
    for whose in ("", "fine_rotation.")
}  # fmt: skip
MAY_GROW = ("iterations", "take_new_streams")  # of a begun stage: to learn for longer, or from more, is to go on
CONFIG_FILE = "stage_config.json"
VERSIONS_FILE = "versions.json"
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
PACKAGES = "dexgen_jax jax jaxlib numpy flax optax orbax-checkpoint mujoco mujoco-mjx brax tensorstore".split()

Run = Callable[[ConfigDict, run_log.RunLog], dict]


def main(
    run: Run,
    argv: list[str] | None = None,
    again: bool = False,
    continues: bool = True,
    play: Run | None = None,
    several: bool = False,
) -> None:
    """Runs one script from the command line and prints its result as one JSON object on the last line.

    With `again`, `run` is called even if its result is there already: it finds out by itself what is left to do. A
    script that `continues` nothing runs anew each time, with whatever settings. A script that can show what it made
    names the function that does: with `config.play` it is called instead of `run`, in the folder `play`. A script that
    is not written for `several` processes refuses to start in one of them.
    """
    argv = sys.argv if argv is None else argv
    module = sys.modules[run.__module__]
    script = Path(str(module.__file__))
    default, folder = script.parent / "configs" / script.name, STAGES.get(script.stem, script.stem)
    with ends(module, debug=bool({"--debug", "-debug", "--debug=true"} & set(argv))):
        if {"--help", "-help", "-h"} & set(argv):
            print(usage(module, argv, default))
            return
        config = command_line.read(argv, default)
        if play is not None and config.play:
            run, folder, continues, several = play, "play", False, False  # what was trained stays as it is
        prepare_jax()
        with stopping.terminated():  # after JAX, whose processes would listen for the signal themselves
            refuse_several(script.stem, several)
            settings.refuse(config, script.stem)
            result = run_stage(run, config, folder, again, continues)
    if jax.process_index() == 0:
        print(run_log.to_json(result), flush=True)


@contextlib.contextmanager
def ends(module: ModuleType, debug: bool) -> Iterator[None]:
    """Leaves the process with one line on stderr when what is done within is stopped or fails.

    With `debug` a fault is shown with its traceback.
    """
    try:
        yield
    except stopping.Terminated:
        print("stopped by SIGTERM; the same command continues", file=sys.stderr, flush=True)
        if jax.process_count() > 1:  # the others would be killed by the end of the one that they meet at
            jax.distributed.shutdown()
        leave(stopping.REQUEUE, module)
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        leave(130, module)
    except Exception as error:
        if debug:
            raise
        print(f"error: {one_line(error)}", file=sys.stderr, flush=True)
        leave(2, module)


def run_stage(run: Run, config: ConfigDict, folder: str, again: bool = False, continues: bool = True) -> dict:
    """Does one stage in `config.run_dir`/`folder`, or reads its result if it is done.

    `minutes` in the result is the time of the process that finished the stage. A result that says `unfinished` is not
    kept: others go on with the stage.
    """
    log = run_log.RunLog(config.run_dir, folder, writes=jax.process_index() == 0)
    together = folder in TOGETHER
    with contextlib.closing(log), contextlib.ExitStack() as locks:
        if log.writes:
            locks.enter_context(run_lock.hold(log.folder, wait=together))
            if not continues:
                (log.folder / CONFIG_FILE).unlink(missing_ok=True)
            record(config, log.folder)
        if together:
            locks.close()
        result = log.result() if continues and not again else None
        if result is None:
            begin = time.monotonic()
            result = {**run(config, log), "minutes": round((time.monotonic() - begin) / 60, 2)}
            if "unfinished" not in result:
                log.finish(result)
        else:
            print(f"done already: {log.folder}; delete {log.folder} to do it again", file=sys.stderr)
    return result


def leave(code: int, module: ModuleType) -> None:
    """Ends the program with exit code `code`: at once and with all of its threads, if `module` is the program.

    A simulation that was running goes on in threads of JAX, which call Python; if Python took itself apart meanwhile,
    as `sys.exit` does, they would crash. All files are written by then: each in one step, or a line at a time.
    """
    if module.__name__ != "__main__":  # called by another program, which goes on
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(code)


def prepare_jax() -> None:
    """JAX settings that every script shares; must come before JAX is first used. Environment variables win."""
    defaults = {
        "jax_compilation_cache_dir": cache_folder(),
        # Small programs too: a restart otherwise compiles hundreds of them again.
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        # Explicit, for TF32 on NVIDIA GPUs has only 10 bits of mantissa and breaks training in the hand.
        "jax_default_matmul_precision": "highest",
    }
    for name, value in defaults.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    arguments = distributed_arguments(os.environ)
    if arguments is not None:
        jax.distributed.initialize(**arguments)
    refuse_no_device()


def share_freed_memory() -> None:
    """Lets all threads allocate from one pool, where the C library has a pool for each (glibc).

    What a compilation frees is then used again by what comes after it. To be called before JAX starts its threads, and
    not where physics is stepped: threads that wait for the one pool make it a tenth slower.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # not in every C library
            libc.mallopt(_ARENA_MAX, 1)


def cache_folder() -> str | None:
    """Where compiled programs are kept: in the user's cache, or nowhere if there is none that can be written."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dexgen_jax" / "xla"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
        reason = f"{folder} cannot be written"
    except (OSError, RuntimeError) as error:  # RuntimeError: a container's user may have no home at all
        reason = str(error)
    print(f"note: compiled programs are not kept ({reason}): set JAX_COMPILATION_CACHE_DIR", file=sys.stderr)
    return None


def refuse_no_device() -> None:
    """Raises ValueError if JAX has none of the devices that JAX_PLATFORMS asks for: its own errors do not say so."""
    try:
        jax.devices()
    except Exception as error:
        asked, reason = os.environ.get("JAX_PLATFORMS", ""), " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"JAX finds no device for JAX_PLATFORMS={asked!r} ({reason}): install what it needs, as in "
            "pip install 'dexgen_jax[cuda]', or set JAX_PLATFORMS=cpu"
        ) from error


def refuse_several(script: str, several: bool) -> None:
    """Raises ValueError in one of several processes, unless `script` is written for that.

    Each would do all of the work, and write over the files of the others.
    """
    if jax.process_count() > 1 and not several:
        raise ValueError(
            f"{script} is written for one process, and this is one of {jax.process_count()}: start it in one, as with "
            "srun --ntasks=1, and without DEXGEN_DISTRIBUTED"
        )


def distributed_arguments(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Arguments of `jax.distributed.initialize`, or None for a single process.

    Several processes run in a SLURM step of several tasks, or where DEXGEN_DISTRIBUTED=1 says so. JAX then finds SLURM
    and TPU pods by itself; elsewhere JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell it.
    """
    if environment.get("DEXGEN_DISTRIBUTED") != "1" and int(environment.get("SLURM_STEP_NUM_TASKS", "1")) == 1:
        return None
    names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    if not all(name in environment for name in names.values()):
        return {}
    given = {argument: int(environment[name]) for argument, name in names.items()}
    return {**given, "cluster_detection_method": "deactivate"}


def record(config: ConfigDict, folder: Path) -> None:
    """Writes the resolved config and the versions beside the stage, or refuses a folder that was begun with others.

    The run folder itself may have moved; other versions are only said. What may grow is raised in place: the stage goes
    on from its last checkpoint, and a result of fewer iterations is no longer one.
    """
    grown = refuse_other_settings(config, folder)
    if grown is None:
        run_log.atomic_write(folder / VERSIONS_FILE, run_log.to_json(versions(), indent=2) + "\n")
    else:
        _say_other_versions(folder)
    if grown:
        (folder / run_log.RESULT_FILE).unlink(missing_ok=True)
    if grown is None or grown:
        run_log.atomic_write(folder / CONFIG_FILE, run_log.to_json(config.to_dict(), indent=2) + "\n")


def refuse_other_settings(config: ConfigDict, folder: Path) -> list[str] | None:
    """Raises ValueError if the stage in `folder` was begun with other settings.

    Returns those that have grown since, or None if nothing was made there yet.
    """
    path = folder / CONFIG_FILE
    if not path.exists() or not (folder.name in TOGETHER or _something_made(folder)):
        return None
    now = _comparable(json.loads(run_log.to_json(config.to_dict())))
    begun = {key: value for key, value in FORMER.items() if key in now}
    begun |= _comparable(_read_object(path, f"delete {path} if the settings are the same as then, or else {folder}"))
    changed = [key for key in [*now, *begun] if begun.get(key, "not there") != now.get(key, "not there")]
    changed = [key for key in changed if key in begun or now[key]]  # a setting newer than the run, and switched off
    for key in changed:
        before, after = begun.get(key, "not there"), now.get(key, "not there")
        if key not in MAY_GROW or not after > before:
            raise ValueError(
                f"{folder} was begun with {key} = {before!r}, and now it is {after!r}: go on with the old value, "
                f"choose another --config.run_dir, or delete {folder} to do it again"
            )
    return changed


def _something_made(folder: Path) -> bool:
    """Whether a stage has left more than its settings; of several processes one may be about to."""
    before_that = (CONFIG_FILE, VERSIONS_FILE, run_lock.LOCK_FILE)
    return any(path.is_file() and path.name not in before_that for path in folder.rglob("*"))


def _read_object(path: Path, way_out: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): {way_out}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged (no JSON object): {way_out}")
    return found


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    flat = command_line.flatten(config)
    return {key: value for key, value in flat.items() if key.rpartition(".")[2] not in PER_PROCESS}


def versions() -> dict[str, Any]:
    """What the result may depend on besides the config: packages, commit, machine, and the command."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES if _installed(name)}
    try:
        describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""  # no git here
    devices = sorted({device.device_kind for device in jax.devices()})
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "devices": devices}
    return {"python": platform.python_version(), **found, "commit": commit, **machine, "command": sys.argv}


def _installed(name: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=name)))


def _say_other_versions(folder: Path) -> None:
    path, now = folder / VERSIONS_FILE, versions()
    try:
        before = _read_object(path, "it only informs") if path.exists() else {}
    except (OSError, ValueError) as error:
        print(f"note: {error}", file=sys.stderr)
        before = {}
    others = [name for name in PACKAGES if before.get(name) != now.get(name)]
    changed = [f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in others]
    if before and changed:
        print(f"note: {folder} was begun with other versions: {', '.join(changed)}", file=sys.stderr)


def one_line(error: Exception) -> str:
    """What went wrong in one line; a class name only where the message was not written for users."""
    message = str(error.args[0]) if isinstance(error, KeyError) and len(error.args) == 1 else str(error)
    if "Traceback (most recent call last)" in message:  # an error inside a host callback: its own last line
        message = [line for line in message.splitlines() if line.strip()][-1]
    message = " ".join(message.split())
    if isinstance(error, ValueError | OSError | flags.Error) and message:
        return message
    return f"{type(error).__name__}: {message} (--debug shows where)"


def usage(module: ModuleType, argv: list[str], default: Path) -> str:
    """What `--help` prints: the script's own words, and all settings with their values."""
    argument, _ = command_line.split_config_argument(argv, str(default))
    config = command_line.load(argument, default.parent)
    settings = [f"  --config.{key}={value}" for key, value in command_line.flatten(config.to_dict()).items()]
    line = f"usage: python {argv[0]} [--config=FILE[:SIZE]] [--config.KEY=VALUE ...] [--debug]"
    lines = [(module.__doc__ or "").strip(), "", line, "", f"settings of {argument}, explained there:", *settings]
    return "\n".join(lines)
