"""What a robot has may be older than what the controller was made with: `jax.export` is no attribute of `jax` there."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dexgen_jax"
BY_NAME = {"jax.export", "jax.experimental"}  # up to jax 0.7, `import jax` alone does not bring them
MODULES = [path for path in PACKAGE.rglob("*.py") if any(f"{name}." in path.read_text() for name in BY_NAME)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_submodules_of_jax_are_imported_by_name(path):
    tree = ast.parse(path.read_text())
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & BY_NAME
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert used <= imported


def test_the_file_for_robots_is_among_them():
    assert PACKAGE / "deploy" / "exported.py" in MODULES
