"""The command line of the scripts: which config file, which size, which values are replaced; typing errors are refused.

    --config=FILE[:SIZE] --config.some.key=value ...

`ml_collections` parses the values; the words of its errors are put for users here.
"""

import difflib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

SIZES = ("smoke", "laptop", "gpu")  # of a config file that names no SIZES itself
# Settings, by the last part of their name, that are files or folders; some are a word instead, such as 'shipped'.
PATHS = frozenset("run_dir grasps dataset also folder controller expert evaluation start_from token_file".split())


def read(argv: list[str], default: Path) -> ConfigDict:
    """The locked config that `--config=FILE[:SIZE]` names, or `default`, with every `--config.key=value` applied."""
    argument, rest = split_config_argument(argv, str(default))
    config = load(argument, default.parent)
    for name in _overrides(rest):
        _refuse_unknown(name, config, argument)
    values = flags.FlagValues()
    flags.DEFINE_bool("debug", False, "show the traceback of an error", flag_values=values)
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
        leftover = values(rest)[1:]
    except flags.IllegalFlagValueError as error:
        raise ValueError(_wrong_type(str(error), config)) from error
    if leftover:
        raise ValueError(f"unexpected argument {leftover[0]!r}; values are given as --config.key=value")
    _expand_home(values.config)
    return values.config


def _expand_home(config: ConfigDict) -> None:
    """`~` at the start of a path is the home folder: after `--config.run_dir=` most shells leave it as it is."""
    for key, value in flatten(config.to_dict()).items():
        if key.rpartition(".")[2] in PATHS and isinstance(value, str) and value.startswith("~"):
            try:
                config.update_from_flattened_dict({key: str(Path(value).expanduser())})
            except RuntimeError as error:
                raise ValueError(f"config key {key} is {value!r}, and there is no such home folder: name it") from error


def split_config_argument(argv: list[str], default: str) -> tuple[str, list[str]]:
    """Splits `--config=FILE` (or `--config FILE`) from the other arguments; the last one counts."""
    rest, argument, words = [], default, iter(argv)
    for word in words:
        if word in ("--config", "-config"):
            argument = next(words, "")
        elif re.match("--?config=", word):
            argument = word.partition("=")[2]
        else:
            rest.append(word)
    return argument, rest


def load(argument: str, folder: Path) -> ConfigDict:
    """The config of `argument`, FILE[:SIZE]; `folder` holds the files to name when there is no such file."""
    name, size = (argument, "") if Path(argument).is_file() else _split_size(argument)
    path = Path(name)
    if not path.is_file():
        names = ", ".join(sorted(file.name for file in folder.glob("*.py"))) or "none"
        raise FileNotFoundError(f"no config file {name!r}; {folder} has: {names}")
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # a file that exists has both
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sizes = getattr(module, "SIZES", SIZES)
    if size and size not in sizes:
        raise ValueError(f"{path} has no size {size!r}; sizes: {', '.join(sizes)}")
    config = module.get_config(size) if size else module.get_config()
    return config


def _split_size(argument: str) -> tuple[str, str]:
    """FILE and SIZE of FILE[:SIZE]; a folder above the file may have a colon in its name too."""
    name, colon, size = argument.rpartition(":")
    return (name, size) if colon and "/" not in size else (argument, "")


def _overrides(arguments: list[str]) -> Iterator[str]:
    for argument in arguments:
        if match := re.match(r"--?(?:no)?config\.([^=]+)", argument):
            yield match[1]


def _refuse_unknown(name: str, config: ConfigDict, path: str) -> None:
    keys = list(flatten(config.to_dict()))
    known = {".".join(key.split(".")[:depth]) for key in keys for depth in range(1, key.count(".") + 2)}
    name = re.sub(r"\[.*", "", name)  # key[0] is one element of a tuple
    if name in known:
        return
    leaf = name.rpartition(".")[2]
    near = difflib.get_close_matches(name, keys, 3) or [
        key for key in keys if difflib.get_close_matches(leaf, [key.rpartition(".")[2]], 1)
    ]
    hint = f"nearest: {', '.join(near[:3])}" if near else f"keys: {', '.join(config)}"
    raise ValueError(f"unknown config key {name!r} in {path}; {hint}")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'a': {'b': 1}} as {'a.b': 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inside = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{key}.") if inside else {f"{prefix}{key}": value}
    return flat


def _wrong_type(message: str, config: ConfigDict) -> str:
    match = re.match(r"flag --config\.([^=]+)=(.*?): (.*)", message, re.DOTALL)
    if not match or match[1] not in (flat := flatten(config.to_dict())):
        return message
    value = flat[match[1]]
    return f"config key {match[1]} takes {_kind(value)} such as {value!r}, not {match[2]!r}"


def _kind(value: Any) -> str:
    return {int: "an integer", float: "a number", bool: "true or false", tuple: "a tuple"}.get(type(value), "a value")
