"""The house can be walked as data flows: packages import only to their left, and only some of them touch files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dexgen_jax"
# `viz` draws what the rooms before it made; only the report and the deployment look at its pictures.
ORDER = "hand objects physics grasps envs experts dataset controller viz evaluation deploy".split()
USES_VIZ = ("viz", "evaluation/report", "evaluation/figure8_page", "deploy")
# Leaf modules. The library takes from them only how files are written and read; logs and checkpoints are passed in.
LEAVES = {
    "run_log": {"atomic_write", "to_json"},
    "checkpoints": {"save_weights", "load_weights"},
    "pretrained": {"find", "path"},
    "defaults": {"override", "require", "nearest", "fill"},
}
# Modules that may touch files, the clock and the screen: package/module, or a whole package or leaf.
HOST = (
    "__init__",
    *("grasps/library", "dataset/store", "dataset/places", "dataset/lerobot", "dataset/lerobot_import"),
    *("evaluation/report", "evaluation/figure8_page", "deploy", "viz"),
    *("run_log", "checkpoints"),
)
HOST_MODULES = set(
    "absl argparse click datetime glob http imageio io logging matplotlib ml_collections orbax pickle requests rich "
    "shutil socket subprocess sys tempfile tensorboardX tensorstore time tqdm urllib wandb zarr".split()
)
HOST_CALLS = {"open", "print", "input", "exit"}
HOST_METHODS = set(
    "mkdir read_bytes read_text rename rmdir unlink write_bytes write_text "
    "savez savez_compressed savetxt loadtxt memmap tofile fromfile getenv environ".split()
)
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(path for path in (ROOT / "experiments").glob("*.py") if "    launch.main(" in path.read_text())


def name_of(path: Path) -> str:
    """dexgen_jax/hand/allegro.py as 'hand/allegro'; a package's __init__.py as the package."""
    name = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return name.removesuffix("/__init__")


def imported(tree: ast.AST, path: Path) -> Iterator[str]:
    """Dotted names that a module imports anywhere in it, relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = ("dexgen_jax", *path.parent.relative_to(PACKAGE).parts)
            base = [*here[: len(here) - node.level + 1]] if node.level else []
            base += [node.module] if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)


def leaf_attributes(tree: ast.AST, path: Path) -> Iterator[str]:
    """What is taken from a leaf module that was imported whole, as in `run_log.atomic_write`."""
    whole = {name.removeprefix("dexgen_jax.") for name in imported(tree, path)} & set(LEAVES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            yield f"dexgen_jax.{node.value.id}.{node.attr}"


def wrong_imports(path: Path, source: str) -> list[str]:
    """What `path` with this source imports against the order of the rooms."""
    name, wrong, tree = name_of(path), [], ast.parse(source)
    room = name.partition("/")[0]
    for dotted in [*imported(tree, path), *leaf_attributes(tree, path)]:
        _, *parts = dotted.split(".")
        if not dotted.startswith("dexgen_jax.") or parts[0].startswith("__"):
            continue
        other = parts[0]
        if other in LEAVES:
            allowed = room in ("deploy", "viz", *LEAVES) or len(parts) == 1 or parts[1] in LEAVES[other]
        elif room in LEAVES or other not in ORDER:
            allowed = False
        else:
            allowed = ORDER.index(other) <= ORDER.index(room)
            allowed &= other != "viz" or room in USES_VIZ or name in USES_VIZ
        if not allowed:
            wrong.append(dotted)
    return wrong


def host_io(path: Path, source: str) -> list[str]:
    """Where `path` with this source touches files, the clock or the screen, unless it is one of those that may."""
    name = name_of(path)
    if name in HOST or name.partition("/")[0] in HOST:
        return []
    tree = ast.parse(source)
    found = [dotted for dotted in imported(tree, path) if dotted.partition(".")[0] in HOST_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HOST_CALLS:
            found.append(f"{node.func.id}() in line {node.lineno}")
        elif isinstance(node, ast.Attribute) and node.attr in HOST_METHODS:
            found.append(f".{node.attr} in line {node.lineno}")
    return found


def test_every_room_has_a_place_in_the_order():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms - {"pretrained"} <= set(ORDER), "a new package needs its place in ORDER"
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", *LEAVES} - {"pretrained"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_packages_import_only_to_their_left(path):
    assert wrong_imports(path, path.read_text()) == []


def circle(uses: dict[str, set[str]]) -> list[str]:
    """Names that lead back to themselves, or nothing; what uses nothing more is taken away until none is left."""
    while free := [name for name, others in uses.items() if not others & uses.keys()]:
        uses = {name: others for name, others in uses.items() if name not in free}
    return sorted(uses)


def test_no_module_imports_itself_in_a_circle():
    names = {f"dexgen_jax.{name_of(path).replace('/', '.')}" for path in MODULES if path.stem != "__init__"}
    uses = {}
    for path in MODULES:
        if path.stem != "__init__":  # a package that offers what is in it imports that, and is not imported by it
            found = set(imported(ast.parse(path.read_text()), path))
            found |= {dotted.rpartition(".")[0] for dotted in found}  # of a name inside a module: the module
            uses[f"dexgen_jax.{name_of(path).replace('/', '.')}"] = found & names
    assert circle(uses) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_clock_and_screen_only_where_allowed(path):
    assert host_io(path, path.read_text()) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_their_idea_and_have_a_telling_name(path):
    assert path.stem not in ("utils", "util", "helpers", "misc", "common", "types")
    assert path.stem == "__init__" or (ast.get_docstring(ast.parse(path.read_text())) or "").strip()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short_and_open_with_what_to_expect(path):
    text = path.read_text()
    assert len(text.splitlines()) < 100
    docstring = ast.get_docstring(ast.parse(text))
    assert all(word in docstring for word in ("Reproduces", "Time", "xpected", "Command"))


def test_what_tests_start_has_a_time_limit():
    """`processes.py` gives it one."""
    others = [path for path in (ROOT / "tests").rglob("*.py") if path.name not in ("processes.py", "test_layout.py")]
    assert [path.name for path in others if "import subprocess" in path.read_text()] == []


def test_the_rules_above_catch_what_they_are_for():
    """Each rule is shown a breach of itself, so that a rule that sees nothing cannot pass."""
    physics, report = PACKAGE / "physics" / "engine.py", PACKAGE / "evaluation" / "report.py"
    assert wrong_imports(physics, "from dexgen_jax.hand import allegro\nfrom dexgen_jax import hand\nimport os") == []
    assert wrong_imports(physics, "import dexgen_jax.envs.registry") == ["dexgen_jax.envs.registry"]
    assert wrong_imports(physics, "from dexgen_jax import envs") == ["dexgen_jax.envs"]
    assert wrong_imports(physics, "from ..grasps import search") == ["dexgen_jax.grasps.search"]
    assert wrong_imports(physics, "def f():\n    from dexgen_jax.viz import video") == ["dexgen_jax.viz.video"]
    assert wrong_imports(report, "from dexgen_jax.viz import video") == []
    assert wrong_imports(physics, "from dexgen_jax.run_log import atomic_write") == []
    assert wrong_imports(physics, "from dexgen_jax.run_log import RunLog") == ["dexgen_jax.run_log.RunLog"]
    whole = "from dexgen_jax import run_log\nrun_log.atomic_write('x', 'y')\nlog = run_log.RunLog('x', 'y')"
    assert wrong_imports(physics, whole) == ["dexgen_jax.run_log.RunLog"]
    assert wrong_imports(PACKAGE / "run_log.py", "from dexgen_jax import hand") == ["dexgen_jax.hand"]
    assert host_io(physics, "import time\nopen('x')\npath.write_text('')") == [
        "time",
        "open() in line 2",
        ".write_text in line 3",
    ]
    assert host_io(report, "import time") == []
