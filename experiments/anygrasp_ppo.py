"""Trains the Anygrasp-to-Anygrasp expert by PPO, evaluates it against doing nothing and moving at random.

Reproduces: arXiv:2502.04307, section III-B, at the scale of the machine.
Time: about 4,000 control steps a second on 2 cores. `:laptop` runs 7.2 M steps: 30 minutes.
Expected: see the results table of the README; the run's own curve is in metrics.jsonl and TensorBoard.
Command: python experiments/anygrasp_ppo.py --config=experiments/configs/anygrasp_ppo.py:laptop
With --config.play=True it trains nothing, and films the run's expert, or that in --config.expert, to play/expert.mp4.
"""

from pathlib import Path

import artefacts
import jax
import launch
import numpy as np
import stopping
from expert_files import build_env, play, present
from ml_collections import ConfigDict

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.defaults import override
from dexgen_jax.envs import registry
from dexgen_jax.evaluation import assist, operators
from dexgen_jax.experts import networks, ppo, training
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Trains on all devices to `iterations`, from the last checkpoint on; writes the expert to <run_dir>/expert."""
    env = build_env(config)
    settings = override(ppo.PPOConfig(), config.ppo.to_dict())
    shape = override(networks.NetworkConfig(), config.network.to_dict())
    actor_critic = networks.ActorCritic(shape, env.action_size)
    loop = training.on(jax.devices(), env, actor_critic, settings, env.config.episode_steps)
    folder = Path(config.run_dir) / "expert"
    checkpoints = Checkpoints(folder / "checkpoints")
    done = checkpoints.latest_step() or 0
    state = checkpoints.restore(loop.template) if done else loop.create(jax.random.PRNGKey(config.seed))
    if config.start_from != "none" and not done:
        state = training.start_from(state, artefacts.expert(config, config.start_from))
    per_iteration = settings.num_envs * settings.unroll_length
    progress = log.progress("training expert", config.iterations * per_iteration, "steps", done * per_iteration)
    with progress as bar, stopping.between_checkpoints() as told:
        waiting = []
        for iteration in range(done + 1, config.iterations + 1):
            state, metrics = loop.learn(state)
            waiting.append(metrics)
            if iteration % config.log_every == 0 or iteration == config.iterations:
                means = finite_means(waiting, iteration)
                means["goals_per_minute"] = means["env/success"] * CONTROL_HZ * 60
                means["drops_per_minute"] = means["env/drop"] * CONTROL_HZ * 60
                log.write(iteration * per_iteration, means)
                bar.advance(per_iteration * len(waiting), goals_per_minute=means["goals_per_minute"])
                waiting = []
            stop = told()
            if iteration % config.checkpoint_every == 0 or iteration == config.iterations or stop:
                finite_means(waiting, iteration)
                checkpoints.save(iteration, state)
                expert = present(state, actor_critic, settings, env, config.task)
                if log.writes:  # now already: a run can be looked at, and begun from, while it goes on
                    expert.save(folder)
            if stop:
                raise stopping.Terminated
    expert = present(state, actor_critic, settings, env, config.task)
    return {"transitions": config.iterations * per_iteration, "scores": score(env, expert, config)}


def finite_means(waiting: list[dict[str, jax.Array]], iteration: int) -> dict[str, float]:
    """The means of some iterations' metrics; a FloatingPointError names what is no number, before it is saved."""
    means = jax.tree.map(lambda *rows: float(np.mean(rows)), *jax.device_get(waiting)) if waiting else {}
    ppo.check_finite(means, iteration)
    return means


def score(env: registry.Env, expert: networks.Expert, config: ConfigDict) -> dict[str, dict]:
    """Goals a minute and hold time of the expert, beside policies that learned nothing, from the same starts."""
    simulate = jax.jit(
        lambda operator, key: assist.simulate(
            env, lambda obs, _: expert.act(obs), operator, key, config.eval_envs, config.eval_steps, num_traced=0
        )[0],
        compiler_options=env.engine.compiler_options,
    )
    scores = {}
    for name, operator in {"expert": "clean", "zero action": "still", "random": "random"}.items():
        record = simulate(operators.parse(operator), jax.random.PRNGKey(config.seed + 1))
        scores[name] = assist.summarise(name, record)
    return scores


if __name__ == "__main__":
    launch.main(run, play=play, several=True)
