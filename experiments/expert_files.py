"""What the scripts share about experts: the environment a config describes, a trained expert in its task, its film."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import artefacts
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dexgen_jax import envs
from dexgen_jax.defaults import override
from dexgen_jax.envs import free_motion, registry
from dexgen_jax.envs.history import History
from dexgen_jax.evaluation import assist, operators
from dexgen_jax.experts import ppo
from dexgen_jax.experts.lookahead import Lookahead, LookaheadConfig
from dexgen_jax.experts.networks import ActorCritic, Expert
from dexgen_jax.physics import engine as engines
from dexgen_jax.run_log import RunLog
from dexgen_jax.viz import film, video


def build_env(config: ConfigDict) -> registry.Env:
    """The environment a stage's config describes, with the grasps of its run folder or those it names."""
    env = envs.load(
        config.get("task", "anygrasp"), config.objects, artefacts.folder(config, "grasps"), config.env.to_dict(),
        hand=artefacts.hand(config).name, graph=config.graph.to_dict(), backend=config.engine, threads=config.threads,
    )  # fmt: skip
    rows = config.get("network", {}).get("history", 0)
    return History(env, rows) if rows else env


def looking_ahead(env: registry.Env, expert: Expert, config: ConfigDict) -> registry.Env:
    """The environment in which the expert looks ahead as the config says; where it has no choice, `env` itself."""
    settings = override(LookaheadConfig(), config.get("lookahead", ConfigDict()).to_dict())
    return Lookahead(env, expert, settings) if settings.looks else env


def present(state: ppo.TrainState, shape: ActorCritic, config: ppo.PPOConfig, env: registry.Env, task: str) -> Expert:
    """The expert that a training has made so far, on one device."""
    params, stats = jax.tree.map(jnp.asarray, jax.device_get((state.params, state.stats)))
    returns, own = ppo.returns(config), dataclasses.asdict(env.config)
    return Expert.of(shape, params, stats, own, task, env.hand.name, returns)


def load_expert(config: ConfigDict) -> tuple[Expert, ConfigDict]:
    """The expert a stage uses, and the stage's config with the task it was trained in, changed by `config.env`.

    In an evaluation of Anygrasp `config.goals` changes besides when a goal counts.
    """
    expert = artefacts.expert(config)
    env = ConfigDict(expert.config["env"])
    with env.ignore_type():
        env.update(config.env)
        env.update(config.get("goals", {}) if expert.task == "anygrasp" else {})
    own = {"task": expert.task, "env": env, "network": {"history": expert.history}}
    return expert, ConfigDict({**config.to_dict(), **own})


def expert_env(config: ConfigDict) -> registry.Env:
    """The environment that the config's expert acts in, ahead of which it looks if the config says so."""
    expert, config = load_expert(config)
    return looking_ahead(build_env(config), expert, config)


def load_task(task: str, config: ConfigDict) -> tuple[registry.Env, Callable, ConfigDict]:
    """A task with the one that masters it: its environment, observations -> actions, and the config of both.

    What the config holds under the task's name (an expert, objects) is that task's own.
    """
    if task not in registry.TASKS:
        raise ValueError(f"no task named {task!r}; there are: {', '.join(registry.TASKS)}")
    config = ConfigDict({**config.to_dict(), **config.get(task, ConfigDict()).to_dict(), "task": task})
    if task == "free_motion":  # nothing to learn
        return build_env(config), free_motion.follow, config
    expert, config = load_expert(config)
    if expert.task != task:
        raise ValueError(f"the expert {config.expert!r} masters {expert.task}, not {task}: name another")
    return looking_ahead(build_env(config), expert, config), expert.act, config


def play(config: ConfigDict, log: RunLog) -> dict:
    """Films a trained expert in the task it was trained in, without a time limit; trains nothing."""
    expert, config = load_expert(ConfigDict({**config.to_dict(), "env": {"episode_steps": 100_000}}))
    seconds = config.eval_steps / engines.CONTROL_HZ
    path, trace = shoot(build_env(config), expert, config.seed, film.FilmConfig(320, seconds=seconds), log.folder)
    return {"film": path, "seconds": seconds, "goals": int(trace.goals.sum()), "drops": int(trace.drops.sum())}


def shoot(
    env: registry.Env, expert: Expert, seed: int, look: film.FilmConfig, folder: Path, traced: int = 16
) -> tuple[Path, assist.Trace]:
    """Films the expert in one of `traced` environments, chosen for its typical number of drops: expert.mp4.

    Returns the file and what happened in that environment, fields (steps, ...).
    """
    policy = lambda obs, key: expert.act(obs)
    steps = round(look.seconds * engines.CONTROL_HZ)
    simulate = lambda key: assist.simulate(env, policy, operators.clean(), key, traced, steps, traced)[1]
    simulate = jax.jit(simulate, compiler_options=env.engine.compiler_options)
    trace = jax.tree.map(np.asarray, simulate(jax.random.PRNGKey(seed + 1)))
    shown = film.typical(trace)
    path = folder / "expert.mp4"
    video.write_mp4(path, film.compare(env.engine.scene, {"expert": trace}, shown, look), look.fps)
    return path, jax.tree.map(lambda x: x[:, shown], trace)
