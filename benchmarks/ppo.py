"""What the learner costs: control steps/s of the whole training loop beside bare stepping of the same environments.

Time: about 3 minutes on 2 free CPU cores, 14 on slow ones, and 1 to 2 more with RSL-RL.
Expected on 2 cores: share_of_bare >= 0.7 (0.90 measured). Every round measures all programs one after the other and
shares are medians over the rounds; on a busy machine look at cpu_share_of_bare, the share by CPU time.
Command: python benchmarks/ppo.py [--grasps=runs/demo/grasps] [--objects=train] [--num_envs=2048] [--engine=auto]

`bare` steps the environments under a new policy's noise, with resets, without network or learner; `physics` is the
engine alone under constant joint targets, which costs it less than hands that move. brax's PPO is measured on the same
environment where it runs, and RSL-RL's where it is installed (pip install 'dexgen_jax[bench]'): speed, and the goals a
minute that it and ours reach, with exploration, at the end of `--transitions`. The last line is one JSON object.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from brax.envs.base import Env, State

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import launch
from configs import anygrasp_ppo as settings
from expert_files import build_env

from dexgen_jax.defaults import override
from dexgen_jax.experts import networks, ppo, rollout, training
from dexgen_jax.physics.engine import CONTROL_HZ

WARM_UP = 2  # iterations, after which some environments have ended and started again


def programs(env: Env, actor_critic: networks.ActorCritic, config: ppo.PPOConfig) -> dict[str, Callable]:
    """Compiled programs of a training state; each makes one rollout's worth of control steps, or learns from them."""
    std = float(np.exp(actor_critic.config.log_std[0]))

    def scan(step: Callable, begin, key: jax.Array):
        return jax.lax.scan(lambda now, k: (step(now, k), None), begin, jax.random.split(key, config.unroll_length))[0]

    def physics(state: ppo.TrainState):
        info = state.env.info
        step = lambda now, _: jax.vmap(env.engine.step)(now, info["target"], info["world"])
        return scan(step, state.env.pipeline_state, state.key)

    def bare(state: ppo.TrainState) -> State:
        def step(now: State, key: jax.Array) -> State:
            action = std * jax.random.normal(key, (config.num_envs, env.action_size))
            return jax.vmap(lambda s, a: rollout.auto_reset_step(env, s, a)[0])(now, action)

        return scan(step, state.env, state.key)

    def roll(state: ppo.TrainState) -> tuple[State, rollout.Transition]:
        policy = lambda obs, key: actor_critic.policy(state.params, state.stats, obs).sample(key)
        return rollout.rollout(env, policy, state.env, state.key, config.unroll_length)

    learn = lambda state, steps: ppo.learn(actor_critic, config, state, steps, state.key)
    train = lambda state: ppo.iteration(env, actor_critic, config, state)
    found = {"physics": physics, "bare": bare, "rollout": roll, "learner": learn, "training": train}
    return {name: jax.jit(function) for name, function in found.items()}


def seconds(program: Callable, *arguments) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one run of a compiled program."""
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(program(*arguments))
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(env: Env, actor_critic: networks.ActorCritic, config: ppo.PPOConfig, rounds: int) -> dict[str, float]:
    """All programs in turn, `rounds` times over, from the same training state."""
    run = programs(env, actor_critic, config)
    create = lambda key: ppo.init(env, actor_critic, config, key, env.config.episode_steps)
    state = jax.jit(create)(jax.random.PRNGKey(0))
    for _ in range(WARM_UP):
        state, _ = run["training"](state)
    arguments = {name: (state,) for name in run} | {"learner": (state, run["rollout"](state)[1])}
    for name in run:
        seconds(run[name], *arguments[name])  # compiles
    table = {name: [] for name in run}
    for number in range(rounds):
        for name in run:
            table[name].append(seconds(run[name], *arguments[name]))
        print(f"round {number + 1}:", {name: round(rows[-1][0], 3) for name, rows in table.items()}, flush=True)
    wall, cpu = ({name: np.array(rows)[:, i] for name, rows in table.items()} for i in (0, 1))
    steps = config.num_envs * config.unroll_length
    return {
        "steps_per_second": steps / wall["training"].min(),
        "bare_steps_per_second": steps / wall["bare"].min(),
        "physics_steps_per_second": steps / wall["physics"].min(),
        "share_of_bare": float(np.median(wall["bare"] / wall["training"])),
        "share_of_physics": float(np.median(wall["physics"] / wall["training"])),
        "cpu_share_of_bare": float(np.median(cpu["bare"] / cpu["training"])),
        "cpu_share_of_physics": float(np.median(cpu["physics"] / cpu["training"])),
        **{f"{name}_seconds": wall[name].min() for name in ("rollout", "learner", "training")},
        **{f"{name}_cpu_seconds": float(np.median(cpu[name])) for name in ("rollout", "learner", "training")},
    }


def brax_ppo(env: Env, config: ppo.PPOConfig) -> str | float:
    """Control steps/s of brax's own PPO on the same environment, or why there are none."""
    from brax.training.agents.ppo import train as brax_train

    steps = 4 * config.num_envs * config.unroll_length
    try:
        begin = time.perf_counter()
        brax_train.train(
            env, steps, num_envs=config.num_envs, episode_length=env.config.episode_steps,
            unroll_length=config.unroll_length, batch_size=config.num_envs // config.minibatches,
            num_minibatches=config.minibatches, num_evals=0, num_updates_per_batch=config.epochs,
            normalize_observations=True, run_evals=False,
        )  # fmt: skip
        return steps / (time.perf_counter() - begin)
    except (AttributeError, TypeError) as error:  # what brax 0.14.2 raises on jax >= 0.10
        return f"does not run: {type(error).__name__}: {str(error).splitlines()[0]}"


def after_equal_transitions(
    env: Env, actor_critic: networks.ActorCritic, config: ppo.PPOConfig, transitions: int
) -> dict[str, dict | str | int]:
    """Control steps/s and goals a minute of our PPO and of RSL-RL's, from nothing to `transitions` or a bit more.

    Goals are counted in the last fifth. The first iteration of each, which compiles, is not timed.
    """
    per_iteration = config.num_envs * config.unroll_length
    iterations = max(math.ceil(transitions / per_iteration), 2)
    last = max(iterations // 5, 1)

    def row(begun: float, goals: list[float]) -> dict[str, float]:
        speed = (iterations - 1) * per_iteration / (time.perf_counter() - begun)
        return {"steps_per_second": speed, "goals_per_minute": float(np.mean(goals)) * CONTROL_HZ * 60}

    found: dict[str, dict | str | int] = {"transitions": iterations * per_iteration}
    loop = training.on(jax.devices()[:1], env, actor_critic, config, env.config.episode_steps)
    state, goals = loop.create(jax.random.PRNGKey(0)), []
    for iteration in range(iterations):
        state, metrics = loop.learn(state)
        goals.append(float(metrics["env/success"]))
        if iteration == 0:
            begun = time.perf_counter()
    found["ours"] = row(begun, goals[-last:])
    try:
        import ppo_torch
    except ImportError as error:
        found["rsl_rl"] = f"not installed ({error.name}): pip install 'dexgen_jax[bench]'"
        return found
    runner, environments = ppo_torch.begin(env, actor_critic.config, config)
    ppo_torch.learn(runner, 1)
    begun = time.perf_counter()
    ppo_torch.learn(runner, iterations - 1)
    found["rsl_rl"] = row(begun, environments.goals[-last * config.unroll_length :])
    return found


def main() -> None:
    """Reads the command line, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grasps", default="shipped", help="a folder of grasp files, or the shipped ones")
    parser.add_argument("--objects", default="train", help="a set of the catalogue or names with commas")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--num_envs", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--transitions", type=int, default=200_000, help="of the comparison with RSL-RL; 0: none")
    args = parser.parse_args()
    launch.prepare_jax()
    config = settings.get_config("laptop")
    config.update({name: getattr(args, name) for name in ("grasps", "objects", "engine")})
    config.ppo.num_envs = args.num_envs
    env = build_env(config)
    learning = override(ppo.PPOConfig(), config.ppo.to_dict())
    shape = override(networks.NetworkConfig(), config.network.to_dict())
    actor_critic = networks.ActorCritic(shape, env.action_size)
    result = measure(env, actor_critic, learning, args.rounds)
    result = {name: round(float(value), 3) for name, value in result.items()}
    result |= {"engine": env.backend, "envs": args.num_envs, "unroll_length": learning.unroll_length}
    result["brax"] = brax_ppo(env, learning)
    if args.transitions:
        result["after_equal_transitions"] = after_equal_transitions(env, actor_critic, learning, args.transitions)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
