"""What a config names: its hand, and grasps, experts, recordings and controllers of that hand and of no other."""

from pathlib import Path

from ml_collections import ConfigDict

from dexgen_jax import pretrained
from dexgen_jax.controller.controller import Controller, Settings
from dexgen_jax.envs import registry as tasks
from dexgen_jax.experts import reflection
from dexgen_jax.experts.networks import Expert
from dexgen_jax.hand import mirror, registry
from dexgen_jax.hand.description import Hand


def hand(config: ConfigDict) -> Hand:
    """The hand that the stage is about."""
    return registry.load(config.get("hand", pretrained.FIRST_HAND))


def folder(config: ConfigDict, kind: str, which: str | None = None) -> Path:
    """Where the thing of a kind lies that the config names by the kind's own key, or `which`.

    Raises FileNotFoundError if the run folder was to have it and has not; recordings may be about to be made there.
    """
    which = config[kind] if which is None else which
    found = pretrained.find(kind, which, config.run_dir, hand(config).name)
    if which == "run" and kind != "dataset" and not found.is_dir():
        raise FileNotFoundError(
            f"{config.run_dir} has no {kind} yet: make it there first, give the --config.run_dir that it was made in, "
            f"or say --config.{kind}=shipped"
        )
    return found


def expert(config: ConfigDict, which: str | None = None) -> Expert:
    """The expert that the config names, or `which`; a left hand takes its right one's, reflected.

    A ValueError names both hands if it is of another.
    """
    found, wanted = Expert.from_pretrained(folder(config, "expert", which)), hand(config)
    if found.hand_name != wanted.name and found.hand_name == mirror.right_of(wanted.name):
        return reflection.reflect(found, tasks.reflection(found.task, found.config["env"], wanted), wanted.name)
    registry.refuse_other(f"the expert {which or config.expert!r}", found.hand_name, wanted.name)
    return found


def controller(config: ConfigDict, seed: int = 0, settings: Settings | None = None) -> Controller:
    """The controller that the config names, likewise."""
    return Controller.from_pretrained(folder(config, "controller"), seed, settings or Settings(), hand(config))
