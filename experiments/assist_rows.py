"""What evaluate_assist.py and figure8.py share: operators and helpers by their names, and rows simulated and kept."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import artefacts
import dataset_files
import evaluation_files as files
import jax
import jax.numpy as jnp
import numpy as np
from expert_files import load_expert
from flax import serialization
from ml_collections import ConfigDict

from dexgen_jax import checkpoints
from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import store, windows
from dexgen_jax.envs.registry import Env
from dexgen_jax.evaluation import assist, cloning, helping, operators
from dexgen_jax.evaluation.misled import Misled
from dexgen_jax.experts.lookahead import Lookahead
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog

STYLES = {"calm": "shipped:anygrasp_calm", "quick": "shipped:anygrasp_quick"}  # operators who are experts themselves
SIMPLE = "simple"  # stands for any of `simple_helpers`
REMEMBERED = 20_000  # recorded moments that "nearest motion" looks through


def simulate(
    config: ConfigDict, log: RunLog, plan: Sequence[files.Case], env: Env, controller: Controller, folder: Path
) -> files.Rows:
    """Simulates the rows of `plan` that are not in `folder` yet, and writes each there when it is done."""
    expert, _ = load_expert(config)
    steps, key = round(config.seconds * CONTROL_HZ), jax.random.PRNGKey(config.seed + 1)
    learning = {name for _, name, _ in plan if name in helping.LEARNED}
    learned = {name: learned_from(name, config, controller, folder) for name in learning}
    numbers = {name: jnp.int32(number) for number, name in enumerate(simple_helpers(controller))}

    def row(operator, given, strength, key, helper, style, share):
        act = policy(config, style, expert.act)
        misled = Misled(env, share) if share else env
        helps = helper_named(helper, config, controller, given)
        traced = config.film.traced
        return assist.simulate(misled, act, operator, key, config.num_envs, steps, traced, helps, strength)

    compiled = functools.partial(jax.jit, static_argnames=("helper", "style", "share"))
    thorough, quick = compiled(row), compiled(row, compiler_options=env.engine.compiler_options)
    # Help by a network runs faster with XLA's optimisations; beside an expert who looks ahead it is little.
    optimised = () if isinstance(env, Lookahead) else helping.LEARNED
    rows, simulated = files.read_rows(folder), config.num_envs * config.seconds / 60
    done = sum(case in rows for case in plan)
    with log.progress(f"evaluating {folder.name}", len(plan) * simulated, "simulated minutes", done * simulated) as bar:
        for case in plan:
            if case in rows:
                continue
            name, helper, strength = case
            operator, kind = operators.parse(name, env.hand), name.split()[0]
            style, share = kind if kind in STYLES else "", float(operator.misled)
            given, program = (learned | numbers).get(helper), SIMPLE if helper in numbers else helper
            run = thorough if helper in optimised else quick
            record, trace = run(operator, given, jnp.float32(strength or 0), key, program, style, share)
            files.save_trace(folder, case, trace, round(config.film.seconds * CONTROL_HZ))
            found = assist.summarise(name, record, helper, strength)
            found |= {"hand": env.hand.name, "following": assist.following(trace), **assist.details(record)}
            rows[case] = found
            files.write_rows(folder, rows)
            bar.advance(simulated, operator=name, help=helper, drops=found["drops"], goals=found["goals"])
    return {case: row for case, row in files.read_rows(folder).items() if case in plan}  # as a continued run sees them


def policy(config: ConfigDict, style: str, act: Callable) -> Callable:
    """Observations and a key to the actions of the expert, or of the one who acts in a `style` of `STYLES`.

    That one may see less: what an actor sees more comes behind, see `envs.observations`.
    """
    if not style:
        return lambda obs, key: act(obs)
    other = artefacts.expert(config, STYLES[style])
    seen = other.stats["state"].mean.shape[-1]
    return lambda obs, key: other.act({"state": obs["state"][..., :seen]})


def helper_named(name: str, config: ConfigDict, controller: Controller, learned: Any) -> helping.Helper | None:
    """The helper that a name of `helping` stands for; `learned` is what `learned_from` gave for it.

    `SIMPLE` is one of `simple_helpers`, and `learned` its number there.
    """
    model, settings = controller.model, controller.settings
    mode = model.mode_index(config.mode)
    of_32 = functools.partial(helping.controlled, settings=files.settings(config, candidates=32))
    kinds: dict[str, Callable[[], helping.Helper | None]] = {
        helping.ALONE: lambda: None,
        SIMPLE: lambda: helping.one_of(list(simple_helpers(controller).values()), learned),
        helping.CONTROLLER: lambda: helping.controlled(model, learned, mode, settings),
        helping.AGREED: lambda: helping.agreed(model, learned, mode, settings),
        helping.OF_32: lambda: of_32(model, learned, mode),
        helping.NEAREST: lambda: helping.imitator(model, learned[0], settings, helping.nearest(*learned[1])),
        helping.CLONED: lambda: helping.imitator(model, learned[0], settings, cloning.policy(model, learned[1])),
    }
    return kinds[name]()


def simple_helpers(controller: Controller) -> dict[str, helping.Helper]:
    """Those that have learned nothing, by name: one program serves all, which is told the number of one."""
    return {
        helping.CLIPPED: helping.clip(),
        helping.LOW_PASSED: helping.low_pass(),
        helping.TURNED_DOWN: helping.turn_down(controller.settings.listening, controller.weights.action_std),
    }


def learned_from(name: str, config: ConfigDict, controller: Controller, folder: Path) -> Any:
    """The controller's weights, for those that use more with that: recorded moments, or what was cloned from them."""
    weights = controller.weights
    if name == helping.NEAREST:
        return weights, moments(config, controller.model, weights)
    if name == helping.CLONED:
        return weights, cloned(config, controller.model, weights, folder.parent / "cloned")
    return weights


def recorded(config: ConfigDict, model: Model) -> windows.Recording:
    """The recordings that the config names, on the device."""
    dataset = store.open_dataset(dataset_files.where(config), model.hand)
    columns = dataset.read(["q", "target", "mode", "flags"])
    return windows.recording(columns, model.history, model.horizon, round(config.drop_seconds * model.control_hz))


def moments(config: ConfigDict, model: Model, weights: Weights) -> tuple[jax.Array, jax.Array]:
    """Drawn moments of the recordings: normalised conditions (N, H, C) and actions (N, n)."""
    key, normalizer = jax.random.PRNGKey(config.seed), weights.normalizer
    drawn = windows.draw(model.hand, recorded(config, model), key, REMEMBERED, model.history, model.horizon)
    return jax.vmap(normalizer.encode_condition)(drawn.condition), jax.vmap(normalizer.encode_action)(drawn.action)


def cloned(config: ConfigDict, model: Model, weights: Weights, folder: Path) -> dict:
    """The parameters of a behaviour that was cloned from the recordings: learned once, and kept in `folder`."""
    if (folder / checkpoints.CONFIG_FILE).exists():
        return checkpoints.load_weights(folder)[1]
    key, learned_on = jax.random.PRNGKey(config.seed), recorded(config, model)
    parameters, loss = cloning.learn(model, weights.normalizer, learned_on, key, config.cloning_steps)
    provenance = {"steps": config.cloning_steps, "loss": loss, "windows": int(learned_on.count)}
    checkpoints.save_weights(folder, provenance, serialization.to_state_dict(jax.tree.map(np.asarray, parameters)))
    return parameters
