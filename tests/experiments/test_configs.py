"""Laws of the config files: they say only what differs, every setting can be replaced, typing errors are answered."""

import dataclasses
from pathlib import Path

import command_line
import pytest

from dexgen_jax import defaults

CONFIGS = Path(command_line.__file__).parent / "configs"
SIZED = [
    (path.stem, size)
    for path in sorted(CONFIGS.glob("*.py"))
    for size in getattr(__import__(f"configs.{path.stem}", fromlist=["SIZES"]), "SIZES", command_line.SIZES)
]


def read(name, size, *arguments):
    return command_line.read(["x", f"--config={CONFIGS}/{name}.py:{size}", *arguments], CONFIGS / f"{name}.py")


@pytest.mark.parametrize("name, size", SIZED)
def test_a_file_changes_only_what_differs_and_lists_the_rest(name, size, monkeypatch):
    def checked(config, changes=None):
        for key, value in (changes or {}).items():
            default = config
            for part in key.split("."):
                default = getattr(default, part)
            assert value != default, f"{key} = {value} is the default of {type(config).__name__}"
        return fill(config, changes)

    fill = defaults.fill
    monkeypatch.setattr(defaults, "fill", checked)
    config = read(name, size)
    assert config.run_dir.startswith("runs/")


def test_a_default_that_the_file_does_not_mention_can_be_replaced():
    config = read("anygrasp_ppo", "smoke", "--config.env.reward.drop=-5", "--config.ppo.clip=0.3")
    assert (config.env.reward.drop, config.env.action_scale, config.ppo.clip) == (-5.0, 0.15, 0.3)
    config = read("grow_grasps", "smoke", "--config.growth.settle.squeeze=0.4")
    assert config.growth.settle.squeeze == 0.4 and config.growth.cup == (96, 96)
    with pytest.raises(ValueError, match=r"unknown config key 'env\.reward\.dorp' .*nearest: env\.reward\.drop"):
        read("anygrasp_ppo", "smoke", "--config.env.reward.dorp=-5")


def test_a_typing_error_inside_a_file_is_answered():
    with pytest.raises(ValueError, match="Leaf has no setting 'heigth'; did you mean height"):
        defaults.fill(Leaf(), {"heigth": 3.0})


@dataclasses.dataclass(frozen=True)
class Leaf:
    height: float = 1.0


@dataclasses.dataclass(frozen=True)
class Tree:
    leaf: Leaf = Leaf()
    years: tuple[int, ...] = (1, 2)


def test_settings_are_filled_in_from_their_classes():
    assert defaults.fill(Tree()) == {"leaf": {"height": 1.0}, "years": (1, 2)}
    assert defaults.fill(Tree(), {"leaf.height": 2.0})["leaf"] == {"height": 2.0}
    assert defaults.override(Tree(), {"leaf": {"height": 2.0}, "years": [3]}) == Tree(Leaf(2.0), (3,))


@pytest.mark.parametrize("name, size", [pair for pair in SIZED if pair[1] == "laptop"])
def test_numbers_with_a_point_are_written_with_one(name, size, monkeypatch):
    """Or a value such as 0.5 would be refused for them on the command line."""

    def check(owner):
        for field in dataclasses.fields(owner):
            value = getattr(owner, field.name)
            if dataclasses.is_dataclass(value):
                check(value)
            elif field.type in (float, "float"):
                assert isinstance(value, float), f"{type(owner).__name__}.{field.name} = {value}"

    fill = defaults.fill
    monkeypatch.setattr(defaults, "fill", lambda config, changes=None: check(config) or fill(config, changes))
    read(name, size)
